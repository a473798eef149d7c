"""Random commands by the thousand: a life follows its table, whatever is done to it (LC)."""

from __future__ import annotations

import asyncio
import logging
import random
import re
from collections import Counter
from typing import Any

import pytest

from actinium import testkit
from actinium.core import (
    Actor,
    ActorFailedEvent,
    AllForOne,
    LocalRef,
    Mailbox,
    Message,
    OneForOne,
    RestForOne,
    Settings,
    Stop,
    Terminated,
    failure,
    lifestate,
    on,
    quarantine,
    startstop,
)
from actinium.core.lifestate import LEGAL
from actinium.errors import SpawnError
from actinium.testkit import TestSystem

COMMANDS = 1_000_000
IN_ONE_SYSTEM = 20_000
ACTORS = 40

LEGAL_LIFE = re.compile(r"init( started( restarted)?)?( restarting| stopping)?")
"""What one instance may live through: each hook once, nothing after the last."""


class Boom(Exception):
    """A failure with the directive of its name."""


class Resumed(Boom): ...


class Restarted(Boom): ...


class Stopped(Boom): ...


class Escalated(Boom): ...


class Held(Boom): ...


FAILURES: tuple[type[Boom], ...] = (Resumed, Restarted, Stopped, Escalated, Held)
DECIDE: Any = {
    Resumed: "resume", Restarted: "restart", Stopped: "stop", Escalated: "escalate",
    Held: "quarantine",
}  # fmt: skip
SOME: Any = {"max_restarts": 5, "within": 0.05, "backoff": (0.0, 0.01)}
POLICIES = [
    OneForOne(decide=DECIDE, on_limit="stop", **SOME),
    AllForOne(decide=DECIDE, on_limit="quarantine", **SOME),
    RestForOne(decide=DECIDE, on_limit="escalate", **SOME),
    AllForOne(decide=DECIDE, on_limit="stop", keep_children=True, poison="retry:1", **SOME),
]
TOP = OneForOne(
    decide={BaseException: "restart"}, max_restarts=None, backoff=(0.0, 0.001), on_limit="stop"
)


class Work(Message):
    n: int


class Fail(Message):
    kind: int
    where: str


class Wait(Message):
    seconds: float


class Node(Actor, mailbox=Mailbox(64), trap_exit=True):
    """Writes its instances' lives down, and fails where it is told to."""

    def __init__(self, lives: list[list[str]], fails: list[Fail]) -> None:
        self.life = ["init"]
        lives.append(self.life)
        self.fails = fails
        self._maybe("init")

    def _maybe(self, where: str) -> None:
        if self.fails and self.fails[-1].where == where:
            raise FAILURES[self.fails.pop().kind]

    def _hook(self, name: str) -> Any:
        self.life.append(name)
        self._maybe(name)

    def started(self) -> Any:
        return self._hook("started")

    def restarted(self) -> Any:
        return self._hook("restarted")

    def restarting(self, failure: BaseException) -> Any:
        return self._hook("restarting")

    def stopping(self, reason: str) -> Any:
        return self._hook("stopping")

    @on
    def work(self, m: Work) -> int:
        if m.n == 0:
            raise Stop
        return m.n

    @on
    def fail(self, m: Fail) -> None:
        if m.where != "handler":
            self.fails.append(m)  # in the instance that this failure makes, or at the stop
        raise FAILURES[m.kind if m.where == "handler" else 1]

    @on
    async def wait(self, m: Wait) -> None:
        await asyncio.sleep(m.seconds)

    @on
    def ended(self, m: Terminated) -> None: ...


class Slow(Node):
    async def _hook(self, name: str) -> None:
        self.life.append(name)
        await asyncio.sleep(0.001)
        self._maybe(name)


class Stubborn(Node, concurrent=3):
    """Its handlers end late when they are cancelled."""

    @on
    async def wait(self, m: Wait) -> None:
        try:
            await asyncio.sleep(m.seconds)
        except asyncio.CancelledError:
            await asyncio.sleep(0.002)
            raise


class Zoo:
    """Some actors in trees, and what is known of each."""

    def __init__(self, t: TestSystem, rng: random.Random) -> None:
        self.t = t
        self.random = rng
        self.refs: list[LocalRef[Any]] = []
        self.state: dict[LocalRef[Any], str] = {}
        self.lives: dict[LocalRef[Any], list[list[str]]] = {}
        self.children: dict[LocalRef[Any], list[LocalRef[Any]]] = {}
        self.depth: dict[LocalRef[Any], int] = {}

    def spawn(self) -> None:
        rng = self.random
        above = rng.choice(self.refs) if self.refs and rng.random() < 0.8 else None
        if above is not None and (self.depth[above] >= 3 or above.instance is None):
            above = None
        cls = rng.choice((Node, Node, Slow, Stubborn))
        lives: list[list[str]] = []
        place = above.instance.ctx if above is not None else self.t
        policy = rng.choice(POLICIES) if above is not None else TOP
        try:
            ref = place.spawn(cls, lives, [], supervise=policy)
        except SpawnError:  # the parent is on its way out
            assert above is not None
            assert not above.alive or above.life_state in ("suspended", "restarting")
            return
        self.refs.append(ref)
        self.lives[ref] = lives
        self.state[ref] = "starting"
        self.children[ref] = []
        self.depth[ref] = self.depth[above] + 1 if above is not None else 0
        if above is not None:
            self.children[above].append(ref)

    def command(self) -> None:
        rng = self.random
        if len(self.refs) < ACTORS and rng.random() < 0.3:
            self.spawn()
            return
        ref, other = rng.choice(self.refs), rng.choice(self.refs)
        match rng.randrange(24):
            case 0:
                ref.stop()
            case 1:
                ref.stop(drain=True)
            case 2:
                ref.kill()
            case 3 | 4 | 5 | 6:
                ref.tell(Fail(rng.randrange(5), "handler"))
            case 7 | 8:
                where = rng.choice(("init", "started", "restarted", "restarting", "stopping"))
                ref.tell(Fail(rng.randrange(5), where))
            case 9 | 10:
                ref.tell(Wait(rng.choice((0.0, 0.001, 0.01, 100.0))))
            case 11:
                if ref.life_state == "active":
                    self.t.system.quarantine(ref, seconds=0.005)
            case 12:
                self.t.system.release(ref)
            case 13:
                if ref.instance is not None and ref is not other:
                    rng.choice((ref.instance.ctx.watch, ref.instance.ctx.link))(other)
            case 14:
                if ref.instance is not None:
                    ref.instance.ctx.unlink(other)
            case 15:
                ref.tell(Work(0))
            case 16 | 17:
                ref.ask(Work(1), 0.01)
            case 18:
                ref.tell(Work(2))
            case _:
                self.t.step(rng.randrange(4))

    def look(self) -> None:
        """What can be seen of everybody agrees with the table."""
        for ref in self.refs:
            before, now = self.state[ref], ref.life_state
            assert now == before or now in REACHABLE[before], f"LC-1: from {before} to {now}"
            if before in ("draining", "stopping", "stopped"):
                assert now not in ("active", "starting"), f"LC-1: from {before} to {now}"
            self.state[ref] = now
            if now == "stopped":
                alive = [k for k in self.children[ref] if not k.stopped_flag]
                assert not alive, f"LC-2: {ref} has stopped before {alive}"
        for ref in [r for r in self.refs if r.stopped_flag]:
            self.bury(ref)

    def bury(self, ref: LocalRef[Any]) -> None:
        self.refs.remove(ref)
        lives = self.lives.pop(ref)
        for n, life in enumerate(lives):
            assert LEGAL_LIFE.fullmatch(" ".join(life)), f"LC-1: {ref}: {lives}"
            ended = life[-1] in ("restarting", "stopping")
            assert ended or len(life) == 1 or n < len(lives) - 1, f"LC-1: no end: {lives}"
        del self.state[ref], self.children[ref], self.depth[ref]


def _closure() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for state in LEGAL:
        seen: set[str] = set()
        todo = [state]
        while todo:
            for after in LEGAL[todo.pop()] - seen:
                seen.add(after)
                todo.append(after)
        found[state] = seen
    return found


REACHABLE = _closure()


def waits_for_a_probe(ref: LocalRef[Any]) -> bool:
    above = ref.parent
    while above is not None and above.life_state != "quarantined":
        above = above.parent
    return ref.life_state == "suspended" and above is not None


async def run_commands(t: TestSystem, seed: int, commands: int) -> None:
    rng = random.Random(seed)
    zoo = Zoo(t, rng)
    wrong: list[BaseException] = []
    t.system.events.subscribe(
        ActorFailedEvent,
        lambda e: wrong.append(e.failure) if isinstance(e.failure, AssertionError) else None,
    )
    zoo.spawn()
    for number in range(commands):
        if not zoo.refs:
            zoo.spawn()
        zoo.command()
        if number % 8 == 0:
            await t.advance(rng.choice((0.0, 0.001, 0.002, 0.01)))
        if number % 16 == 0:
            zoo.look()
        assert not wrong, wrong
    await t.advance(3600.0)
    zoo.look()
    for ref in zoo.refs:
        at_rest = ref.life_state in ("active", "quarantined")
        # One whose parent is tried with its next message only then hears what becomes of it.
        assert at_rest or waits_for_a_probe(ref), f"SV-5: {ref} is {ref.life_state}"
    report = await t.shutdown()
    assert report.lost == 0, "MS-1"
    zoo.look()
    assert not zoo.refs, "LC-3"


@pytest.fixture
def moves(monkeypatch: pytest.MonkeyPatch) -> Counter[tuple[str, str]]:
    """Every move of any actor that the runtime makes, whether somebody looks or not."""
    monkeypatch.setattr(logging.getLogger("actinium"), "disabled", True)
    for name in ("supervision", "deadletters"):
        monkeypatch.setattr(logging.getLogger(f"actinium.{name}"), "disabled", True)
    seen: Counter[tuple[str, str]] = Counter()
    enter = lifestate.enter

    def counted(cell: LocalRef[Any], state: Any) -> None:
        seen[lifestate.life_state_of(cell), state] += 1
        enter(cell, state)

    for module in (failure, lifestate, quarantine, startstop):
        monkeypatch.setattr(module, "enter", counted)
    return seen


def play(commands: int, first_seed: int) -> None:
    for seed in range(first_seed, first_seed + -(-commands // IN_ONE_SYSTEM)):

        async def test(t: TestSystem, seed: int = seed) -> None:
            await run_commands(t, seed, min(commands, IN_ONE_SYSTEM))

        testkit.run(test, seed=seed, settings=Settings(hook_timeout=0.5, ask_timeout=0.05))


def test_LC_1_LC_2_thousands_of_random_commands(moves: Counter[tuple[str, str]]) -> None:
    play(8_000, 1)
    assert all(now == then or then in LEGAL[now] for now, then in moves), "LC-1"
    assert len(moves) > 20, moves


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_LC_1_LC_2_a_million_random_commands(moves: Counter[tuple[str, str]]) -> None:
    play(COMMANDS, 1000)
    assert all(now == then or then in LEGAL[now] for now, then in moves), "LC-1"
