"""Ten million messages with faults of every kind: each has one fate, and memory stays flat."""

from __future__ import annotations

import asyncio
import gc
import logging
from pathlib import Path

import pytest

from actinium import testkit
from actinium.core import Actor, LocalRef, Mailbox, Message, OneForOne, Settings, System, on
from actinium.errors import ActiniumError, SpawnError
from actinium.testkit import Faults

MESSAGES = 10_000_000
NODES = 64
CHAINS = 2_000
HOPS = 100


class Hop(Message):
    left: int


class Look(Message):
    n: int


class Node(Actor, mailbox=Mailbox(1_000_000), concurrent=4):
    """Hands each message on; now and then by a timer, now and then with a question before."""

    def __init__(self, ring: list[LocalRef[Node]], place: int) -> None:
        self.ring = ring
        self.place = place

    def other(self, n: int) -> LocalRef[Node]:
        return self.ring[(self.place * 31 + n * 17 + 1) % NODES]

    @on
    def hop(self, m: Hop) -> None:
        left = m.left - 1
        if left == 0:
            return
        if left == 50 and self.place % 16 == 0:
            self.ctx.schedule(0.001, Hop(left), to=self.other(left))
        elif left == 25 and self.place % 16 == 1:
            self.ctx.self_ref.tell(Look(left))
        else:
            self.other(left).tell(Hop(left))

    @on
    async def look(self, m: Look) -> None:
        assert await self.other(m.n).ask("place?", 0.05) >= 0
        self.other(m.n).tell(Hop(m.n))

    @on
    def answer(self, m: str) -> int:
        return self.place


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def arm(faults: Faults, rounds: int) -> None:
    """Other points each round, and all of them in every fifth."""
    faults.disarm()
    chance = 0.0002
    among = rounds % 5
    if among in (0, 1):
        faults.arm(
            "mailbox.put",
            fail=chance, drop=chance, delay=chance, duplicate=10 * chance, kill=chance / 10,
            seconds=(0.0, 0.005),
        )  # fmt: skip
    for n, point in enumerate(("handler.before", "handler.after"), 2):
        if among in (0, n):
            faults.arm(point, fail=chance, delay=chance, seconds=0.001, kill=chance / 10)
    if among in (0, 4):
        faults.arm("timer.fire", drop=0.1, delay=0.1, duplicate=0.1, seconds=0.001)
    faults.arm("spawn", fail=0.1)


async def soak(messages: int) -> None:
    supervise = OneForOne(max_restarts=None, backoff=(0.0, 0.001))
    settings = Settings(supervise=supervise, ask_timeout=0.1)
    flat: list[int] = []
    async with System("soak", settings=settings) as system:
        with testkit.inject(system, seed=3) as faults:
            ring: list[LocalRef[Node]] = []
            rounds = 0
            while system.statistics()["accepted"] < messages:
                arm(faults, rounds)
                rounds += 1
                for place in range(NODES):
                    while place == len(ring) or not ring[place].alive:
                        try:
                            ring[place : place + 1] = [system.spawn(Node, ring, place)]
                        except SpawnError:
                            continue
                for n in range(CHAINS):
                    ring[n % NODES].tell(Hop(HOPS))
                    if n % 500 == 0:
                        try:
                            await ring[n % NODES].ask("place?")
                        except ActiniumError:
                            continue
                await system.idle()
                gc.collect()
                flat.append(resident())
            assert {kind for _, kind in faults.struck} == {
                "fail", "drop", "delay", "duplicate", "kill",
            }  # fmt: skip
        report = await system.shutdown()
    assert report.accepted >= messages
    assert report.accepted == report.handled + report.dead_lettered + report.withdrawn, "MS-1"
    assert report.lost == 0, "MS-1"
    assert report.dead_lettered > 0
    early, late = max(flat[: len(flat) // 4 + 1]), max(flat[-len(flat) // 4 - 1 :])
    assert late < 1.1 * early + 4_000_000, f"memory grew from {early} to {late} bytes: {flat}"


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger("actinium"), "disabled", True)
    for name in ("supervision", "deadletters"):
        monkeypatch.setattr(logging.getLogger(f"actinium.{name}"), "disabled", True)


def test_MS_1_a_hundred_thousand_messages_with_faults() -> None:
    asyncio.run(soak(MESSAGES // 100))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_MS_1_ten_million_messages_with_faults() -> None:
    asyncio.run(soak(MESSAGES))
