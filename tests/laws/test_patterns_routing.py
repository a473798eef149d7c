"""RT-1: in-flight counts return to zero, and rendezvous moves only the removed routee's keys."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actinium import testkit
from actinium.core import Actor, Message, OneForOne, Settings, on
from actinium.patterns import LeastLoaded, RoundRobin, Router, Strategy
from actinium.patterns.routing.choose import _bytes, _digest, rendezvous
from actinium.patterns.routing.members import Member
from actinium.testkit import TestSystem

law = settings(max_examples=40, deadline=None, derandomize=True)


class Job(Message):
    n: int
    do: str = "work"
    takes: float = 0.01


class Worker(Actor):
    def __init__(self, slower: float = 1.0) -> None:
        self.slower = slower

    @on
    async def job(self, m: Job) -> int:
        await asyncio.sleep(m.takes * self.slower)
        if m.do == "fail":
            raise ValueError(m.n)
        return m.n


@law
@given(st.sets(st.text(max_size=8), min_size=2, max_size=20), st.lists(st.text(), max_size=60))
def test_RT_1_rendezvous_moves_only_the_keys_of_whom_is_removed(
    names: set[str], keys: list[str]
) -> None:
    members = tuple(Member(name, name) for name in sorted(names))
    gone = members[len(members) // 2]
    left = tuple(m for m in members if m is not gone)
    for key in keys:
        number = _digest(_bytes(key))
        before = rendezvous(number, members, {})
        after = rendezvous(number, left, {})
        assert after == before or before == gone, f"RT-1: {key!r} moved without need"
        assert rendezvous(number, members[::-1], {}) == before, "the order does not matter"


def test_RT_1_keys_are_spread_evenly_and_alike_in_every_process() -> None:
    members = tuple(Member(f"w{n}", n) for n in range(10))
    shares = Counter(rendezvous(_digest(_bytes(k)), members, {}).ref for k in range(10_000))
    assert min(shares.values()) > 800 and max(shares.values()) < 1200
    chosen = [rendezvous(_digest(_bytes(k)), members, {}).ref for k in ("anna", "ben", b"x", 7)]
    assert chosen == [3, 0, 9, 4]


@pytest.mark.parametrize("seed", range(1, 21))
def test_RT_1_in_flight_returns_to_zero_after_anything(seed: int) -> None:
    policy = OneForOne(max_restarts=None, backoff=(0.001, 0.01))

    async def test(t: TestSystem) -> None:
        rng = random.Random(seed)
        by = LeastLoaded(seed)
        workers = [t.spawn(Worker) for _ in range(5)]
        router = Router(by, workers)
        asks: list[Any] = []
        for n in range(200):
            do = rng.choice(["work", "work", "fail"])
            asks.append(router.ask(Job(n, do, rng.random() * 0.05), rng.choice([None, 0.02])))
            if rng.random() < 0.2:
                rng.choice(asks).cancel()
            if rng.random() < 0.02:
                rng.choice(workers).kill()
            if rng.random() < 0.3:
                await t.advance(rng.random() * 0.02)
        await t.advance(60.0)
        assert all(ask.done() for ask in asks)
        await asyncio.sleep(0)
        assert by.in_flight == {}, f"RT-1: {by.in_flight}"

    testkit.run(test, seed=seed, settings=Settings(supervise=policy))


async def p99(t: TestSystem, by: Strategy) -> float:
    """Of the seconds that asks take at half load, with one of ten workers ten times slower."""
    router = Router(by, [t.spawn(Worker, 10.0 if n == 0 else 1.0) for n in range(10)])
    took: list[float] = []

    async def ask(n: int) -> None:
        began = t.now()
        await router.ask(Job(n), 1000.0)
        took.append(t.now() - began)

    async with asyncio.TaskGroup() as asks:
        for n in range(3000):
            asks.create_task(ask(n))
            await asyncio.sleep(1 / 450)
    return sorted(took)[int(len(took) * 0.99)]


def test_RT_1_with_one_slow_routee_least_loaded_beats_round_robin() -> None:
    async def test(t: TestSystem) -> None:
        least, around = await p99(t, LeastLoaded(1)), await p99(t, RoundRobin())
        assert least <= 0.3 * around, f"p99 {least:.3f} s against {around:.3f} s"

    testkit.run(test)
