"""The official ``anthropic`` package against the gateway, with each kind of provider behind it."""

from __future__ import annotations

import asyncio
import runpy
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anthropic
import openai
import pydantic
import pytest
from anthropic.types.message_create_params import MessageCreateParamsStreaming

from actinium.inference import Deployment, Inference
from actinium.serve import Gateway
from actinium.testkit.anthropic import AnthropicProvider
from actinium.testkit.gateway import Served, served, until
from actinium.testkit.provider import Fault, Provider
from actinium.testkit.rawhttp import ask, post

TEXT = "Hello from the test."
USER: Any = [{"role": "user", "content": "hello there"}]
TOOLS: Any = [
    {
        "name": "weather",
        "description": "The weather of a city.",
        "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
    }
]
_FOLDER = Path(__file__).parents[1] / "unit/inference/anthropic"
TRANSCRIPTS = {
    name: text
    for name, text in runpy.run_path(str(_FOLDER / "anthropic_transcripts.py")).items()
    if isinstance(text, bytes) and name != "OVERLOADED"
}
Body = Callable[[Served, anthropic.AsyncAnthropic], Awaitable[None]]


def run(body: Body, wire: str = "anthropic", **options: Any) -> None:
    async def main() -> None:
        provider = options.pop("provider", None)
        if provider is None:
            provider = AnthropicProvider() if wire == "anthropic" else Provider()
        async with (
            served(provider=provider, runtime=wire, **options) as s,
            anthropic.AsyncAnthropic(
                base_url=s.gateway.url, api_key="sk-client", max_retries=0
            ) as client,
        ):
            await body(s, client)

    asyncio.run(main())


@pytest.mark.parametrize("wire", ["anthropic", "openai"])
def test_message(wire: str) -> None:
    async def body(s: Served, client: anthropic.AsyncAnthropic) -> None:
        got = await client.messages.create(model="m", max_tokens=64, messages=USER, system="Be.")
        assert got.content[0].type == "text" and got.content[0].text == TEXT
        assert (got.stop_reason, got.role, got.model) == ("end_turn", "assistant", "m")
        assert got._request_id == got.id
        if wire == "anthropic":
            assert got.usage.input_tokens == 2 and got.usage.cache_read_input_tokens == 3
            assert got.usage.cache_creation_input_tokens == 2
        assert got.usage.output_tokens == 5

    run(body, wire)


@pytest.mark.parametrize("wire", ["anthropic", "openai"])
@pytest.mark.parametrize("extra", [{}, {"tools": TOOLS}, {"thinking": True}])
def test_inf_RQ_6_stream_equals_whole(wire: str, extra: dict[str, Any]) -> None:
    if extra.get("thinking"):
        extra = {"thinking": {"type": "enabled", "budget_tokens": 1024}}

    async def body(s: Served, client: anthropic.AsyncAnthropic) -> None:
        wish: dict[str, Any] = {"model": "m", "max_tokens": 64, "messages": USER, **extra}
        whole = await client.messages.create(**wish)
        async with client.messages.stream(**wish) as stream:
            final = await stream.get_final_message()
        assert [b.type for b in whole.content] == [b.type for b in final.content]
        for left, right in zip(whole.content, final.content, strict=True):
            fields = {"text", "thinking", "signature", "id", "name", "input"}
            assert left.model_dump(include=fields) == right.model_dump(include=fields)
        assert whole.stop_reason == final.stop_reason
        usage = {"input_tokens", "output_tokens", "cache_read_input_tokens"}
        assert whole.usage.model_dump(include=usage) == final.usage.model_dump(include=usage)
        if "tools" in extra:
            call = whole.content[-1]
            assert call.type == "tool_use" and call.input == {"city": "Paris"}
            assert whole.stop_reason == "tool_use"
        if "thinking" in extra and wire == "anthropic":
            first = whole.content[0]
            assert first.type == "thinking" and first.signature == "c2ln"

    run(body, wire)


@pytest.mark.parametrize("wire", ["anthropic", "openai"])
def test_inf_WM_3_a_tool_loop_keeps_ids_names_and_arguments(wire: str) -> None:
    async def body(s: Served, client: anthropic.AsyncAnthropic) -> None:
        first = await client.messages.create(
            model="m", max_tokens=64, messages=USER, tools=TOOLS, tool_choice={"type": "any"}
        )
        call = first.content[0]
        assert call.type == "tool_use"
        turns: Any = [
            *USER,
            {"role": "assistant", "content": first.content},
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": call.id, "content": "sunny"},
                    {"type": "text", "text": "so?"},
                ],
            },
        ]
        second = await client.messages.create(model="m", max_tokens=64, messages=turns)
        assert second.content[0].type == "text"
        sent = s.provider.seen[-1].body["messages"]
        if wire == "anthropic":
            use = sent[1]["content"][0]
            assert (use["id"], use["name"], use["input"]) == (call.id, "weather", call.input)
            assert sent[2]["content"][0]["tool_use_id"] == call.id
            assert s.provider.seen[0].body["tool_choice"] == {"type": "any"}
        else:
            assert sent[1]["tool_calls"][0]["id"] == call.id
            assert sent[1]["tool_calls"][0]["function"]["arguments"] == '{"city":"Paris"}'
            assert [m["role"] for m in sent[2:]] == ["tool", "user"]
            assert sent[2]["tool_call_id"] == call.id
            assert s.provider.seen[0].body["tool_choice"] == "required"

    run(body, wire)


def test_inf_RQ_7_the_same_wire_behind_gets_the_request_as_it_came() -> None:
    async def body(s: Served, client: anthropic.AsyncAnthropic) -> None:
        content: Any = [
            {"type": "text", "text": "see", "cache_control": {"type": "ephemeral"}},
            {"type": "search_result", "source": "x", "title": "t", "content": []},
        ]
        wish: Any = {
            "max_tokens": 9,
            "messages": [{"role": "user", "content": content}],
            "tools": [{"type": "web_search_20250305", "name": "web_search"}],
            "service_tier": "auto",
        }
        got = await client.messages.with_raw_response.create(
            model="m", extra_headers={"anthropic-beta": "one-2025-01-01"}, **wish
        )
        assert "x-actinium-ignored" not in got.headers
        seen = s.provider.seen[-1]
        assert seen.body == {"model": "upstream-model", **wish}
        assert seen.headers["anthropic-beta"] == "one-2025-01-01"
        assert seen.headers["anthropic-version"] == "2023-06-01"

    run(body)


def test_inf_RQ_7_another_wire_behind_declares_or_refuses() -> None:
    async def body(s: Served, client: anthropic.AsyncAnthropic) -> None:
        got = await client.messages.with_raw_response.create(
            model="m",
            max_tokens=9,
            messages=USER,
            thinking={"type": "enabled", "budget_tokens": 1024},
            service_tier="auto",
        )
        assert got.headers["x-actinium-ignored"] == "service_tier, thinking"
        assert "thinking" not in s.provider.seen[-1].body
        block: Any = {"type": "search_result", "source": "x", "title": "t", "content": []}
        with pytest.raises(anthropic.BadRequestError, match=r"\$\.messages\[0\]\.content\[0\]"):
            await client.messages.create(
                model="m", max_tokens=9, messages=[{"role": "user", "content": [block]}]
            )

    run(body, "openai")


def test_count_tokens() -> None:
    async def body(s: Served, client: anthropic.AsyncAnthropic) -> None:
        got = await client.messages.count_tokens(model="m", messages=USER, system="Be kind.")
        assert got.input_tokens == 7
        assert set(s.provider.seen[-1].body) == {"model", "messages", "system"}

    run(body)


@pytest.mark.parametrize(
    ("fault", "kind", "error"),
    [
        (Fault(status=400), anthropic.BadRequestError, "invalid_request_error"),
        (Fault(status=401), anthropic.InternalServerError, "api_error"),
        (Fault(status=404), anthropic.NotFoundError, "not_found_error"),
        (Fault(status=413), anthropic.RequestTooLargeError, "request_too_large"),
        (Fault(status=429), anthropic.RateLimitError, "rate_limit_error"),
        (Fault(status=500), anthropic.InternalServerError, "api_error"),
        (Fault(status=529), anthropic.InternalServerError, "overloaded_error"),
        (Fault(status=504), anthropic.InternalServerError, "timeout_error"),
        (Fault(body=b"<html>"), anthropic.InternalServerError, "api_error"),
        (Fault(drop=True), anthropic.InternalServerError, "api_error"),
    ],
)
def test_inf_GW_2_errors_become_the_clients_exceptions(
    fault: Fault, kind: type[anthropic.APIStatusError], error: str
) -> None:
    async def body(s: Served, client: anthropic.AsyncAnthropic) -> None:
        s.provider.faults.append(fault)
        with pytest.raises(kind) as caught:
            await client.messages.create(model="m", max_tokens=9, messages=USER)
        assert caught.value.type == error
        assert caught.value.request_id
        assert len(s.provider.seen) == 1

    run(body)


@pytest.mark.parametrize("status", [429, 529])
@pytest.mark.parametrize("after", [None, "7"])
def test_retry_after_reaches_the_client(status: int, after: str | None) -> None:
    async def body(s: Served, client: anthropic.AsyncAnthropic) -> None:
        headers = {} if after is None else {"retry-after": after}
        s.provider.faults.append(Fault(status=status, headers=headers))
        with pytest.raises(anthropic.APIStatusError) as caught:
            await client.messages.create(model="m", max_tokens=9, messages=USER)
        assert caught.value.response.headers.get("retry-after") == after
        assert caught.value.status_code == status

    run(body)


@pytest.mark.parametrize("wire", ["anthropic", "openai"])
def test_message_start_tells_what_the_prompt_took(wire: str) -> None:
    """Of the wire where its provider tells it there, else estimated until the end."""

    async def body(s: Served, client: anthropic.AsyncAnthropic) -> None:
        first: Any = None
        last: Any = None
        async for event in await client.messages.create(
            model="m", max_tokens=9, messages=USER, stream=True
        ):
            if event.type == "message_start":
                first = event.message.usage
            elif event.type == "message_delta":
                last = event.usage
        assert first.input_tokens > 0 and last.input_tokens > 0
        if wire == "anthropic":
            assert first.input_tokens == last.input_tokens
            assert first.cache_read_input_tokens == last.cache_read_input_tokens == 3

    run(body, wire)


def test_a_full_queue_is_529() -> None:
    async def body(s: Served, client: anthropic.AsyncAnthropic) -> None:
        s.provider.faults.append(Fault(hold=True))
        first = asyncio.create_task(client.messages.create(model="m", max_tokens=9, messages=USER))
        await s.provider.until(lambda p: p.live == 1)
        with pytest.raises(anthropic.InternalServerError) as caught:
            await client.messages.create(model="m", max_tokens=9, messages=USER)
        assert caught.value.status_code == 529 and caught.value.type == "overloaded_error"
        assert int(caught.value.response.headers["retry-after"]) >= 1
        s.provider.release()
        await first

    run(body, max_concurrent=1, queue=0)


@pytest.mark.parametrize("kind", ["cut_at", "reset_at", "garbage_at", "error_at"])
@pytest.mark.parametrize("at", range(11))
def test_inf_RQ_5_a_provider_that_breaks_at_any_event(kind: str, at: int) -> None:
    """Before content: a proper status. After it: an ``error`` event, and no ``message_stop``."""

    async def body(s: Served, client: anthropic.AsyncAnthropic) -> None:
        s.provider.faults.append(Fault(**{kind: at}))
        text, ended = "", False
        try:
            async for event in await client.messages.create(
                model="m", max_tokens=9, messages=USER, stream=True
            ):
                if event.type == "content_block_delta" and event.delta.type == "text_delta":
                    text += event.delta.text
                ended = ended or event.type == "message_stop"
        except anthropic.APIStatusError as error:
            assert not ended
            assert TEXT.startswith(text)
            if text:
                assert error.status_code == 200 and "broke off" in str(error)
        else:
            assert ended and text == TEXT and at >= 9
        assert len(s.provider.seen) == 1, "RQ-4: nothing is sent twice"
        await until(lambda: not s.running())

    run(body)


def test_inf_RQ_5_a_stream_without_a_finish_is_no_answer() -> None:
    async def body(s: Served, client: anthropic.AsyncAnthropic) -> None:
        for fault in (Fault(finish=False), Fault(finish=False, done=False)):
            s.provider.faults.append(fault)
            with pytest.raises(anthropic.APIStatusError, match="broke off"):
                async with client.messages.stream(model="m", max_tokens=9, messages=USER) as stream:
                    await stream.get_final_message()
        s.provider.faults.append(Fault(done=False))
        async with client.messages.stream(model="m", max_tokens=9, messages=USER) as stream:
            assert (await stream.get_final_message()).stop_reason == "end_turn"

    run(body)


def test_a_slow_body_in_small_pieces_is_read_whole() -> None:
    async def body(s: Served, client: anthropic.AsyncAnthropic) -> None:
        for stream in (False, True):
            s.provider.faults.append(Fault(split=7))
            if not stream:
                got = await client.messages.create(model="m", max_tokens=9, messages=USER)
                assert got.content[0].type == "text" and got.content[0].text == TEXT
                continue
            async with client.messages.stream(model="m", max_tokens=9, messages=USER) as answer:
                assert await answer.get_final_text() == TEXT

    run(body)


@pytest.mark.parametrize("wire", ["anthropic", "openai"])
def test_inf_CX_1_closing_the_clients_stream_stops_the_provider(wire: str) -> None:
    async def body(s: Served, client: anthropic.AsyncAnthropic) -> None:
        s.provider.faults.append(Fault(stall_at=5))
        stream = await client.messages.create(model="m", max_tokens=9, messages=USER, stream=True)
        async for event in stream:
            if event.type == "content_block_delta":
                break
        await stream.close()
        await s.provider.until(lambda p: p.aborted == 1)
        await until(lambda: not s.running())

    run(body, wire)


class _Told(AnthropicProvider):
    """Streams a transcript."""

    def __init__(self, transcript: bytes) -> None:
        super().__init__()
        self._told = [line[6:] for line in transcript.split(b"\n") if line.startswith(b"data: ")]

    def _events(self, body: dict[str, Any], *, usage: bool) -> list[bytes]:
        return self._told[:-1]  # the end mark follows


@pytest.mark.parametrize("name", sorted(TRANSCRIPTS))
def test_inf_WM_2_documented_answers_come_out_as_they_went_in(name: str) -> None:
    """What the client makes of the server's own stream is what it makes of ours."""

    async def final(client: anthropic.AsyncAnthropic) -> dict[str, Any]:
        async with client.messages.stream(model="m", max_tokens=9, messages=USER) as stream:
            got = (await stream.get_final_message()).model_dump()
        usage = {k: v or 0 for k, v in got["usage"].items() if k != "server_tool_use"}
        usage["output_tokens_details"] = usage.get("output_tokens_details") or None
        return {k: got[k] for k in ("content", "stop_reason", "stop_sequence")} | {"usage": usage}

    async def body(s: Served, client: anthropic.AsyncAnthropic) -> None:
        direct = anthropic.AsyncAnthropic(
            base_url=s.provider.base_url.removesuffix("/v1"), api_key="k", max_retries=0
        )
        async with direct:
            assert await final(client) == await final(direct)

    run(body, provider=_Told(TRANSCRIPTS[name]))


def test_inf_WM_2_what_the_runner_sends_fits_the_clients_own_models() -> None:
    async def body(s: Served, _: anthropic.AsyncAnthropic) -> None:
        adapter = pydantic.TypeAdapter[Any](MessageCreateParamsStreaming)
        png = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}
        tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
        call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        turns = [
            {"role": "system", "content": "Be."},
            {"role": "user", "content": [{"type": "text", "text": "x"}, png]},
            {"role": "assistant", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c", "content": "r"},
        ]
        wish = {"messages": turns, "tools": [tool], "tool_choice": "required", "stop": ["X"]}
        got = await ask(s.port, post({"model": "m", "stream": True, **wish}))
        assert got.status == 200
        sent = s.provider.seen[-1].body
        checked = adapter.validate_python(sent)
        for message in checked["messages"]:
            assert list(message["content"]), "each block fits, or reading it would raise"
        assert list(checked["tools"]) and checked["tool_choice"] == {"type": "any"}

    run(body)


def test_wrong_client_key() -> None:
    async def body(s: Served, client: anthropic.AsyncAnthropic) -> None:
        with pytest.raises(anthropic.AuthenticationError):
            await client.messages.create(model="m", max_tokens=9, messages=USER)
        good = client.with_options(api_key="sk-right")
        await good.messages.create(model="m", max_tokens=9, messages=USER)
        with pytest.raises(anthropic.NotFoundError):
            await good.messages.create(model="nobody", max_tokens=9, messages=USER)

    run(body, api_key="sk-right")


def test_inf_SC_1_the_providers_key_appears_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    canary = "sk-ant-canary-0123456789abcdef"

    async def body(s: Served, client: anthropic.AsyncAnthropic) -> None:
        with pytest.raises(anthropic.APIStatusError) as caught:
            await client.messages.create(model="m", max_tokens=9, messages=USER)
        assert s.provider.seen[0].headers["x-api-key"] == canary
        assert "sk-client" not in str(s.provider.seen[0].headers)
        runner = s.inference.replica("m").runner
        shown = [repr(runner), str(caught.value), repr(caught.value.body), caplog.text]
        assert all(canary not in text for text in shown)
        assert "Incorrect API key" in str(caught.value)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CANARY_KEY", canary)
        run(body, provider=AnthropicProvider(key="sk-another"), credentials="env:CANARY_KEY")


def test_the_openai_client_with_anthropic_behind() -> None:
    async def body(s: Served, _: anthropic.AsyncAnthropic) -> None:
        tools: Any = [
            {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
        ]
        async with openai.AsyncOpenAI(
            base_url=f"{s.gateway.url}/v1", api_key="none", max_retries=0
        ) as client:
            got = await client.chat.completions.create(
                model="m",
                messages=[{"role": "system", "content": "Be."}, *USER],
                max_tokens=5,
                stop=["X"],
                user="u1",
                extra_body={"thinking": {"type": "enabled", "budget_tokens": 1024}, "min_p": 0.1},
            )
            assert got.choices[0].message.content == TEXT
            assert got.usage is not None and got.usage.prompt_tokens == 7
            assert got.usage.prompt_tokens_details is not None
            assert got.usage.prompt_tokens_details.cached_tokens == 3
            message = got.choices[0].message.model_dump()
            assert message["reasoning_content"] == "Let me see."
            thought = {"type": "thinking", "thinking": "Let me see.", "signature": "c2ln"}
            assert message["thinking_blocks"] == [thought]
            sent = s.provider.seen[-1].body
            assert sent["system"] == [{"type": "text", "text": "Be."}]
            assert sent["stop_sequences"] == ["X"] and sent["max_tokens"] == 5
            assert sent["metadata"] == {"user_id": "u1"}
            again: Any = [*USER, message | {"content": "x"}, *USER]
            raw = await client.chat.completions.with_raw_response.create(
                model="m", messages=again, extra_body={"min_p": 0.1}
            )
            assert raw.headers["x-actinium-ignored"] == "min_p, messages[].reasoning_content"
            assert s.provider.seen[-1].body["messages"][1]["content"][0] == thought
            for stream in (False, True):
                wish: Any = {"model": "m", "messages": USER, "tools": tools}
                if not stream:
                    whole = await client.chat.completions.create(**wish)
                    call = whole.choices[0].message.tool_calls[0]  # type: ignore[index]
                else:
                    async with client.chat.completions.stream(**wish) as answer:
                        final = await answer.get_final_completion()
                    call = final.choices[0].message.tool_calls[0]  # type: ignore[index,assignment]
                assert call.id == "toolu_1" and call.function.name == "weather"  # type: ignore[union-attr]
                assert call.function.arguments.replace(" ", "") == '{"city":"Paris"}'  # type: ignore[union-attr]
            with pytest.raises(openai.BadRequestError, match="presence_penalty") as caught:
                await client.chat.completions.create(model="m", messages=USER, presence_penalty=1.0)
            assert caught.value.param == "presence_penalty"

    run(body)


def test_inf_RQ_3_a_full_anthropic_falls_back_to_another_wire() -> None:
    """The fallback gets the translated request, and what cannot be translated is refused."""

    async def main() -> None:
        async with AnthropicProvider() as first, Provider(words=("From", " there")) as second:
            deployments = [
                Deployment(
                    name="m",
                    model="anthropic/claude-x",
                    base_url=first.base_url,
                    fallback=("other",),
                ),
                Deployment(name="other", model="openai/x", base_url=second.base_url),
            ]
            inference = Inference(deployments)
            await inference.start()
            async with (
                Gateway(inference, port=0) as gateway,
                anthropic.AsyncAnthropic(
                    base_url=gateway.url, api_key="k", max_retries=0
                ) as client,
            ):
                marked: Any = [
                    {
                        "role": "user",
                        "content": [
                            {"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}}
                        ],
                    }
                ]
                first.faults.append(Fault(status=429, headers={"retry-after": "9"}))
                got = await client.messages.create(model="m", max_tokens=9, messages=marked)
                assert got.content[0].type == "text" and got.content[0].text == "From there"
                assert first.seen[0].body["messages"] == marked
                assert second.seen[0].body["messages"][0]["content"] == [
                    {"type": "text", "text": "hi"}
                ]
                block: Any = {"type": "search_result", "source": "x", "title": "t", "content": []}
                with pytest.raises(anthropic.BadRequestError, match="Anthropic's own API"):
                    await client.messages.create(
                        model="m", max_tokens=9, messages=[{"role": "user", "content": [block]}]
                    )
            await inference.close(drain=0)

    asyncio.run(main())
