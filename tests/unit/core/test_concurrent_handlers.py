"""``@ac.on(concurrent=N)``: how many handlers may be under way while this one waits."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actinium import testkit
from actinium.core import Actor, Message, on
from actinium.errors import UsageError
from actinium.testkit import TestSystem


class Shared(Message):
    seconds: float


class Alone(Message):
    seconds: float


class Quick(Message):
    pass


class Engine(Actor):
    def __init__(self) -> None:
        self.now = {"shared": 0, "alone": 0}
        self.most = 0
        self.seen: list[str] = []

    async def _work(self, kind: str, seconds: float) -> None:
        assert self.now["alone"] == 0, "SC-1: somebody began while one was alone"
        self.now[kind] += 1
        self.most = max(self.most, self.now["shared"])
        await asyncio.sleep(seconds)
        self.now[kind] -= 1

    @on(concurrent=3)
    async def shared(self, m: Shared) -> None:
        await self._work("shared", m.seconds)

    @on
    async def alone(self, m: Alone) -> None:
        await self._work("alone", m.seconds)

    @on
    def quick(self, m: Quick) -> None:
        assert self.now["alone"] == 0, "SC-1: somebody began while one was alone"
        self.seen.append("quick")


def test_so_many_run_at_once_and_no_more() -> None:
    async def test(t: TestSystem) -> None:
        engine = t.spawn(Engine)
        for _ in range(7):
            engine.tell(Shared(1.0))
        await t.advance(10.0)
        assert engine.instance.most == 3
        assert t.system.statistics()["handled"] == 7

    testkit.run(test)


def test_a_plain_handler_gets_its_turn_between_them() -> None:
    async def test(t: TestSystem) -> None:
        engine = t.spawn(Engine)
        engine.tell(Shared(5.0))
        engine.tell(Quick())
        await t.advance(1.0)
        assert engine.instance.seen == ["quick"]

    testkit.run(test)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    st.lists(
        st.tuples(st.sampled_from([Shared, Alone, Quick, None]), st.floats(0, 2.0)), max_size=25
    ),
    st.integers(1, 2**32),
)
def test_SC_1_one_that_wants_to_be_alone_keeps_others_from_beginning(
    plan: list[tuple[Any, float]], seed: int
) -> None:
    async def test(t: TestSystem) -> None:
        engine = t.spawn(Engine)
        for kind, seconds in plan:
            if kind is None:
                await t.advance(seconds)
            else:
                engine.tell(kind(seconds) if kind is not Quick else Quick())
        await t.advance(100.0)
        sent = sum(kind is not None for kind, _ in plan)
        assert t.system.statistics()["handled"] == sent
        assert engine.incarnation == 0
        assert engine.instance.most <= 3

    testkit.run(test, seed=seed)


@pytest.mark.parametrize("bad", [0, -1, 65536])
def test_bad_numbers_are_refused(bad: int) -> None:
    with pytest.raises(UsageError, match=r"concurrent must be 1\.\.65535"):
        on(concurrent=bad)
