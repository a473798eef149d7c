"""Laws of streams: credits bound the producer, and each end is seen once (ST)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actinium import testkit
from actinium.core import Actor, Message, Settings, on
from actinium.errors import (
    ActiniumError,
    ActorStopped,
    HandlerError,
    MemoryLimit,
    StreamCancelled,
    StreamIdle,
    Unhandled,
    UsageError,
)
from actinium.testkit import TestSystem

law = settings(max_examples=80, deadline=None, derandomize=True)


class Count(Message):
    upto: int
    fail_at: int = -1
    pause: float = 0.0
    size: int = 0


class Source(Actor, concurrent=4):
    def __init__(self) -> None:
        self.made = 0
        self.ended = 0

    @on
    async def count(self, m: Count) -> AsyncGenerator[Any]:
        try:
            for n in range(m.upto):
                if n == m.fail_at:
                    raise ValueError(n)
                if m.pause:
                    await asyncio.sleep(m.pause)
                self.made += 1
                yield bytes(m.size) if m.size else n
        finally:
            self.ended += 1


@law
@given(
    st.integers(0, 30),
    st.integers(1, 8),
    st.sampled_from(["end", "fail", "break", "close", "kill", "drop", "timeout"]),
    st.integers(0, 30),
    st.booleans(),
    st.integers(1, 2**32),
)
def test_ST_1_2_3_4_credits_a_gapless_prefix_and_one_end(
    upto: int, window: int, end: str, at: int, slow: bool, seed: int
) -> None:
    async def test(t: TestSystem) -> None:
        source = t.spawn(Source)
        made = source.instance
        fail_at = at if end == "fail" else -1
        message = Count(upto, fail_at, 0.01 if slow else 0.0)
        stream = source.stream(message, items=window, timeout=0.05 if end == "timeout" else None)
        got: list[int] = []
        outcome = ""
        try:
            async for n in stream:
                got.append(n)
                assert made.made - len(got) <= window, "ST-1: ahead of its credits"
                if len(got) % 3 == 0:
                    await t.run_until_idle()
                    assert made.made - len(got) <= window, "ST-1: ahead of its credits"
                if len(got) > at and end in ("break", "drop"):
                    break
                if len(got) > at and end == "close":
                    await stream.aclose()
                if len(got) > at and end == "kill":
                    source.kill()
        except ActiniumError as e:
            outcome = type(e).__name__
        else:
            outcome = "end"
        assert got == list(range(len(got))), "ST-2: a gap"
        if end == "fail" and at < upto:
            assert (outcome, len(got)) == ("HandlerError", at), "ST-2"
        if end == "end":
            assert (outcome, len(got)) == ("end", upto), "ST-2"
        if end == "break":
            await stream.aclose()
        if end == "drop":
            del stream
        await t.advance(1.0)
        assert made.ended == 1 or (end == "timeout" and made.ended <= 1), "ST-3: finally"
        stats = t.system.statistics()
        assert stats["running"] == 0, "ST-3: its slot is still taken"
        assert (await t.shutdown()).lost == 0, "MS-1"

    testkit.run(test, seed=seed)


def test_ST_1_bytes_count_too() -> None:
    async def test(t: TestSystem) -> None:
        source = t.spawn(Source)
        async with source.stream(Count(100, size=100_000), items=64) as stream:
            await t.run_until_idle()
            assert source.instance.made == 3, "ST-1: 256 KiB and one item"
            assert len(await stream.__anext__()) == 100_000

    testkit.run(test)


def test_a_slow_consumer_stops_the_producer() -> None:
    async def test(t: TestSystem) -> None:
        source = t.spawn(Source)
        async with source.stream(Count(1000), items=5) as stream:
            await t.advance(100.0)
            assert source.instance.made == 5
            assert [n for n, _ in zip(range(5), stream.take_ready(), strict=True)] == [*range(5)]
            await t.run_until_idle()
            assert source.instance.made == 10
        await t.run_until_idle()
        assert source.instance.ended == 1

    testkit.run(test)


def test_every_bad_end_is_told_to_the_consumer() -> None:
    async def test(t: TestSystem) -> None:
        source = t.spawn(Source)
        with pytest.raises(HandlerError, match="ValueError: 2"):
            async for _ in source.stream(Count(5, 2)):
                pass
        with pytest.raises(Unhandled, match="cannot take a str"):
            async for _ in source.stream("text"):
                pass
        with pytest.raises(Unhandled, match=r"is a stream: use ref\.stream"):
            await source.ask(Count(1))
        stream = source.stream(Count(10), items=1)
        assert await anext(aiter(stream)) == 0
        await stream.aclose()
        with pytest.raises(StreamCancelled):
            await anext(stream)
        source.stop()
        await source.stopped()
        with pytest.raises(ActorStopped):
            async for _ in source.stream(Count(5)):
                pass
        with pytest.raises(UsageError, match="a window of 1 item or more"):
            source.stream(Count(5), items=0)

    testkit.run(test)


def test_ST_3_the_death_of_the_consumer_ends_the_producer() -> None:
    class Consumer(Actor):
        @on
        async def read(self, m: Any) -> None:
            async with m.value.stream(Count(10**6), items=2) as stream:
                async for _ in stream:
                    await asyncio.sleep(1.0)

    async def test(t: TestSystem) -> None:
        from actinium.core import Unchecked

        source = t.spawn(Source)
        consumer = t.spawn(Consumer)
        consumer.tell(Unchecked(source))
        await t.advance(3.0)
        consumer.kill()
        await consumer.stopped()
        await t.run_until_idle()
        assert source.instance.ended == 1, "ST-3"
        assert source.running == 0, "ST-3"

    testkit.run(test)


def test_a_stream_never_read_costs_nothing() -> None:
    async def test(t: TestSystem) -> None:
        source = t.spawn(Source)
        stream = source.stream(Count(5))
        del stream
        unopened = source.stream(Count(5))
        await unopened.aclose()
        with pytest.raises(StopAsyncIteration):
            await anext(unopened)
        await t.run_until_idle()
        assert source.instance.made == 0

    testkit.run(test)


class Texts(Message):
    sizes: tuple[int, ...]


class Writer(Actor, concurrent=4):
    def __init__(self) -> None:
        self.made: list[int] = []

    @on
    async def write(self, m: Texts) -> AsyncGenerator[Any]:
        for n, size in enumerate(m.sizes):
            self.made.append(size)
            yield (n, "x" * size)  # bytes in a tuple count as well


@law
@given(
    st.lists(st.integers(0, 50), max_size=30),
    st.integers(1, 8),
    st.integers(1, 80),
    st.integers(1, 2**32),
)
def test_ST_1_4_credits_in_bytes_bound_the_producer_and_all_come_back(
    sizes: list[int], window: int, most: int, seed: int
) -> None:
    async def test(t: TestSystem) -> None:
        writer = t.spawn(Writer)
        got: list[int] = []
        async with writer.stream(Texts(tuple(sizes)), items=window, max_bytes=most) as stream:
            async for n, text in stream:
                await t.run_until_idle()
                got.append(len(text))
                assert n == len(got) - 1, "ST-2"
                ahead = writer.instance.made[len(got) :]
                assert len(ahead) <= window, "ST-1: items"
                assert sum(ahead[:-1]) < most or len(ahead) <= 1, "ST-1: one oversized item more"
                assert stream.channel.size == sum(ahead), "ST-4"
        assert got == sizes, "ST-2"
        assert (stream.channel.size, stream.channel.waiting) == (0, 0), "ST-4: all given back"
        assert t.system.memory.report().regions["streams"] == 0, "ST-4"

    testkit.run(test, seed=seed)


def test_what_a_stream_holds_counts_for_the_memory_limit() -> None:
    async def test(t: TestSystem) -> None:
        writer = t.spawn(Writer)
        async with writer.stream(Texts((900,) * 5)) as stream:
            await t.run_until_idle()
            assert t.system.memory.report().regions["streams"] == 4500
            assert t.system.memory.level == "high"
            with pytest.raises(MemoryLimit):
                await anext(aiter(writer.stream(Texts((1,)))))
            assert len(stream.take_ready()) == 5
        assert t.system.memory.report().used == 0

    testkit.run(test, settings=Settings(memory_limit=5000))


@pytest.mark.parametrize("who", ["producer", "consumer"])
def test_ST_3_a_stream_in_which_nothing_moves_ends(who: str) -> None:
    async def test(t: TestSystem) -> None:
        source = t.spawn(Source)
        message = Count(100, pause=60.0 if who == "producer" else 0.0)
        got: list[int] = []
        with pytest.raises(StreamIdle, match="produced" if who == "producer" else "read"):
            async for n in source.stream(message, items=3, idle=10.0):
                got.append(n)
                await t.advance(60.0)
        assert got == ([] if who == "producer" else [0, 1, 2]), "ST-2: what there was comes first"
        await t.run_until_idle()
        assert source.instance.ended == 1, "ST-3"
        with pytest.raises(UsageError, match="above 0 seconds"):
            source.stream(Count(1), idle=0.0)

    testkit.run(test)
