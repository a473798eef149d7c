"""``ctx.sleep``: waiting on the system's own timers."""

from __future__ import annotations

import asyncio

import pytest

import actinium as ac
from actinium.testkit import TestSystem, run


class Nap(ac.Message):
    seconds: float


class Sleeper(ac.Actor, concurrent=8):
    def __init__(self) -> None:
        self.woke: list[float] = []

    @ac.on
    async def nap(self, m: Nap) -> float:
        began = self.ctx.system.now()
        await self.ctx.sleep(m.seconds)
        self.woke.append(m.seconds)
        return self.ctx.system.now() - began


def test_it_is_never_early_and_at_most_a_tick_late() -> None:
    async def test(t: TestSystem) -> None:
        ref = t.spawn(Sleeper)
        for seconds in (0.0, 0.0004, 0.001, 0.0105, 1.0, 70.0):
            slept = await ref.ask(Nap(seconds), 100.0)
            assert seconds <= slept + 1e-9
            assert slept <= seconds + 0.001 + 1e-9

    run(test)


def test_sleepers_side_by_side_wake_in_the_order_of_their_times() -> None:
    async def test(t: TestSystem) -> None:
        ref = t.spawn(Sleeper)
        for seconds in (0.3, 0.1, 0.2):
            ref.tell(Nap(seconds))
        await t.advance(0.5)
        assert ref.instance.woke == [0.1, 0.2, 0.3]

    run(test)


def test_it_can_be_cancelled_and_used_by_asyncio() -> None:
    class Waits(ac.Actor):
        @ac.on
        async def nap(self, m: Nap) -> str:
            try:
                async with asyncio.timeout(m.seconds / 2):
                    await self.ctx.sleep(m.seconds)
            except TimeoutError:
                await asyncio.wait_for(self.ctx.sleep(0.1), 1.0)
                return "timed out"
            return "slept"

    async def test(t: TestSystem) -> None:
        ref = t.spawn(Waits)
        assert await ref.ask(Nap(2.0)) == "timed out"
        ref.tell(Nap(1000.0))
        await t.advance(1.0)
        ref.kill()
        assert await ref.stopped() == "killed"
        assert t.system.statistics()["timers"] == 0

    run(test)


def test_bad_times_are_refused() -> None:
    class Bad(ac.Actor):
        @ac.on
        async def nap(self, m: Nap) -> None:
            await self.ctx.sleep(m.seconds)

    async def test(t: TestSystem) -> None:
        with pytest.raises(ac.ActiniumError, match="seconds must be 0 or more"):
            await t.spawn(Bad).ask(Nap(-1.0))

    run(test)
