"""Laws of timers: none early, none out of order, none after its end (TM)."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actinium import testkit
from actinium.core import (
    Actor,
    Idle,
    Mailbox,
    Message,
    OneForOne,
    on,
)
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


class Busy(Clock):
    """Blocks its shard, or takes its time, at each tick."""

    @on
    async def tick(self, m: Tick) -> None:
        self.seen.append((m.n, self.ctx.system.now()))
        await asyncio.sleep(m.n / 100)


def test_a_late_actor_gets_one_tick_and_the_others_are_counted() -> None:
    async def test(t: TestSystem) -> None:
        seen: list[tuple[int, float]] = []
        timer = t.spawn(Busy, seen).instance.ctx.schedule(1.0, Tick(340), every=1.0)
        await t.advance(10.4)
        # that of 1.0 runs until 4.4; the tick of 2.0 waits, those of 3.0 and 4.0 do not join it
        assert [at for _, at in seen] == pytest.approx([1.0, 4.4, 7.8], abs=0.002)
        assert timer.missed == 6  # 3 and 4, 6 and 7, 9 and 10
        timer.cancel()

    testkit.run(test)


def test_a_tick_that_was_refused_does_not_stop_the_timer() -> None:
    class Small(Busy, mailbox=Mailbox(capacity=1, on_full="drop_old")):
        pass

    async def test(t: TestSystem) -> None:
        seen: list[tuple[int, float]] = []
        small = t.spawn(Small, seen)
        small.instance.ctx.schedule(1.0, Tick(90), every=1.0)
        small.tell(Tick(250))
        await t.advance(1.5)
        small.tell(Tick(0))  # pushes the tick of 1.0 out
        await t.advance(10.0)
        letter = await t.expect_dead_letter("mailbox_full")
        assert letter.message == Tick(90)
        assert [n for n, _ in seen][:3] == [250, 0, 90] or [n for n, _ in seen][:2] == [250, 90]
        assert len(seen) > 8

    testkit.run(test)


def test_fixed_delay_counts_from_the_sending_and_fixed_rate_from_the_due_time() -> None:
    """Told apart only where the shard itself is late: a step that jumps over periods."""

    async def test(t: TestSystem) -> None:
        core = t.system._running()
        fired: dict[str, list[float]] = {"rate": [], "delay": []}
        timers = {
            kind: core.schedule(
                1.0, lambda kind=kind: fired[kind].append(core.now()), None, 1.0, kind == "delay"
            )
            for kind in fired
        }
        for now in (1.0, 2.75, 3.0, 3.5, 3.75, 4.0, 4.75, 9.0, 9.5, 10.0):
            core.set_time(now)
            core.step(100)
        assert fired["rate"] == [1.0, 2.75, 3.0, 4.0, 9.0, 10.0]
        assert fired["delay"] == [1.0, 2.75, 3.75, 4.75, 9.0, 10.0]
        assert (timers["rate"].missed, timers["delay"].missed) == (4, 0)
        for timer in timers.values():
            timer.cancel()

    testkit.run(test)


def test_an_unknown_drift_is_refused() -> None:
    async def test(t: TestSystem) -> None:
        ctx = t.spawn(Clock, []).instance.ctx
        with pytest.raises(UsageError, match="drift='rate' or drift='delay', got 'fast'"):
            ctx.schedule(1.0, Tick(1), every=1.0, drift="fast")
        timer = ctx.schedule(1.0, Tick(1), every=1.0, drift="delay")
        await t.advance(3.5)
        assert timer.missed == 0

    testkit.run(test)


@pytest.mark.parametrize("bad", [(-1.0, None), (1.0, 0.0), (1.0, -2.0)])
def test_bad_delays_are_refused(bad: tuple[float, float | None]) -> None:
    async def test(t: TestSystem) -> None:
        ctx = t.spawn(Clock, []).instance.ctx
        with pytest.raises(UsageError, match=r"schedule\(\) needs delay >= 0 and every > 0"):
            ctx.schedule(bad[0], Tick(1), every=bad[1])

    testkit.run(test)
