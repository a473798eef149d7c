"""Several keys behind one deployment, in virtual time and against a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from actinium.errors import (
    BadRequest,
    ConfigError,
    InferenceError,
    QuotaExhausted,
    RateLimited,
    UpstreamAuth,
)
from actinium.inference import Deployment
from actinium.inference.chunk import Burst, Chunk
from actinium.inference.request import EmbedRequest, Message, Request
from actinium.inference.route import make_runner
from actinium.inference.runner import Capabilities, Embedding, Health
from actinium.inference.runners.key_pool import KeyPool
from actinium.testkit import VirtualLoop
from actinium.testkit.provider import Fault, Provider

ASKED = Request(id="r", model="m", messages=(Message(role="user", content="hi"),))
EMBED = EmbedRequest(id="e", model="m", inputs=("a",))


class Scripted:
    """A runner that fails as told, else answers its name."""

    transport = "remote"

    def __init__(self, name: str) -> None:
        self.name = name
        self.errors: list[InferenceError] = []
        self.calls = 0
        self.late: InferenceError | None = None

    def capabilities(self) -> Capabilities:
        return Capabilities(embeddings=True)

    async def load(self, progress: Any = None) -> None: ...

    async def generate(self, request: Request) -> AsyncGenerator[Burst]:
        self._maybe_fail()
        yield [Chunk(0, self.name)]
        if self.late is not None:
            raise self.late
        yield [Chunk(0, "", "stop")]

    async def embed(self, request: EmbedRequest) -> Embedding:
        self._maybe_fail()
        return Embedding(vectors=((1.0,),), input_tokens=1)

    def count_tokens(self, request: Request) -> int | None:
        return 7

    async def health(self) -> Health:
        return Health(ok=self.name == "b", reason=self.name)

    async def close(self) -> None: ...

    def _maybe_fail(self) -> None:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)


def ring(*names: str, **fields: Any) -> tuple[KeyPool, list[Scripted]]:
    runners = [Scripted(name) for name in names]
    return KeyPool(Deployment(name="d", model="x", **fields), runners), runners


def run(body: Any) -> None:
    loop = VirtualLoop()
    try:
        loop.run_until_complete(body())
    finally:
        loop.close()


async def say(keys: KeyPool) -> str:
    return "".join([c.text async for burst in keys.generate(ASKED) for c in burst])


def refusal(kind: type[InferenceError], after: float | None = None) -> InferenceError:
    error = kind("no")
    error.retry_after = after
    return error


def test_the_load_goes_by_turns_over_all_keys() -> None:
    async def body() -> None:
        keys, _ = ring("a", "b", "c")
        assert sorted([await say(keys) for _ in range(6)]) == list("aabbcc")
        assert keys.capabilities().embeddings and keys.count_tokens(ASKED) == 7
        assert (await keys.health()).ok

    run(body)


@pytest.mark.parametrize(
    ("error", "rest"),
    [
        (refusal(RateLimited, 5.0), 5.0),
        (refusal(RateLimited), 1.0),
        (refusal(UpstreamAuth), 30.0),
        (refusal(QuotaExhausted), 300.0),
    ],
)
@pytest.mark.parametrize("way", ["stream", "whole", "embed"])
def test_a_refused_key_rests_and_the_next_one_serves_at_once(
    error: InferenceError, rest: float, way: str
) -> None:
    async def body() -> None:
        keys, (a, _) = ring("a", "b")
        a.errors.append(error)
        loop = asyncio.get_running_loop()
        began = loop.time()
        if way == "embed":
            await keys.embed(EMBED)
        elif way == "whole":
            assert (await keys.complete(ASKED))[0].text == "b"
        else:
            assert await say(keys) == "b"
        assert loop.time() == began, "nobody waits while another key serves"
        for _ in range(3):
            assert await say(keys) == "b"
        await asyncio.sleep(rest + 0.1)
        assert {await say(keys), await say(keys)} == {"a", "b"}

    run(body)


def test_where_all_keys_rest_the_soonest_is_told() -> None:
    async def body() -> None:
        keys, (a, b) = ring("a", "b")
        a.errors.append(refusal(RateLimited, 9.0))
        b.errors.append(refusal(RateLimited, 4.0))
        with pytest.raises(RateLimited) as caught:
            await say(keys)
        assert caught.value.retry_after == 4.0
        calls = a.calls + b.calls
        await asyncio.sleep(1)
        with pytest.raises(RateLimited) as caught:
            await keys.complete(ASKED)
        assert caught.value.retry_after == 3.0
        assert a.calls + b.calls == calls, "RT-1: a wait hint is never undercut"

    run(body)


def test_inf_RQ_4_after_content_and_for_faults_of_the_client_no_other_key_is_tried() -> None:
    async def body() -> None:
        keys, (a, b) = ring("a", "b")
        a.late = refusal(RateLimited, 2.0)
        with pytest.raises(RateLimited):
            await say(keys)
        assert (a.calls, b.calls) == (1, 0)
        b.errors.append(BadRequest("wrong", "x"))
        with pytest.raises(BadRequest):
            await say(keys)

    run(body)


def test_inf_RT_1_a_request_that_may_be_made_once_is_made_once() -> None:
    async def body() -> None:
        keys, (a, b) = ring("a", "b", idempotent=False)
        a.errors.append(refusal(RateLimited, 1.0))
        with pytest.raises(RateLimited):
            await say(keys)
        assert (a.calls, b.calls) == (1, 0)

    run(body)


def test_two_keys_of_one_server() -> None:
    async def main() -> None:
        async with Provider() as provider:
            runner = make_runner(
                Deployment(
                    name="d", model="x", base_url=provider.base_url, credentials=("env:A", "env:B")
                ),
                {"A": "sk-aaaaaaaa", "B": "sk-bbbbbbbb"},
            )
            await runner.load()
            provider.faults.append(Fault(status=429, headers={"retry-after": "60"}))
            for _ in range(3):
                text = "".join([c.text async for burst in runner.generate(ASKED) for c in burst])
                assert text == "Hello from the test."
            sent = [seen.headers["authorization"] for seen in provider.seen]
            assert sent == ["Bearer sk-aaaaaaaa", *["Bearer sk-bbbbbbbb"] * 3]
            assert "sk-" not in repr(runner)
            await runner.close()

    asyncio.run(main())


@pytest.mark.parametrize("keys", [(), ("env:A", "env:A")])
def test_lists_of_keys_that_cannot_be_meant(keys: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="credentials"):
        Deployment(name="d", model="x", credentials=keys)
