"""The Responses API: the official ``openai`` package at our door, any deployment behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import openai
import pytest

from actinium.core import System
from actinium.inference.session import SessionActors
from actinium.store import MemoryStore
from actinium.testkit.anthropic import AnthropicProvider
from actinium.testkit.gateway import Served, served
from actinium.testkit.gemini import GeminiProvider
from actinium.testkit.provider import Fault, Provider
from actinium.testkit.responses import ResponsesProvider

TEXT = "Hello from the test."
TOOL: Any = {
    "type": "function", "name": "weather", "description": "The weather.", "strict": False,
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}  # fmt: skip
BEHIND: dict[str, dict[str, Any]] = {
    "chat": {"provider": Provider},
    "responses": {"provider": ResponsesProvider, "options": {"api": "responses"}},
    "anthropic": {"provider": AnthropicProvider, "runtime": "anthropic"},
    "gemini": {"provider": GeminiProvider, "runtime": "gemini"},
}


def run(
    body: Callable[[Served, openai.AsyncOpenAI], Awaitable[None]],
    behind: str = "chat",
    *,
    keeps: bool = False,
    **options: Any,
) -> None:
    fields = dict(BEHIND[behind])
    fields["provider"] = fields["provider"]()

    async def main() -> None:
        async with System("t", store=MemoryStore()) as system:
            sessions = SessionActors(system) if keeps else None
            async with (
                served(sessions=sessions, **fields, **options) as s,
                openai.AsyncOpenAI(
                    base_url=f"{s.gateway.url}/v1", api_key="sk-client", max_retries=0
                ) as client,
            ):
                await body(s, client)

    asyncio.run(main())


@pytest.mark.parametrize("behind", BEHIND)
def test_inf_RQ_6_whole_and_stream_say_the_same(behind: str) -> None:
    async def body(s: Served, client: openai.AsyncOpenAI) -> None:
        wish: dict[str, Any] = {
            "model": "m", "instructions": "Be short.", "max_output_tokens": 50,
            "input": [{"role": "user", "content": [{"type": "input_text", "text": "hello there"}]}],
        }  # fmt: skip
        for more in ({}, {"tools": [TOOL]}):
            whole = await client.responses.create(**wish, **more)
            assert whole.status == "completed" and whole.id.startswith("resp_")
            async with client.responses.stream(**wish, **more) as stream:
                kinds, numbers, text = [], [], ""
                async for event in stream:
                    kinds.append(event.type)
                    numbers.append(event.sequence_number)
                    if event.type == "response.output_text.delta":
                        text += event.delta
                        assert event.snapshot == text
                final = await stream.get_final_response()
            assert kinds[:2] == ["response.created", "response.in_progress"]
            assert kinds[-1] == "response.completed"
            assert numbers == list(range(len(numbers)))
            assert final.output_text == whole.output_text == ("" if more else text)
            assert final.usage == whole.usage and final.usage is not None
            assert final.usage.output_tokens > 0 and final.usage.input_tokens > 0
            for left, right in zip(whole.output, final.output, strict=True):
                assert left.type == right.type
                if left.type == "function_call" and right.type == "function_call":
                    assert left.name == right.name
                    # Gemini's calls come without an id and get one of their own each time.
                    assert left.call_id == right.call_id or behind == "gemini"
                    assert left.arguments.replace(" ", "") == '{"city":"Paris"}'
                    assert left.arguments == right.arguments
            if not more:
                assert text == TEXT

    run(body, behind)


@pytest.mark.parametrize("behind", BEHIND)
def test_inf_WM_3_a_call_goes_there_and_back(behind: str) -> None:
    """The loop of a tool: its items are sent back as they came."""

    async def body(s: Served, client: openai.AsyncOpenAI) -> None:
        items: list[Any] = [{"role": "user", "content": "weather?"}]
        first = await client.responses.create(
            model="m", input=items, tools=[TOOL], tool_choice="required", store=False
        )
        items += first.output
        calls = [item for item in first.output if item.type == "function_call"]
        items += [
            {"type": "function_call_output", "call_id": call.call_id, "output": "sun"}
            for call in calls
        ]
        assert len(calls) == 1
        last = await client.responses.create(model="m", input=items, store=False)
        assert last.output_text == TEXT
        sent = repr(s.provider.seen[-1].body)
        assert "sun" in sent and "weather" in sent
        if behind != "gemini":  # which matches results by their names and order as well
            assert sent.count(calls[0].call_id) == 2, "the call and its result"

    run(body, behind)


@pytest.mark.parametrize("stream", [False, True])
def test_thoughts_of_another_provider_come_back_to_it(stream: bool) -> None:
    """A signed thought of Anthropic's is a reasoning item that says nothing to the client."""

    async def body(s: Served, client: openai.AsyncOpenAI) -> None:
        asked = [{"role": "user", "content": "hello"}]
        s.provider.words = ("Yes",)
        wish: dict[str, Any] = {"model": "m", "reasoning": {"effort": "low", "summary": "auto"}}
        wish["include"] = ["reasoning.encrypted_content"]
        if stream:
            async with client.responses.stream(**wish, input=asked) as events:
                first: Any = await events.get_final_response()
        else:
            first = await client.responses.create(**wish, input=asked)
        thought = first.output[0]
        assert thought.type == "reasoning" and thought.summary[0].text == "Let me see."
        assert thought.encrypted_content and "c2VjcmV0" not in thought.encrypted_content
        again = [item.model_dump(exclude_none=True) for item in first.output]
        for item in again:
            for part in item.get("content", ()):
                part.pop("parsed", None)
        more = [*asked, *again, {"role": "user", "content": "and?"}]
        await client.responses.create(**wish, input=more)
        sent = s.provider.seen[-1].body["input"]
        kept = next(item for item in sent if item.get("type") == "reasoning")
        assert (kept["id"], kept["encrypted_content"]) == ("rs_1", "c2VjcmV0")
        assert kept["summary"] == [{"type": "summary_text", "text": "Let me see."}]

    run(body, "responses")


def test_what_is_sent_to_a_chat() -> None:
    async def body(s: Served, client: openai.AsyncOpenAI) -> None:
        got = await client.responses.create(
            model="m",
            instructions="Be short.",
            input=[
                {"role": "developer", "content": "In French."},
                {"role": "user", "content": [
                    {"type": "input_text", "text": "What is this?"},
                    {"type": "input_image", "image_url": "https://x/y.png", "detail": "low"}]},
                {"type": "message", "role": "assistant", "content": [
                    {"type": "output_text", "text": "Un chat.", "annotations": []}],
                 "id": "msg_1", "status": "completed"},
                {"role": "user", "content": "Sure?"},
            ],
            temperature=0.5, top_p=0.9, max_output_tokens=20, top_logprobs=2,
            parallel_tool_calls=False, user="u", service_tier="flex", tools=[TOOL],
            tool_choice={"type": "function", "name": "weather"}, metadata={"a": "b"},
            reasoning={"effort": "low", "summary": "auto"}, truncation="auto",
            text={"verbosity": "low", "format": {"type": "json_schema", "name": "n", "strict": True,
                                                  "schema": {"type": "object"}}},
        )  # fmt: skip
        sent = s.provider.seen[-1].body
        assert [m["role"] for m in sent["messages"]] == [
            "system", "system", "user", "assistant", "user",
        ]  # fmt: skip
        assert sent["messages"][2]["content"][1] == {
            "type": "image_url", "image_url": {"url": "https://x/y.png", "detail": "low"},
        }  # fmt: skip
        for name, value in {
            "temperature": 0.5, "top_p": 0.9, "max_tokens": 20, "logprobs": True, "top_logprobs": 2,
            "parallel_tool_calls": False, "user": "u", "service_tier": "flex", "verbosity": "low",
            "reasoning_effort": "low",
            "tool_choice": {"type": "function", "function": {"name": "weather"}},
            "response_format": {"type": "json_schema", "json_schema": {
                "name": "n", "schema": {"type": "object"}, "strict": True}},
        }.items():  # fmt: skip
            assert sent[name] == value, name
        assert sent["tools"][0]["function"]["name"] == "weather"
        assert got.metadata == {"a": "b"} and got.instructions == "Be short."
        raw = await client.responses.with_raw_response.create(
            model="m", input="x", truncation="auto", reasoning={"summary": "auto"},
            include=["file_search_call.results"], extra_body={"zzz": 1},
        )  # fmt: skip
        declared = raw.headers["x-actinium-ignored"]
        for name in ("truncation", "reasoning.summary", "include[file_search_call.results]", "zzz"):
            assert name in declared

    run(body)


@pytest.mark.parametrize(
    ("wish", "param"),
    [
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"background": True}, "background"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"previous_response_id": "resp_0123456789abcdef"}, "previous_response_id"),
        ({"truncation": "never"}, "truncation"),
        ({"input": []}, "input"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0].type"),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]},
         "input[0].content[0].file_id"),
        ({"input": [{"role": "robot", "content": "x"}]}, "input[0].role"),
        ({"input": [{"type": "function_call_output", "output": "x"}]}, "input[0].call_id"),
        ({"input": [{"role": "user"}]}, "input[0].content"),
        ({"text": {"format": {"type": "json_schema"}}}, "text.format"),
        ({"tool_choice": {"type": "web_search_preview"}}, "tool_choice"),
        ({"temperature": 3}, "temperature"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
    ],
)  # fmt: skip
def test_inf_RQ_7_what_cannot_be_done_is_refused_by_name(wish: dict[str, Any], param: str) -> None:
    async def body(s: Served, client: openai.AsyncOpenAI) -> None:
        with pytest.raises(openai.BadRequestError) as caught:
            await client.responses.create(**{"model": "m", "input": "hello", **wish})
        assert caught.value.param == param
        assert not s.provider.seen

    run(body)


@pytest.mark.parametrize("behind", BEHIND)
@pytest.mark.parametrize("stream", [False, True])
def test_errors_before_the_answer(behind: str, stream: bool) -> None:
    async def body(s: Served, client: openai.AsyncOpenAI) -> None:
        for fault, kind in (
            (Fault(status=429, headers={"retry-after": "1"}), openai.RateLimitError),
            (Fault(status=503), openai.InternalServerError),
            (Fault(status=400), openai.BadRequestError),
            (Fault(drop=True), openai.InternalServerError),
        ):
            s.provider.faults.append(fault)
            with pytest.raises(kind):
                await client.responses.create(model="m", input="hello", stream=stream)

    run(body, behind)


@pytest.mark.parametrize("behind", BEHIND)
@pytest.mark.parametrize("kind", ["cut_at", "reset_at", "garbage_at", "error_at"])
def test_inf_RQ_5_an_answer_that_breaks_off_never_completes(behind: str, kind: str) -> None:
    async def body(s: Served, client: openai.AsyncOpenAI) -> None:
        at = {"chat": 3, "responses": 6, "anthropic": 4, "gemini": 3}[behind]
        s.provider.faults.append(Fault(**{kind: at}))
        text, kinds = "", []
        stream = await client.responses.create(model="m", input="hello", stream=True)
        with pytest.raises(openai.APIError, match="broke off"):
            async for event in stream:
                kinds.append(event.type)
                if event.type == "response.output_text.delta":
                    text += event.delta
        assert text and TEXT.startswith(text) and text != TEXT
        assert kinds[-1] == "response.failed" and "response.completed" not in kinds

    run(body, behind)


def test_inf_CX_1_a_client_that_leaves_stops_the_provider() -> None:
    async def body(s: Served, client: openai.AsyncOpenAI) -> None:
        s.provider.faults.append(Fault(stall_at=3))
        stream = await client.responses.create(model="m", input="hello", stream=True)
        async for event in stream:
            if event.type == "response.output_text.delta":
                break
        await stream.close()
        await s.provider.until(lambda p: p.aborted == 1)

    run(body)


def test_previous_response_id_goes_on_with_the_conversation() -> None:
    async def body(s: Served, client: openai.AsyncOpenAI) -> None:
        one = await client.responses.create(model="m", input="my name is Ada")
        assert one.store is True  # type: ignore[attr-defined]
        stream = await client.responses.create(
            model="m", input="what is it?", previous_response_id=one.id, stream=True
        )
        two = [event async for event in stream][-1].response  # type: ignore[union-attr]
        assert two.previous_response_id == one.id and two.id != one.id
        sent = s.provider.seen[-1].body["messages"]
        assert [m["content"] for m in sent] == ["my name is Ada", TEXT, "what is it?"]
        three = await client.responses.create(
            model="m", input="sure?", previous_response_id=two.id, instructions="Be short."
        )
        assert len(s.provider.seen[-1].body["messages"]) == 6
        for wrong, code in (
            (one.id, "previous_response_not_last"),
            (f"{three.id}9", "previous_response_not_found"),
            ("resp_00000000000000000000", "previous_response_not_found"),
            ("resp_00000000000000000000-0", "previous_response_not_found"),
            ("nonsense", "previous_response_not_found"),
        ):
            with pytest.raises(openai.BadRequestError) as caught:
                await client.responses.create(model="m", input="x", previous_response_id=wrong)
            assert (caught.value.param, caught.value.code) == ("previous_response_id", code)
        seen = len(s.provider.seen)
        other = await client.responses.create(model="m", input="x", store=False)
        with pytest.raises(openai.BadRequestError):
            await client.responses.create(model="m", input="x", previous_response_id=other.id)
        assert len(s.provider.seen) == seen + 1

    run(body, keeps=True)


def test_an_answer_that_is_cut_by_its_limit_is_incomplete() -> None:
    from actinium.inference import Deployment, Inference
    from actinium.serve import Gateway

    async def main() -> None:
        inference = Inference([Deployment(name="local", options={"threads": 1})])
        await inference.start()
        async with Gateway(inference, port=0) as gateway:
            url = f"{gateway.url}/v1"
            async with openai.AsyncOpenAI(base_url=url, api_key="x", max_retries=0) as client:
                got = await client.responses.create(
                    model="local", input="Tell me a long story.", max_output_tokens=3
                )
                assert got.status == "incomplete" and got.incomplete_details is not None
                assert got.incomplete_details.reason == "max_output_tokens"
                stream = await client.responses.create(
                    model="local", input="Tell me a story.", max_output_tokens=3, stream=True
                )
                last = [event async for event in stream][-1]
                assert last.type == "response.incomplete"
                assert last.response.usage is not None and last.response.usage.output_tokens == 3
        await inference.close(drain=0)

    asyncio.run(main())
