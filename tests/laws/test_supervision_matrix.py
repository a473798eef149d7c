"""The supervision matrix: each kind of failure x each place it may come from x each strategy.

Three siblings share a strategy; the middle one fails once. What is left of them, how many
instances each had, and what each instance lived through follow from the directive alone.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from actinium import testkit
from actinium.core import (
    Actor,
    ActorFailedEvent,
    AllForOne,
    LocalRef,
    Message,
    OneForOne,
    RestForOne,
    Settings,
    Stop,
    SupervisorStrategy,
    on,
)
from actinium.errors import (
    ActiniumError,
    AskCycle,
    ChildFailed,
    ConfigError,
    LinkedExit,
    SequenceConflict,
    SpawnError,
    UsageError,
    WorkerDied,
)
from actinium.testkit import TestSystem

STRATEGIES: tuple[type[SupervisorStrategy], ...] = (OneForOne, AllForOne, RestForOne)
SHARED: dict[type[SupervisorStrategy], set[int]] = {
    OneForOne: {1},
    AllForOne: {0, 1, 2},
    RestForOne: {1, 2},
}
DIRECTIVES: Any = ("resume", "restart", "stop", "escalate", "quarantine")
HANDLERS = ("def", "async", "later", "stream", "batch", "timer", "pipe", "ask", "deferred")
STARTS = ("init", "started", "restarted")
HOOKS = ("first started", *STARTS, "restarting", "stopping")
AT_ONCE: Any = {"backoff": (0.0, 0.0), "max_restarts": None}


class First(Exception):
    """What brings an actor into its second instance."""


class Boom(Exception):
    pass


class Odd(BaseException):
    pass


class Hang(Exception):
    """Stands for a hook that does not end in time."""


KINDS: dict[str, type[BaseException]] = {
    "exception": Boom,
    "base exception": Odd,
    "cancellation of its own": asyncio.CancelledError,
    "hang": Hang,
}
rare = pytest.mark.slow
"""For the corners of the matrix: every one takes milliseconds, all together seconds."""
ONE_OFTEN = [OneForOne, *(pytest.param(s, marks=rare) for s in STRATEGIES[1:])]


class Go(Message):
    how: str


class Do(Message):
    how: str


class Later(Message):
    how: str


class Give(Message):
    how: str


class Many(Message):
    how: str


class Member(Actor):
    """Writes down each instance's life, and fails at the place it is told to, once."""

    def __init__(self, lives: list[list[str]], fails: dict[str, Any]) -> None:
        self.life: list[str] = ["init"]
        self.fails = fails
        lives.append(self.life)
        self._maybe("init")

    def _maybe(self, place: str) -> None:
        failure = self.fails.pop(place, None)
        if failure is not None:
            raise failure

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
    def go(self, m: Go) -> None:
        match m.how:
            case "first":
                raise First
            case "timer":
                self.ctx.schedule(0.001, Do("timer"))
            case "pipe":
                self.ctx.pipe(self._fails_beside(m.how))

    async def _fails_beside(self, how: str) -> int:
        await asyncio.sleep(0.001)
        self._maybe(how)
        return 1

    @on
    def do(self, m: Do) -> None:
        self._maybe(m.how)

    @on
    async def later(self, m: Later) -> None:
        if m.how == "later":
            await asyncio.sleep(0.01)
        self._maybe(m.how)

    @on
    async def give(self, m: Give) -> AsyncGenerator[int]:
        yield 1
        self._maybe(m.how)

    @on(batch=4)
    def many(self, ms: list[Many]) -> None:
        self._maybe(ms[0].how)

    @on
    def deferred(self, m: bytes) -> None:
        self.token = self.ctx.defer()
        self._maybe("deferred")

    @on
    def number(self, m: int) -> int:
        return m


class Slow(Member):
    """Its hooks wait before they end or fail."""

    async def _hook(self, name: str) -> None:
        self.life.append(name)
        await asyncio.sleep(0.01)
        if isinstance(self.fails.get(name), Hang):
            del self.fails[name]
            await asyncio.sleep(1e9)
        self._maybe(name)


class Boss(Actor):
    @on
    def nothing(self, m: int) -> None: ...


async def provoke(t: TestSystem, ref: LocalRef[Any], place: str) -> None:
    match place:
        case "def":
            ref.tell(Do(place))
        case "async" | "later":
            ref.tell(Later(place))
        case "stream":
            with pytest.raises(ActiniumError):
                async with ref.stream(Give(place)) as items:
                    async for item in items:
                        assert item == 1
        case "batch":
            ref.tell_many([Many(place)] * 3)
        case "timer" | "pipe":
            ref.tell(Go(place))
        case "ask":
            with pytest.raises(ActiniumError):
                await ref.ask(Do(place), 60.0)
        case "deferred":
            with pytest.raises(ActiniumError):
                await ref.ask(b"", 60.0)
        case "init" | "started" | "restarted" | "restarting":
            ref.tell(Go("first"))
        case "stopping":
            ref.stop()
    await t.advance(60.0)


LEGAL_LIFE = re.compile(r"init( started( restarted)?)?( restarting| stopping)?")
"""What one instance may live through (LC-1): each hook once, nothing after the last."""

Outcome = tuple[list[str], list[int], bool]
"""Of each sibling its state and its incarnation; whether their parent is alive."""


def expected(place: str, directive: str, shared: set[int]) -> Outcome:
    """The model."""
    states, incarnations = ["active"] * 3, [0, 0, 0]
    if place == "stopping":
        states[1] = "stopped"
        return states, incarnations, True
    second = place in STARTS or place == "restarting"
    if second:  # the first failure has done this
        for n in shared:
            incarnations[n] += 1
    if place == "restarting":
        return states, incarnations, True
    if directive == "resume" and place == "init":
        directive = "restart"  # there is no instance to go on with
    match directive:
        case "restart":
            for n in shared:  # those after the failed one had not come up again
                incarnations[n] += not (second and n > 1)
        case "stop":
            for n in shared:
                states[n] = "stopped"
        case "quarantine":
            states[1] = "quarantined"
        case "escalate":
            states = ["stopped"] * 3
    return states, incarnations, directive != "escalate"


def exact_lives(directive: str, n: int, shared: set[int]) -> list[list[str]]:
    """What the instances of a sibling lived through after a failure in service."""
    if directive == "escalate" or (directive == "stop" and n in shared):
        return [["init", "started", "stopping"]]
    tried_again = directive == "quarantine" and n == 1  # once its time is over
    if tried_again or (directive == "restart" and n in shared):
        return [["init", "started", "restarting"], ["init", "started", "restarted"]]
    return [["init", "started"]]


async def play(
    t: TestSystem,
    cls: type[Member],
    place: str,
    failure: BaseException,
    strategy: type[SupervisorStrategy],
    directive: Any,
) -> None:
    boss = t.spawn(Boss, supervise=OneForOne(decide={BaseException: "stop"}))
    seen: list[type[BaseException]] = []
    t.system.events.subscribe(ActorFailedEvent, lambda e: seen.append(type(e.failure)))
    policy = strategy(decide={First: "restart", BaseException: directive}, **AT_ONCE)
    lives: list[list[list[str]]] = [[], [], []]
    fails: dict[str, Any] = {}
    if place == "first started":
        fails["started"] = failure
    refs = []
    for n in range(3):  # each is up before the next one comes
        mine = fails if n == 1 else {}
        refs.append(boss.instance.ctx.spawn(cls, lives[n], mine, supervise=policy))
        if place != "first started":
            await t.advance(1.0)
    if place != "first started":
        fails[place] = failure
    await provoke(t, refs[1], place)
    what = (place, type(failure).__name__, strategy.__name__, directive)
    assert not fails, ("it did not fail", what)

    states, incarnations, parent = expected(place, directive, SHARED[strategy])
    assert [ref.life_state for ref in refs] == states, (what, lives)
    assert boss.alive == parent, what
    for n, ref in enumerate(refs):
        living = states[n] == "active"
        if living:
            assert ref.incarnation == incarnations[n], (what, n, lives)
            assert await ref.ask(n, 60.0) == n, what
        for life in lives[n]:
            assert LEGAL_LIFE.fullmatch(" ".join(life)), ("LC-1", what, lives)
        for life in lives[n][:-1]:
            assert life[-1] == "restarting" or life == ["init"] or life[-1] in STARTS, (what, lives)
        if not living and states[n] == "stopped" and len(lives[n][-1]) > 1:
            ended = lives[n][-1][-1] in ("stopping", "restarting")
            assert ended, ("LC-1", what, lives)
    if place in HANDLERS:
        for n, life in enumerate(lives):
            assert life == exact_lives(directive, n, SHARED[strategy]), (what, n)
    decided = [kind for kind in seen if kind not in (First, ChildFailed)]
    quiet = place in ("restarting", "stopping")  # these are written to the log
    assert len(decided) == (0 if quiet else 1), ("SV-4: once", what, seen)
    report = await t.shutdown()
    assert report.lost == 0, ("MS-1", what)
    assert not [ref for ref in refs if not ref.stopped_flag], "LC-2"


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("supervision", "deadletters"):
        monkeypatch.setattr(logging.getLogger(f"actinium.{name}"), "disabled", True)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize(
    "kind",
    ["exception", *(pytest.param(k, marks=rare) for k in KINDS if k not in ("exception", "hang"))],
)
@pytest.mark.parametrize("place", HANDLERS)
def test_SV_4_SV_2_matrix_of_handlers(place: str, kind: str, strategy: Any) -> None:
    for directive in DIRECTIVES:

        async def test(t: TestSystem, directive: Any = directive) -> None:
            await play(t, Member, place, KINDS[kind](place), strategy, directive)

        testkit.run(test)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize(
    ("slow", "kind"),
    [
        (False, "exception"),
        (True, "hang"),
        *(
            pytest.param(slow, kind, marks=rare)
            for slow in (False, True)
            for kind in KINDS
            if (slow, kind) not in ((False, "exception"), (True, "hang"), (False, "hang"))
        ),
    ],
)
@pytest.mark.parametrize("place", HOOKS)
def test_SV_4_SV_2_LC_1_matrix_of_hooks(slow: bool, place: str, kind: str, strategy: Any) -> None:
    if kind == "hang" and place == "init":
        return  # a constructor does not await
    for directive in DIRECTIVES:

        async def test(t: TestSystem, directive: Any = directive) -> None:
            failure = KINDS[kind](place)
            await play(t, Slow if slow else Member, place, failure, strategy, directive)

        testkit.run(test, settings=Settings(hook_timeout=1.0))


@pytest.mark.parametrize("place", [*HANDLERS, *HOOKS])
@pytest.mark.parametrize("strategy", ONE_OFTEN)
def test_SV_5_SystemExit_ends_the_system_in_order_from_everywhere(
    place: str, strategy: Any
) -> None:
    async def test(t: TestSystem) -> None:
        policy = strategy(decide={First: "restart"}, **AT_ONCE)
        fails: dict[str, Any] = {}
        failure = SystemExit(3)
        if place == "first started":
            fails["started"] = failure
        refs = [t.spawn(Member, [], fails if n == 1 else {}, supervise=policy) for n in range(3)]
        if place != "first started":
            await t.run_until_idle()
            fails[place] = failure
        await provoke(t, refs[1], place)
        assert not fails
        report = await t.system.ended()
        assert report.lost == 0
        assert not [ref for ref in refs if not ref.stopped_flag]

    with pytest.raises(SystemExit, match="3"):
        testkit.run(test)


@pytest.mark.parametrize("place", HANDLERS)
@pytest.mark.parametrize("strategy", ONE_OFTEN)
def test_SV_4_a_stop_that_is_raised_is_no_failure_and_takes_nobody_along(
    place: str, strategy: Any
) -> None:
    async def test(t: TestSystem) -> None:
        policy = strategy(decide={BaseException: "restart"}, **AT_ONCE)
        fails: dict[str, Any] = {place: Stop()}
        lives: list[list[list[str]]] = [[], [], []]
        refs = [
            t.spawn(Member, lives[n], fails if n == 1 else {}, supervise=policy) for n in range(3)
        ]
        await t.run_until_idle()
        await provoke(t, refs[1], place)
        assert [ref.life_state for ref in refs] == ["active", "stopped", "active"]
        assert lives[1] == [["init", "started", "stopping"]]

    testkit.run(test)


DEFAULTS = {
    Boom: "restart",
    Odd: "restart",
    asyncio.CancelledError: "restart",
    TimeoutError: "restart",
    AskCycle: "restart",
    UsageError: "restart",
    SpawnError: "restart",
    WorkerDied: "restart",
    SequenceConflict: "restart",
    ChildFailed: "restart",
    ConfigError: "stop",
    LinkedExit: "stop",
    MemoryError: "escalate",
}


@pytest.mark.parametrize("failure", DEFAULTS)
def test_the_directive_of_each_failure_without_a_policy(failure: type[BaseException]) -> None:
    found = OneForOne().directive(failure.__new__(failure))
    assert found == DEFAULTS[failure]
