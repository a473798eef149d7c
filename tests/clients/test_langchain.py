"""LangChain's ChatOpenAI against the gateway, unchanged."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

from actinium.errors import InferenceError
from actinium.testkit.gateway import Served, served
from actinium.testkit.provider import Fault

TEXT = "Hello from the test."


@tool
def weather(city: str) -> str:
    """The weather of a city."""
    return f"sun in {city}"


def run(body: Callable[[Served, ChatOpenAI], Awaitable[None]], **model: Any) -> None:
    async def main() -> None:
        async with served() as s:
            chat = ChatOpenAI(
                model="m", base_url=f"{s.gateway.url}/v1", api_key="sk-x", max_retries=0, **model
            )
            await body(s, chat)

    asyncio.run(main())


@pytest.mark.parametrize("responses", [False, True])
def test_invoke_and_stream(responses: bool) -> None:
    async def body(s: Served, chat: ChatOpenAI) -> None:
        asked = [SystemMessage("Be short."), HumanMessage("hello")]
        got = await chat.ainvoke(asked)
        assert got.text == TEXT
        assert got.usage_metadata is not None and got.usage_metadata["total_tokens"] >= 6
        whole: Any = None
        async for piece in chat.astream(asked):
            whole = piece if whole is None else whole + piece
        assert whole.text == TEXT
        assert whole.usage_metadata["output_tokens"] == got.usage_metadata["output_tokens"]

    run(body, use_responses_api=responses, stream_usage=True)


@pytest.mark.parametrize("responses", [False, True])
def test_tools(responses: bool) -> None:
    async def body(s: Served, chat: ChatOpenAI) -> None:
        first = await chat.bind_tools([weather]).ainvoke("weather?")
        assert first.tool_calls[0]["name"] == "weather"
        assert first.tool_calls[0]["args"] == {"city": "Paris"}
        assert isinstance(first, AIMessage)
        result = ToolMessage("sun", tool_call_id=first.tool_calls[0]["id"])
        last = await chat.ainvoke([HumanMessage("weather?"), first, result])
        assert last.text == TEXT
        sent = s.provider.seen[-1].body["messages"]
        assert [m["role"] for m in sent] == ["user", "assistant", "tool"]
        assert sent[2]["tool_call_id"] == sent[1]["tool_calls"][0]["id"], "WM-3"

    run(body, use_responses_api=responses)


def test_errors_and_batch() -> None:
    async def body(s: Served, chat: ChatOpenAI) -> None:
        s.provider.faults.append(Fault(status=429))
        with pytest.raises(Exception, match="rate limit") as caught:
            await chat.ainvoke("hello")
        assert not isinstance(caught.value, InferenceError)
        assert [m.content for m in await chat.abatch(["a", "b", "c"])] == [TEXT] * 3

    run(body)


def test_embeddings() -> None:
    async def body(s: Served, chat: ChatOpenAI) -> None:
        vectors = OpenAIEmbeddings(
            model="m",
            base_url=f"{s.gateway.url}/v1",
            api_key="sk-x",
            check_embedding_ctx_length=False,
        )
        assert await vectors.aembed_documents(["ab", "c"]) == [[2.0, 0.0, 0.5], [1.0, 1.0, 0.5]]

    run(body)
