"""The laws that actors on the move between shards are under: random programs, three shards.

SC-5, SC-1, MS-1, MS-2 and MS-3 as in docs/explain/invariants; the step itself is searched in
native/tests/explore_handover.cpp. They run where there is no GIL (scripts/free_threaded.sh).
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter
from typing import Any

import pytest

import actinium as ac
from actinium import errors
from actinium.core.sharding import gil_disabled

pytestmark = pytest.mark.skipif(
    not gil_disabled(), reason="shards run without a GIL: scripts/free_threaded.sh"
)

SHARDS = 3
SETTINGS = ac.Settings(
    ask_timeout=20.0,
    watchdog=0.0,
    move_us=0,  # whatever can be given away is
    supervise=ac.OneForOne(max_restarts=10**6, backoff=(0.0, 0.0)),
)


class Step(ac.Message):
    """Message ``number`` of ``sender`` to this actor; ``hops`` more are to follow."""

    sender: str
    number: int
    hops: int


class Meet(ac.Message):
    others: list[Any]


class Seen(ac.Message):
    """Answered with the threads the actor has run on."""


class Mover(ac.Actor):
    """Passes messages on, and notes every breach of a law."""

    def __init__(self, me: str, breaches: list[str]) -> None:
        self.me = me
        self.breaches = breaches
        self.busy = False
        self.threads: set[int] = set()
        self.last: dict[str, int] = {}
        self.numbers: Counter[Any] = Counter()
        self.others: list[Any] = []
        self.chance = random.Random(me)

    @ac.on
    def meet(self, m: Meet) -> None:
        self.others = m.others

    @ac.on
    def step(self, m: Step) -> int:
        if self.busy:
            self.breaches.append(f"SC-1: {self.me} ran twice at once")
        self.busy = True
        self.threads.add(threading.get_ident())
        if m.number <= self.last.get(m.sender, 0):
            self.breaches.append(f"MS-2: {m} to {self.me} after {self.last[m.sender]}")
        self.last[m.sender] = m.number
        sum(range(200))
        self.busy = False
        if m.hops and self.others:
            other = self.chance.choice(self.others)
            self.numbers[other] += 1
            other.tell(Step(self.me, self.numbers[other], m.hops - 1))
        if m.number % 197 == 0:
            raise ValueError(f"step {m.number}")
        return m.number

    @ac.on
    def seen(self, m: Seen) -> set[int]:
        return self.threads


class Driver(ac.Actor):
    """Asks movers from a shard of its own."""

    def __init__(self, me: str) -> None:
        self.me = me
        self.numbers: Counter[Any] = Counter()
        self.outcomes: Counter[str] = Counter()

    @ac.on
    async def drive(self, m: Meet) -> Counter[str]:
        for mover in m.others:
            self.numbers[mover] += 3
            first = self.numbers[mover] - 2
            mover.tell(Step(self.me, first, 4))
            impatient = mover.ask(Step(self.me, first + 1, 2), 0.0005)
            patient = mover.ask(Step(self.me, first + 2, 0))
            for ask in (impatient, patient):
                try:
                    await ask
                    self.outcomes["answered"] += 1
                except errors.ActiniumError as error:
                    self.outcomes[type(error).__name__] += 1
        return self.outcomes


def _tell_from_outside(movers: list[Any], rounds: int) -> None:
    """By a thread that is no shard."""
    for n in range(1, rounds + 1):
        for mover in movers:
            mover.tell(Step("stranger", n, 1))


async def _program(seed: int, rounds: int) -> None:
    chance = random.Random(seed)
    breaches: list[str] = []
    async with ac.System(shards=SHARDS, settings=SETTINGS) as system:
        movers = [system.spawn(Mover, f"mover {seed} {n}", breaches) for n in range(12)]
        drivers = [system.spawn(Driver, f"driver {n}", place=n) for n in (1, 2, 3)]
        for mover in movers:
            mover.tell(Meet(movers))
        stranger = threading.Thread(target=_tell_from_outside, args=(movers, rounds))
        stranger.start()
        moved, tries = 0, 0
        while tries < rounds or (not moved and tries < 50 * rounds):
            tries += 1
            some = chance.sample(movers, 6)
            outcomes = await asyncio.gather(*(d.ask(Meet(some), 60.0) for d in drivers))
            if chance.random() < 0.2:
                victim = chance.choice(movers)
                chance.choice((victim.kill, victim.stop))()
                assert await victim.stopped() in ("killed", "stopped")
                movers.remove(victim)
                newcomer = system.spawn(Mover, f"newcomer {seed} {tries}", breaches)
                newcomer.tell(Meet(movers))
                movers.append(newcomer)
            moved = sum(shard.moved_in for shard in system.shards())
        await asyncio.to_thread(stranger.join)
        await system.idle()
        paths = [mover.path for mover in movers]
        assert [system.lookup(path) for path in paths] == movers
        seen = [await mover.ask(Seen()) for mover in movers]
        assert len({shard for threads in seen for shard in threads}) > 1
        report = await system.shutdown()
    assert not breaches, breaches[:5]
    assert moved, "no actor has moved"
    accounted = report.handled + report.dead_lettered + report.withdrawn
    assert (report.accepted, report.lost, report.forced) == (accounted, 0, 0), f"MS-1: {report}"
    total = Counter[str]()
    for outcome in outcomes:
        total.update(outcome)
    assert total["answered"] > 0 and total.total() % 2 == 0, f"MS-3: {total}"


@pytest.mark.parametrize("seed", range(4))
def test_sc_5_sc_1_ms_1_ms_2_hold_for_actors_on_the_move(seed: int) -> None:
    asyncio.run(_program(seed, 40))


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", range(100, 108))
def test_sc_5_sc_1_ms_1_ms_2_hold_for_actors_long_on_the_move(seed: int) -> None:
    asyncio.run(_program(seed, 800))
