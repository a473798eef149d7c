"""The official client, the gateway and the embedded model: no network, no key, no download."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import openai
import pytest

from actinium.inference import Deployment, Inference
from actinium.serve import Gateway
from actinium.testkit.gateway import until

USER: Any = [{"role": "user", "content": "Hello! Who are you?"}]
Body = Callable[[openai.AsyncOpenAI, Inference], Awaitable[None]]


def run(body: Body) -> None:
    async def main() -> None:
        inference = Inference([Deployment(name="embedded", options={"threads": 1})])
        await inference.start()
        try:
            async with (
                Gateway(inference, port=0) as gateway,
                openai.AsyncOpenAI(
                    base_url=f"{gateway.url}/v1", api_key="none", max_retries=0, timeout=60
                ) as client,
            ):
                await body(client, inference)
        finally:
            await inference.close(drain=1)

    asyncio.run(main())


def test_inf_RQ_6_stream_equals_whole() -> None:
    async def body(client: openai.AsyncOpenAI, inference: Inference) -> None:
        wish: Any = {
            "model": "embedded", "messages": USER, "temperature": 0, "max_tokens": 24, "seed": 1,
        }  # fmt: skip
        whole = await client.chat.completions.create(**wish)
        text, usage = "", None
        stream = await client.chat.completions.create(
            **wish, stream=True, stream_options={"include_usage": True}
        )
        async for event in stream:
            for choice in event.choices:
                text += choice.delta.content or ""
            usage = event.usage or usage
        assert text == whole.choices[0].message.content and text
        assert usage == whole.usage and usage is not None
        assert 0 < usage.completion_tokens <= 24

    run(body)


def test_many_streams_at_once() -> None:
    async def body(client: openai.AsyncOpenAI, inference: Inference) -> None:
        async def one(seed: int) -> str:
            answer = await client.chat.completions.create(
                model="embedded", messages=USER, max_tokens=12, seed=seed
            )
            return answer.choices[0].message.content or ""

        first = await asyncio.gather(*(one(seed) for seed in range(6)))
        again = await asyncio.gather(*(one(seed) for seed in range(6)))
        assert first == again, "seeded answers do not depend on their neighbours"

    run(body)


def test_inf_CX_1_leaving_frees_the_slot() -> None:
    async def body(client: openai.AsyncOpenAI, inference: Inference) -> None:
        stream = await client.chat.completions.create(
            model="embedded", messages=USER, stream=True, max_tokens=400, logit_bias=None
        )
        async for _ in stream:
            break
        await stream.close()
        await until(lambda: inference.statistics()["embedded"]["running"] == 0)

    run(body)


def test_what_the_model_lacks_is_said() -> None:
    async def body(client: openai.AsyncOpenAI, inference: Inference) -> None:
        with pytest.raises(openai.BadRequestError, match="no embeddings"):
            await client.embeddings.create(model="embedded", input="x")
        with pytest.raises(openai.BadRequestError, match="maximum context length") as caught:
            await client.chat.completions.create(
                model="embedded", messages=[{"role": "user", "content": "word " * 5000}]
            )
        assert caught.value.code == "context_length_exceeded"
        with pytest.raises(openai.BadRequestError, match="format"):
            await client.chat.completions.create(
                model="embedded", messages=USER, response_format={"type": "json_object"}
            )

    run(body)


def test_inf_RQ_7_unknown_fields_are_declared() -> None:
    async def body(client: openai.AsyncOpenAI, inference: Inference) -> None:
        got = await client.chat.completions.with_raw_response.create(
            model="embedded", messages=USER, max_tokens=2, extra_body={"min_p": 0.1}
        )
        assert got.headers["x-actinium-ignored"] == "min_p"

    run(body)
