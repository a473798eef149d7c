"""Laws of the run budget: nobody keeps the shard, and the event loop has its turn (SC-4)."""

from __future__ import annotations

import asyncio
import time
from itertools import groupby

import pytest

from actinium import testkit
from actinium.core import Actor, Settings, System, on
from actinium.testkit import TestSystem

SLICE = 0.0002


class Log(Actor):
    def __init__(self, log: list[str], name: str, again: bool = False) -> None:
        self.log, self.name, self.again = log, name, again

    @on
    def take(self, n: int) -> None:
        self.log.append(self.name)
        if self.again:
            self.ctx.self_ref.tell(n)


@pytest.mark.parametrize("batch", [1, 5, 64])
def test_SC_4_a_run_ends_after_so_many_messages(batch: int) -> None:
    async def test(t: TestSystem) -> None:
        log: list[str] = []
        flooded, quiet = t.spawn(Log, log, "flooded", True), t.spawn(Log, log, "quiet")
        flooded.tell(0)
        for n in range(3):
            quiet.tell(n)
        t.system._running().step(1000)  # one slice: the budget alone divides it
        runs = [(name, len(list(same))) for name, same in groupby(log)]
        assert runs[:2] == [("flooded", batch), ("quiet", min(batch, 3))], "SC-4"
        flooded.kill()

    testkit.run(test, schedule="arrival", settings=Settings(batch=batch))


class Slow(Actor):
    def __init__(self, log: list[int], turns: list[int]) -> None:
        self.log, self.turns = log, turns

    @on
    def burn(self, n: int) -> None:
        self.log.append(self.turns[0])
        until = time.monotonic() + SLICE * 2
        while time.monotonic() < until:
            pass


def test_SC_4_the_event_loop_has_its_turn_after_each_slow_message() -> None:
    """The first of them may be 16: the clock is read that rarely while messages are quick."""

    async def main() -> list[int]:
        log: list[int] = []
        turns = [0]
        settings = Settings(slice_us=round(SLICE * 1e6))
        async with System(settings=settings) as system:
            slow = [system.spawn(Slow, log, turns) for _ in range(2)]
            for n in range(64):
                slow[n % 2].tell(n)
            while len(log) < 64:
                turns[0] += 1
                await asyncio.sleep(0)
        return [len(list(same)) for _, same in groupby(log)]

    in_a_row = asyncio.run(main())
    assert in_a_row[0] <= 16, "SC-4"
    assert set(in_a_row[1:]) == {1}, "SC-4"
