"""Limits that many processes share, kept by a real Redis server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from actinium.errors import ConfigError, LimitStoreDown, MissingCredentials, RateLimited
from actinium.inference import RateLimits
from actinium.inference.limits import Gate, Need
from actinium.inference.limits.headers import Told
from actinium.inference.limits.shared import SharedLimiter
from actinium.testkit.redis import INSTALLED, RedisServer

needs_redis = pytest.mark.skipif(
    not INSTALLED, reason="redis-server is not installed; on Debian: apt-get install redis-server"
)
ONE = Need(10, 10)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    made = RedisServer(tmp_path_factory.mktemp("redis"))
    yield made
    made.kill()


class Nodes:
    """Several processes' limiters and gates, in one loop."""

    def __init__(self, server: RedisServer, name: str, number: int, **limits: Any) -> None:
        asked = RateLimits(strict="redis", store=server.url, **limits)
        self.limiters = [SharedLimiter(name, asked) for _ in range(number)]
        self.gates = []
        for limiter in self.limiters:
            gate = Gate(limiter, queue=1000, max_wait=asked.max_wait, weights={})
            limiter.changed = gate.look
            self.gates.append(gate)

    async def close(self) -> None:
        for limiter in self.limiters:
            await limiter.close()


async def admitted(nodes: Nodes, node: int, need: Need = ONE) -> Any:
    """A permit at once, as for a request that finds nobody waiting; None where it would wait."""
    limiter, gate = nodes.limiters[node], nodes.gates[node]
    grant = await limiter.ask(need)
    permit = gate.try_take(need, asyncio.get_running_loop().time())
    assert (grant is None) == (permit is None)
    return permit


def with_nodes(
    server: RedisServer, name: str, number: int, body: Callable[[Nodes], Awaitable[None]],
    **limits: Any,
) -> None:  # fmt: skip
    async def main() -> None:
        nodes = Nodes(server, name, number, **limits)
        try:
            await body(nodes)
        finally:
            await nodes.close()

    asyncio.run(main())


@needs_redis
@pytest.mark.parametrize("number", [1, 2, 4, 8])
def test_inf_LM_3_nodes_together_never_exceed_the_limit(server: RedisServer, number: int) -> None:
    async def body(nodes: Nodes) -> None:
        asks = [admitted(nodes, i % number) for i in range(240)]
        got = [permit for permit in await asyncio.gather(*asks) if permit is not None]
        assert len(got) == 100, "LM-3: exactly the limit, and nothing wasted"
        assert await admitted(nodes, 0) is None
        now = asyncio.get_running_loop().time()
        assert nodes.limiters[0].used_ratio(now) == {"rpm": 1.0}

    with_nodes(server, f"lm3-{number}", number, body, rpm=100)


@needs_redis
def test_inf_LM_3_tokens_are_exact_and_given_back(server: RedisServer) -> None:
    async def body(nodes: Nodes) -> None:
        first = await admitted(nodes, 0, Need(600, 300))
        assert await admitted(nodes, 1, Need(100, 100)) is None
        first.end(Need(500, 100))  # 300 tokens were not used
        await asyncio.gather(*nodes.limiters[0]._tasks)
        assert await admitted(nodes, 1, Need(100, 100)) is not None
        assert await admitted(nodes, 0, Need(100, 101)) is None
        assert await admitted(nodes, 0, Need(100, 100)) is not None

    with_nodes(server, "tokens", 2, body, tpm=1000)


@needs_redis
def test_a_request_that_never_went_out_gives_all_back(server: RedisServer) -> None:
    async def body(nodes: Nodes) -> None:
        for _ in range(5):
            permit = await admitted(nodes, 0)
            permit.end(None)
            permit.end(None)
            await asyncio.gather(*nodes.limiters[0]._tasks)
        assert await admitted(nodes, 1) is not None

    with_nodes(server, "back", 2, body, rpm=1, tpm=20)


@needs_redis
def test_places_are_shared_and_handed_on(server: RedisServer) -> None:
    async def body(nodes: Nodes) -> None:
        held = [await admitted(nodes, 0), await admitted(nodes, 1)]
        assert await admitted(nodes, 2) is None
        waiting = asyncio.create_task(nodes.gates[2].take(ONE))
        await asyncio.sleep(0)
        assert nodes.gates[2].waiting == 1
        held[0].end(ONE)
        permit = await waiting
        assert permit.charge.open and nodes.limiters[2].running == 1

    with_nodes(server, "places", 3, body, concurrent=2)


@needs_redis
def test_a_wait_that_is_too_long_is_told_at_once(server: RedisServer) -> None:
    async def body(nodes: Nodes) -> None:
        assert await admitted(nodes, 0) is not None
        assert await admitted(nodes, 1) is None
        with pytest.raises(RateLimited) as caught:
            await nodes.gates[1].take(ONE)
        assert 50 < (caught.value.retry_after or 0) <= 61

    with_nodes(server, "late", 2, body, rpm=1, max_wait=5.0)


@needs_redis
def test_more_than_a_whole_limit_goes_when_nothing_else_is_used(server: RedisServer) -> None:
    async def body(nodes: Nodes) -> None:
        assert await admitted(nodes, 0, Need(5000, 0)) is not None
        assert await admitted(nodes, 1, Need(1, 0)) is None

    with_nodes(server, "large", 2, body, tpm=1000)


@needs_redis
def test_what_the_upstream_taught_one_node_lowers_what_it_asks_for(server: RedisServer) -> None:
    async def body(nodes: Nodes) -> None:
        now = asyncio.get_running_loop().time()
        nodes.limiters[0].learn(now, {"rpm": Told(limit=2, remaining=2, reset=None)})
        got = [await admitted(nodes, 0) for _ in range(4)]
        assert [permit is not None for permit in got] == [True, True, False, False]

    with_nodes(server, "learnt", 1, body, rpm=100)


@needs_redis
def test_one_who_leaves_while_asking_takes_nothing(server: RedisServer) -> None:
    async def body(nodes: Nodes) -> None:
        limiter = nodes.limiters[0]
        asking = asyncio.create_task(limiter.ask(ONE))
        await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        while limiter._tasks:
            await asyncio.gather(*limiter._tasks)
            await asyncio.sleep(0)
        assert not limiter._grants
        assert await admitted(nodes, 1) is not None

    with_nodes(server, "left", 2, body, rpm=1, concurrent=1)


@needs_redis
@pytest.mark.parametrize("policy", ["local", "refuse"])
@pytest.mark.parametrize("fault", ["crash", "hang"])
def test_inf_LM_3_an_outage_follows_the_policy(tmp_path: Path, policy: Any, fault: str) -> None:
    async def body(nodes: Nodes) -> None:
        limiter = nodes.limiters[0]
        used = await admitted(nodes, 0)
        assert used is not None
        server.kill() if fault == "crash" else server.pause()
        if policy == "refuse":
            for _ in range(3):
                with pytest.raises(LimitStoreDown) as caught:
                    await limiter.ask(ONE)
                assert caught.value.retry_after and caught.value.falls_back
        else:
            got = [await admitted(nodes, 0) for _ in range(4)]
            assert [permit is not None for permit in got] == [True, True, False, False]
        assert not limiter.up and limiter.errors == 1  # asked once, then left alone for a second
        used.end(ONE)
        server.start() if fault == "crash" else server.resume()
        limiter._down_until = 0.0
        await limiter.ask(ONE)
        assert limiter.up

    server = RedisServer(tmp_path)
    try:
        with_nodes(server, f"out-{policy}", 1, body, rpm=3, on_store_error=policy)
    finally:
        server.kill()


def test_addresses_that_cannot_be_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="holds a user or password") as caught:
        RateLimits(rpm=1, strict="redis", store="redis://:hush-hush@host:6379/0")
    assert "hush" not in str(caught.value)
    with pytest.raises(ConfigError, match="expected the address of a Redis server"):
        RateLimits(rpm=1, strict="redis", store="http://host")
    with pytest.raises(ConfigError, match=r"limits\.key"):
        RateLimits(rpm=1, strict="redis", key="a{b}")
    for unused in ({"store": "redis://h:1/0"}, {"key": "a"}, {"on_store_error": "refuse"}):
        with pytest.raises(ConfigError, match=f"limits.{next(iter(unused))} is for limits that"):
            RateLimits(rpm=1, **unused)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="'owner' is not supported: the workers of one gateway"):
        RateLimits(rpm=1, strict="owner")
    monkeypatch.delenv("REDIS_URL", raising=False)
    with pytest.raises(MissingCredentials, match="REDIS_URL"):
        SharedLimiter("m", RateLimits(rpm=1, strict="redis", store="env:REDIS_URL"))
