"""The official ``anthropic`` client, the gateway and the embedded model: no network, no key."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import anthropic
import pytest

from actinium.inference import Deployment, Inference
from actinium.serve import Gateway
from actinium.testkit.gateway import until

USER: Any = [{"role": "user", "content": "Hello! Who are you?"}]
TOOLS: Any = [
    {
        "name": "weather",
        "description": "The weather of a city.",
        "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
    }
]
COOL: Any = {"extra_body": {"temperature": 0}}
Body = Callable[[anthropic.AsyncAnthropic, Inference], Awaitable[None]]


def run(body: Body) -> None:
    async def main() -> None:
        inference = Inference([Deployment(name="embedded", options={"threads": 1})])
        await inference.start()
        try:
            async with (
                Gateway(inference, port=0) as gateway,
                anthropic.AsyncAnthropic(
                    base_url=gateway.url, api_key="none", max_retries=0, timeout=60
                ) as client,
            ):
                await body(client, inference)
        finally:
            await inference.close(drain=1)

    asyncio.run(main())


def test_inf_RQ_6_stream_equals_whole_and_the_count() -> None:
    async def body(client: anthropic.AsyncAnthropic, inference: Inference) -> None:
        wish: Any = {
            "model": "embedded", "messages": USER, "max_tokens": 24, **COOL,
            "system": [{"type": "text", "text": "You are kind."}],
        }  # fmt: skip
        whole = await client.messages.create(**wish)
        async with client.messages.stream(**wish) as stream:
            events = [event async for event in stream]
            final = await stream.get_final_message()
        start = next(event for event in events if event.type == "message_start")
        assert start.message.usage.input_tokens == whole.usage.input_tokens > 0
        left, right = whole.content[0], final.content[0]
        assert left.type == right.type == "text"
        assert left.text == right.text != "" and whole.stop_reason == final.stop_reason
        assert whole.usage.output_tokens == final.usage.output_tokens <= 24
        counted = await client.messages.count_tokens(
            model="embedded", messages=USER, system=wish["system"]
        )
        assert counted.input_tokens == whole.usage.input_tokens

    run(body)


def test_inf_WM_3_a_tool_is_called_and_its_result_read() -> None:
    async def body(client: anthropic.AsyncAnthropic, inference: Inference) -> None:
        wish: Any = {
            "model": "embedded", "messages": USER, "max_tokens": 64, **COOL,
            "tools": TOOLS, "tool_choice": {"type": "tool", "name": "weather"},
        }  # fmt: skip
        whole = await client.messages.create(**wish)
        call = whole.content[0]
        assert call.type == "tool_use" and call.name == "weather" and call.id
        assert isinstance(call.input, dict)
        assert whole.stop_reason in ("tool_use", "max_tokens")
        async with client.messages.stream(**wish) as stream:
            final = await stream.get_final_message()
        assert final.content[0].type == "tool_use" and final.content[0].name == "weather"
        result = {"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}
        turns: Any = [
            *USER,
            {
                "role": "assistant",
                "content": [call.model_dump(include={"type", "id", "name", "input"})],
            },
            {"role": "user", "content": [result]},
        ]
        again = await client.messages.create(
            model="embedded", messages=turns, tools=TOOLS, max_tokens=8
        )
        assert again.stop_reason is not None

    run(body)


def test_inf_CX_1_leaving_frees_the_slot() -> None:
    async def body(client: anthropic.AsyncAnthropic, inference: Inference) -> None:
        async with client.messages.stream(
            model="embedded", messages=USER, max_tokens=200
        ) as stream:
            async for event in stream:
                if event.type == "content_block_delta":
                    break
        await until(lambda: inference.statistics()["embedded"]["running"] == 0)

    run(body)


def test_what_the_model_lacks_is_said() -> None:
    async def body(client: anthropic.AsyncAnthropic, inference: Inference) -> None:
        with pytest.raises(anthropic.BadRequestError, match="maximum context length"):
            await client.messages.create(
                model="embedded", max_tokens=9, messages=[{"role": "user", "content": "a " * 9000}]
            )
        image: Any = {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/png", "data": "aGk="},
        }
        with pytest.raises(anthropic.BadRequestError, match="reads text only"):
            await client.messages.create(
                model="embedded", max_tokens=9, messages=[{"role": "user", "content": [image]}]
            )
        with pytest.raises(anthropic.BadRequestError, match="max_tokens"):
            await client.post(
                "/v1/messages", body={"model": "embedded", "messages": USER}, cast_to=object
            )

    run(body)
