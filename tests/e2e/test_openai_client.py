"""The official ``openai`` package against the gateway, with a provider behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import openai
import pytest

from actinium.testkit.gateway import Served, served, until
from actinium.testkit.provider import Fault, Provider

TEXT = "Hello from the test."
USER: Any = [{"role": "user", "content": "hello there"}]


def run(body: Callable[[Served, openai.AsyncOpenAI], Awaitable[None]], **options: Any) -> None:
    async def main() -> None:
        async with (
            served(**options) as s,
            openai.AsyncOpenAI(
                base_url=f"{s.gateway.url}/v1", api_key="sk-client", max_retries=0
            ) as client,
        ):
            await body(s, client)

    asyncio.run(main())


def test_chat() -> None:
    async def body(s: Served, client: openai.AsyncOpenAI) -> None:
        got = await client.chat.completions.create(model="m", messages=USER, temperature=0)
        assert got.choices[0].message.content == TEXT
        assert got.choices[0].finish_reason == "stop"
        assert got.usage is not None and got.usage.total_tokens == 7
        assert got._request_id == got.id

    run(body)


def test_inf_RQ_6_stream_equals_whole() -> None:
    async def body(s: Served, client: openai.AsyncOpenAI) -> None:
        # Strict, because older clients put only such tools' streams together.
        schema = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
        function = {"name": "weather", "strict": True, "parameters": schema}
        tools: Any = [{"type": "function", "function": function}]
        for extra in ({}, {"n": 2}, {"logprobs": True, "top_logprobs": 2}, {"tools": tools}):
            wish: dict[str, Any] = {"model": "m", "messages": USER, **extra}
            whole = await client.chat.completions.create(**wish)
            async with client.chat.completions.stream(
                **wish, stream_options={"include_usage": True}
            ) as stream:
                final = await stream.get_final_completion()
            for left, right in zip(whole.choices, final.choices, strict=True):
                assert left.message.content == right.message.content
                assert left.finish_reason == right.finish_reason
                assert left.logprobs == right.logprobs or left.logprobs is None
                ours = [(t.id, t.function) for t in left.message.tool_calls or []]
                theirs = [
                    (t.id, t.function.name, t.function.arguments)
                    for t in right.message.tool_calls or []
                ]
                assert [(i, f.name, f.arguments) for i, f in ours] == theirs  # type: ignore[union-attr]
            assert whole.usage == final.usage

    run(body)


def test_completions_and_embeddings() -> None:
    async def body(s: Served, client: openai.AsyncOpenAI) -> None:
        got = await client.completions.create(model="m", prompt=["a", "b"])
        assert [c.text for c in got.choices] == [TEXT, TEXT]
        text = ""
        async for event in await client.completions.create(model="m", prompt="a", stream=True):
            text += event.choices[0].text
        assert text == TEXT
        vectors = await client.embeddings.create(model="m", input=["ab", "c"])
        assert [v.embedding for v in vectors.data] == [[2.0, 0.0, 0.5], [1.0, 1.0, 0.5]]

    run(body)


def test_models() -> None:
    async def body(s: Served, client: openai.AsyncOpenAI) -> None:
        assert [m.id async for m in client.models.list()] == ["m", "alias"]
        assert (await client.models.retrieve("alias")).id == "alias"

    run(body)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault(status=429, headers={"retry-after": "1"}), openai.RateLimitError),
        (Fault(status=500), openai.InternalServerError),
        (Fault(status=401), openai.InternalServerError),
        (Fault(status=404), openai.NotFoundError),
        (Fault(status=400), openai.BadRequestError),
    ],
)
def test_errors_become_the_clients_exceptions(
    fault: Fault, kind: type[openai.APIStatusError]
) -> None:
    async def body(s: Served, client: openai.AsyncOpenAI) -> None:
        for stream in (False, True):
            s.provider.faults.append(fault)
            with pytest.raises(kind):
                await client.chat.completions.create(model="m", messages=USER, stream=stream)

    run(body)


def test_context_length_keeps_the_upstreams_text() -> None:
    said = (
        b'{"error":{"message":"This model\'s maximum context length is 8192 tokens. However, '
        b'your messages resulted in 9001 tokens.","type":"invalid_request_error",'
        b'"param":"messages","code":"context_length_exceeded"}}'
    )

    async def body(s: Served, client: openai.AsyncOpenAI) -> None:
        s.provider.faults.append(Fault(status=400, body=said))
        with pytest.raises(openai.BadRequestError, match="resulted in 9001") as caught:
            await client.chat.completions.create(model="m", messages=USER)
        assert caught.value.code == "context_length_exceeded"
        assert caught.value.param == "messages"

    run(body)


def test_wrong_client_key() -> None:
    async def body(s: Served, client: openai.AsyncOpenAI) -> None:
        with pytest.raises(openai.AuthenticationError):
            await client.models.list()
        good = client.with_options(api_key="sk-right")
        assert [m.id async for m in good.models.list()] == ["m", "alias"]

    run(body, api_key="sk-right")


def test_broken_stream_raises_in_the_client() -> None:
    async def body(s: Served, client: openai.AsyncOpenAI) -> None:
        s.provider.faults.append(Fault(cut_at=3))
        stream = await client.chat.completions.create(model="m", messages=USER, stream=True)
        text = ""
        with pytest.raises(openai.APIError, match="broke off"):
            async for event in stream:
                text += event.choices[0].delta.content or ""
        assert text and TEXT.startswith(text)

    run(body)


def test_inf_CX_1_closing_the_clients_stream_stops_the_provider() -> None:
    async def body(s: Served, client: openai.AsyncOpenAI) -> None:
        s.provider.faults.append(Fault(stall_at=3))
        stream = await client.chat.completions.create(model="m", messages=USER, stream=True)
        async for event in stream:
            if event.choices[0].delta.content:
                break
        await stream.close()
        await s.provider.until(lambda p: p.aborted == 1)
        await until(lambda: not s.running())

    run(body)


def test_inf_SC_1_the_providers_key_appears_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    """A canary as key: a provider that repeats it in its error does not get it to the client."""
    canary = "sk-canary-0123456789abcdef"

    async def body(s: Served, client: openai.AsyncOpenAI) -> None:
        with pytest.raises(openai.APIStatusError) as caught:
            await client.chat.completions.create(model="m", messages=USER)
        assert canary in s.provider.seen[0].headers["authorization"]
        runner = s.inference.replica("m").runner
        shown = [repr(runner), str(caught.value), repr(caught.value.body), caplog.text]
        shown += [repr(s.inference.replica("m").deployment), repr(s.inference.statistics())]
        assert all(canary not in text for text in shown)
        assert "Incorrect API key" in str(caught.value)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CANARY_KEY", canary)
        run(body, provider=Provider(key="sk-another"), credentials="env:CANARY_KEY")
