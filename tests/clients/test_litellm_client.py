"""The LiteLLM client against the gateway, by both of its doors."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm
import pytest

from actinium.testkit.gateway import Served, served
from actinium.testkit.provider import Fault

TEXT = "Hello from the test."
USER: Any = [{"role": "user", "content": "hello there"}]


def run(body: Callable[[Served, dict[str, Any]], Awaitable[None]], door: str) -> None:
    async def main() -> None:
        async with served() as s:
            url = s.gateway.url if door == "anthropic" else f"{s.gateway.url}/v1"
            call = {"model": f"{door}/m", "api_base": url, "api_key": "sk-x", "num_retries": 0}
            await body(s, {**call, "max_retries": 0, "max_tokens": 50})

    asyncio.run(main())


@pytest.mark.parametrize("door", ["openai", "anthropic"])
def test_whole_and_stream(door: str) -> None:
    async def body(s: Served, call: dict[str, Any]) -> None:
        got = await litellm.acompletion(**call, messages=USER)
        assert got.choices[0].message.content == TEXT
        assert got.choices[0].finish_reason == "stop"
        assert got.usage.completion_tokens == 5
        text = ""
        async for piece in await litellm.acompletion(**call, messages=USER, stream=True):
            text += piece.choices[0].delta.content or ""
        assert text == TEXT

    run(body, door)


@pytest.mark.parametrize("door", ["openai", "anthropic"])
def test_tools_and_errors(door: str) -> None:
    async def body(s: Served, call: dict[str, Any]) -> None:
        tools = [{"type": "function", "function": {"name": "weather", "parameters":
                  {"type": "object", "properties": {}}}}]  # fmt: skip
        got = await litellm.acompletion(**call, messages=USER, tools=tools)
        (asked,) = got.choices[0].message.tool_calls
        assert (asked.function.name, asked.function.arguments) == (
            "weather",
            '{"city":"Paris"}',
        ) or (asked.function.arguments == '{"city": "Paris"}')
        s.provider.faults.append(Fault(status=429, headers={"retry-after": "3"}))
        with pytest.raises(litellm.RateLimitError):
            await litellm.acompletion(**call, messages=USER)
        s.provider.faults.append(Fault(cut_at=3))
        stream = await litellm.acompletion(**call, messages=USER, stream=True)
        with pytest.raises(Exception, match="broke off"):
            async for _ in stream:
                pass

    run(body, door)


def test_embeddings() -> None:
    async def body(s: Served, call: dict[str, Any]) -> None:
        call.pop("max_tokens")
        got = await litellm.aembedding(**call, input=["ab", "c"], encoding_format="float")
        assert [v["embedding"] for v in got.data] == [[2.0, 0.0, 0.5], [1.0, 1.0, 0.5]]

    run(body, "openai")
