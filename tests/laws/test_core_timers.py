"""Laws of timers: none early, none out of order, none after its end (TM)."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actinium import testkit
from actinium.core import Actor, Idle, Message, OneForOne, on
from actinium.errors import UsageError
from actinium.testkit import TestSystem

law = settings(max_examples=80, deadline=None, derandomize=True)
delays = st.one_of(
    st.floats(0, 0.3),
    st.floats(0, 70.0),
    st.floats(0, 20_000.0),
    st.sampled_from([0.0, 0.001, 0.255, 0.256, 0.257, 65.536, 65.537]),
)


class Tick(Message):
    n: int


class Fail(Message):
    pass


class Clock(Actor):
    def __init__(self, seen: list[tuple[int, float]]) -> None:
        self.seen = seen

    @on
    def tick(self, m: Tick) -> None:
        self.seen.append((m.n, self.ctx.system.now()))

    @on
    def idle(self, m: Idle) -> None:
        self.seen.append((-1, self.ctx.system.now()))

    @on
    def fail(self, m: Fail) -> None:
        raise ValueError


@law
@given(st.lists(st.tuples(st.floats(0, 0.5), delays), max_size=25), st.integers(1, 2**32))
def test_TM_1_never_early_at_most_a_tick_late_and_in_order(
    plan: list[tuple[float, float]], seed: int
) -> None:
    async def test(t: TestSystem) -> None:
        seen: list[tuple[int, float]] = []
        clock = t.spawn(Clock, seen)
        ctx = clock.instance.ctx
        due: list[float] = []
        for n, (pause, delay) in enumerate(plan):
            await t.advance(pause)
            due.append(t.now() + delay)
            ctx.schedule(delay, Tick(n))
        await t.advance(20_001.0)
        assert sorted(n for n, _ in seen) == list(range(len(plan))), "TM-1: lost or doubled"
        for n, at in seen:
            assert due[n] - 1e-9 <= at <= due[n] + 0.001 + 1e-6, f"TM-1: {due[n]} fired at {at}"
        for (a, at_a), (b, at_b) in pairwise(seen):
            assert at_a <= at_b
            if at_a == at_b and int(-(-due[a] * 1e9 // 1e6)) == int(-(-due[b] * 1e9 // 1e6)):
                assert a < b, "TM-1: order within a tick"

    testkit.run(test, seed=seed)


@law
@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                ["set", "named", "cancel", "cancel_name", "restart", "advance", "step"]
            ),
            st.integers(0, 3),
            st.floats(0, 0.02),
        ),
        max_size=40,
    ),
    st.integers(1, 2**32),
)
def test_TM_2_nothing_comes_after_cancel_replace_or_restart(
    ops: list[tuple[str, int, float]], seed: int
) -> None:
    async def test(t: TestSystem) -> None:
        seen: list[tuple[int, float]] = []
        policy = OneForOne(max_restarts=None, backoff=(0.0, 0.0))
        clock = t.spawn(Clock, seen, supervise=policy)
        handles: list[tuple[int, Any]] = []
        by_name: dict[str, int] = {}
        gone: dict[int, int] = {}
        for n, (op, which, delay) in enumerate(ops):
            ctx = clock.instance.ctx
            match op:
                case "set":
                    handles.append((n, ctx.schedule(delay, Tick(n))))
                case "named":
                    name = f"t{which}"
                    if name in by_name:
                        gone.setdefault(by_name[name], len(seen))
                    ctx.schedule(delay, Tick(n), name=name)
                    by_name[name] = n
                case "cancel" if handles:
                    number, timer = handles[which % len(handles)]
                    timer.cancel()
                    gone.setdefault(number, len(seen))
                case "cancel_name":
                    ctx.cancel(f"t{which}")
                    if f"t{which}" in by_name:
                        gone.setdefault(by_name.pop(f"t{which}"), len(seen))
                case "restart":
                    clock.tell(Fail())
                    await t.run_until_idle()
                    for number in [*by_name.values(), *(h[0] for h in handles)]:
                        gone.setdefault(number, len(seen))
                    by_name.clear()
                    handles.clear()
                case "advance":
                    await t.advance(delay)
                case "step":
                    t.step()
        await t.advance(1.0)
        for position, (n, _) in enumerate(seen):
            assert position < gone.get(n, len(seen)), f"TM-2: timer {n} fired after its end"
        stats = t.system.statistics()
        assert stats["accepted"] == stats["handled"] + stats["dead_lettered"] + stats["withdrawn"]

    testkit.run(test, seed=seed)


def test_TM_2_a_stopped_actors_timers_are_gone() -> None:
    async def test(t: TestSystem) -> None:
        seen: list[tuple[int, float]] = []
        clock = t.spawn(Clock, seen)
        clock.instance.ctx.schedule(1.0, Tick(1), every=1.0)
        await t.advance(2.5)
        clock.stop()
        await clock.stopped()
        await t.advance(10.0)
        assert seen == [(1, 1.0), (1, 2.0)]
        assert t.system.statistics()["timers"] == 0

    testkit.run(test)


def test_fixed_rate_counts_from_the_due_time() -> None:
    async def test(t: TestSystem) -> None:
        seen: list[tuple[int, float]] = []
        timer = t.spawn(Clock, seen).instance.ctx.schedule(0.5, Tick(1), every=0.25)
        await t.advance(1.5)
        assert [at for _, at in seen] == [0.5, 0.75, 1.0, 1.25, 1.5]
        assert timer.active
        assert timer.missed == 0
        assert timer.cancel()
        assert not timer.cancel()

    testkit.run(test)


@pytest.mark.parametrize("bad", [(-1.0, None), (1.0, 0.0), (1.0, -2.0)])
def test_bad_delays_are_refused(bad: tuple[float, float | None]) -> None:
    async def test(t: TestSystem) -> None:
        ctx = t.spawn(Clock, []).instance.ctx
        with pytest.raises(UsageError, match=r"schedule\(\) needs delay >= 0 and every > 0"):
            ctx.schedule(bad[0], Tick(1), every=bad[1])

    testkit.run(test)
