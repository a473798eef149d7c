"""Laws of supervision: every failure, whatever its origin, ends as its directive says (SV)."""

from __future__ import annotations

import asyncio
import gc
import logging
import random
import weakref
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actinium import testkit
from actinium.core import Actor, Durable, Mailbox, Message, OneForOne, on
from actinium.core.supervision import RestartWindow
from actinium.errors import (
    ActorStopped,
    AskTimeout,
    ConfigError,
    HandlerError,
    SpawnError,
    SystemFailed,
    UsageError,
)
from actinium.testkit import TestSystem

law = settings(max_examples=100, deadline=None, derandomize=True)

ORIGINS = ["plain", "async", "async_later", "stream", "timer", "ask"]
DIRECTIVES = ["resume", "restart", "stop", "escalate"]


class Boom(Exception):
    pass


class Do(Message):
    what: str


class DoLater(Message):
    what: str


class DoStream(Message):
    what: str


class Count(Message):
    pass


class Fragile(Actor):
    """Fails in the way it is told to, and counts what it handled in this incarnation."""

    made = 0

    def __init__(self, lives: list[str]) -> None:
        self.lives = lives
        self.n = 0
        lives.append("made")

    def started(self) -> None:
        self.lives.append("started")

    def stopping(self, reason: str) -> None:
        self.lives.append(f"stopping: {reason}")

    def restarting(self, failure: BaseException) -> None:
        self.lives.append(f"restarting: {failure}")

    @on
    def do(self, m: Do) -> None:
        if m.what == "timer":
            self.ctx.schedule(0.0, Do("fail"))
        else:
            raise Boom(m.what)

    @on
    async def later(self, m: DoLater) -> None:
        if m.what == "async_later":
            await asyncio.sleep(0.01)
        raise Boom(m.what)

    @on
    async def stream(self, m: DoStream) -> AsyncGenerator[int]:
        yield 1
        raise Boom(m.what)

    @on
    def count(self, m: Count) -> int:
        self.n += 1
        return self.n


async def provoke(t: TestSystem, ref: Any, origin: str) -> None:
    match origin:
        case "plain":
            ref.tell(Do("plain"))
        case "async" | "async_later":
            ref.tell(DoLater(origin))
        case "timer":
            ref.tell(Do("timer"))
            t.step()
            t.step(0)  # the timer fires; its message is the next
        case "ask":
            with pytest.raises(HandlerError) as failure:
                await ref.ask(Do("ask"))
            assert isinstance(failure.value.cause, Boom), "SV-4: its asker knows why"
        case "stream":
            got = []
            with pytest.raises(HandlerError):
                async with ref.stream(DoStream("stream")) as items:
                    async for item in items:
                        got.append(item)  # noqa: PERF401 - what came before the failure counts
            assert got == [1], "ST-2"


@pytest.mark.parametrize("directive", DIRECTIVES)
@pytest.mark.parametrize("origin", ORIGINS)
def test_SV_4_every_origin_reaches_its_supervisor_once(origin: str, directive: Any) -> None:
    async def test(t: TestSystem) -> None:
        lives: list[str] = []
        policy = OneForOne(decide={Boom: directive}, backoff=(0.0, 0.0))
        parent_policy = OneForOne(decide={Exception: "stop"})
        parent = t.spawn(Guard, supervise=parent_policy)
        ref = parent.instance.ctx.spawn(Fragile, lives, supervise=policy)
        for _ in range(2):
            assert await ref.ask(Count()) >= 1
        await provoke(t, ref, origin)
        waiting = [ref.ask(Count(), 10.0) for _ in range(3)]
        await t.advance(1.0)
        letters = t.system.dead_letters.find(reason="handler_failed")
        assert len(letters) == 1, "SV-4: once"
        assert "Boom" in letters[0].trace
        stats = t.system.statistics()
        restarts = stats["restarts"]
        if directive == "resume":
            assert [await w for w in waiting] == [3, 4, 5], "state is kept"
            assert (ref.incarnation, restarts, lives) == (0, 0, ["made", "started"])
        elif directive == "restart":
            assert [await w for w in waiting] == [1, 2, 3], "SV-1: mailbox kept, state new"
            assert (ref.incarnation, restarts) == (1, 1)
            assert [x.split(":")[0] for x in lives] == [
                "made", "started", "restarting", "made", "started"
            ], "LC-1"  # fmt: skip
        else:
            for w in waiting:
                with pytest.raises(ActorStopped):
                    await w
            assert not ref.alive
            assert parent.alive == (directive == "stop"), "SV-5"
            assert sum(x.startswith("stopping") for x in lives) == 1, "LC-1"

    testkit.explore(test, seeds=range(1, 8))


class Guard(Actor):
    @on
    def any(self, m: Count) -> None: ...


class FailsInInit(Fragile):
    def __init__(self, lives: list[str], fails: list[bool]) -> None:
        super().__init__(lives)
        if fails.pop(0):
            raise Boom("init")


class FailsInStarted(Fragile):
    def __init__(self, lives: list[str], fails: list[bool]) -> None:
        super().__init__(lives)
        self.fails = fails

    async def started(self) -> None:  # type: ignore[override]
        await asyncio.sleep(0)
        if self.fails.pop(0):
            raise Boom("started")


def test_a_constructor_that_fails_is_a_spawn_error() -> None:
    async def test(t: TestSystem) -> None:
        before = t.system.statistics()["actors"]
        with pytest.raises(SpawnError, match=r"FailsInInit\(.*could not be made: Boom: init"):
            t.spawn(FailsInInit, [], [True])
        assert t.system.statistics()["actors"] == before

    testkit.run(test)


@pytest.mark.parametrize("failures", [1, 3])
@pytest.mark.parametrize("cls", [FailsInInit, FailsInStarted])
def test_SV_4_a_failure_while_restarting_is_supervised_too(cls: Any, failures: int) -> None:
    async def test(t: TestSystem) -> None:
        lives: list[str] = []
        first = [False] if cls is FailsInInit else []
        fails = [*first, *[True] * failures, False]
        ref = t.spawn(cls, lives, fails)
        if cls is FailsInInit:
            ref.tell(Do("plain"))
        waiting = ref.ask(Count(), 60.0)
        assert await waiting == 1, "SV-1: the mailbox is kept through failed restarts"
        assert ref.incarnation == failures + (cls is FailsInInit)

    testkit.run(test)


@law
@given(st.lists(st.floats(0, 2.0), max_size=60), st.integers(0, 5), st.floats(0.1, 5.0))
def test_SV_3_the_restart_window_is_exact(gaps: list[float], most: int, within: float) -> None:
    policy = OneForOne(max_restarts=most, within=within)
    window = RestartWindow(random.Random(1))
    granted: list[float] = []
    now = 0.0
    for gap in gaps:
        now += gap
        inside = [at for at in granted if at > now - within]
        allowed = window.next_delay(policy, now) is not None
        assert allowed == (len(inside) < most), "SV-3"
        if allowed:
            granted.append(now)


def test_SV_3_the_eleventh_failure_within_five_seconds_escalates() -> None:
    async def test(t: TestSystem) -> None:
        parent = t.spawn(Guard, supervise=OneForOne(decide={Exception: "stop"}))
        policy = OneForOne(max_restarts=10, within=5.0, backoff=(0.0, 0.0))
        ref = parent.instance.ctx.spawn(Fragile, [], supervise=policy)
        for n in range(10):
            ref.tell(Do("fail"))
            await t.advance(0.4)
            assert (ref.incarnation, ref.alive) == (n + 1, True)
        ref.tell(Do("fail"))
        await t.advance(0.1)
        assert not parent.alive, "SV-5: escalated to the parent, whose policy stops it"
        assert not ref.alive

    testkit.run(test)


def test_restarts_wait_longer_each_time() -> None:
    async def test(t: TestSystem) -> None:
        ref = t.spawn(Fragile, [], supervise=OneForOne(backoff=(0.1, 0.4)))
        waits = []
        for _ in range(5):
            ref.tell(Do("fail"))
            at = t.now()
            await ref.ask(Count(), 10.0)
            waits.append(t.now() - at)
        assert waits[0] == 0.0
        for wait, nominal in zip(waits[1:], (0.1, 0.2, 0.4, 0.4), strict=True):
            assert 0.8 * nominal <= wait <= 1.2 * nominal + 0.002

    testkit.run(test)


def test_SV_5_a_failure_nobody_decides_about_ends_the_system() -> None:
    async def test(t: TestSystem) -> None:
        everything = OneForOne(decide={Exception: "escalate"})
        parent = t.spawn(Guard, supervise=everything)
        ref = parent.instance.ctx.spawn(Fragile, [], supervise=everything)
        ref.tell(Do("fail"))
        await t.advance(5.0)
        assert not ref.alive
        assert not parent.alive

    with pytest.raises(SystemFailed) as failure:
        testkit.run(test)
    cause: BaseException | None = failure.value.__cause__
    while cause is not None and not isinstance(cause, Boom):
        cause = cause.__cause__
    assert isinstance(cause, Boom)


def test_a_usage_error_of_a_handler_is_a_failure_like_others() -> None:
    """The call may be wrong for this message only; the actor goes on with the next."""

    class Careless(Fragile):
        @on
        def careless(self, m: str) -> None:
            if m == "schedule":
                self.ctx.schedule(-1.0, Count())
            elif m == "become":
                self.ctx.become("the state " + m)
            else:
                self.ctx.system.lookup("/user/x").tell([])  # NotAMessage or ActorNotFound

    async def test(t: TestSystem) -> None:
        ref = t.spawn(Careless, [])
        for n, m in enumerate(("schedule", "become", "lookup"), 1):
            with pytest.raises(HandlerError):
                await ref.ask(m)
            await t.advance(1.0)
            assert (ref.incarnation, ref.life_state) == (n, "active")
        strict = t.spawn(Careless, [], supervise=OneForOne(decide={UsageError: "stop"}))
        strict.tell("become")
        assert (await strict.stopped()).startswith("failed: UsageError"), "as its policy says"

    testkit.run(test)


def test_a_durable_actor_without_a_store_stops_at_once() -> None:
    class Account(Durable):
        State = Count

    async def test(t: TestSystem) -> None:
        reason = await t.spawn(Account, "a").stopped()
        assert reason.startswith("failed: ConfigError: "), reason

    testkit.run(test)


def test_config_errors_stop_at_once() -> None:
    class Wrong(Actor):
        @on
        def do(self, m: Do) -> None:
            raise ConfigError("no such key")

    async def test(t: TestSystem) -> None:
        ref = t.spawn(Wrong)
        ref.tell(Do("x"))
        assert (await ref.stopped()).startswith("failed: ConfigError")

    testkit.run(test)


def test_SV_1_the_failed_instance_handles_nothing_more_and_is_let_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A log record holds the traceback, and that the instance; pytest keeps the records.
    monkeypatch.setattr(logging.getLogger("actinium.supervision"), "disabled", True)

    async def test(t: TestSystem) -> None:
        ref = t.spawn(Fragile, [])
        old = weakref.ref(ref.instance)
        ref.tell(Do("fail"))
        await t.run_until_idle()
        assert ref.incarnation == 1
        await t.system.dead_letters.replay()
        await t.advance(1.0)
        ref.stop()
        await ref.stopped()
        gc.collect()
        assert old() is None, "SV-1: somebody still holds the failed instance"

    testkit.run(test)


def test_concurrent_handlers_are_cancelled_by_a_restart_and_their_asks_end() -> None:
    class Two(Fragile, concurrent=2):
        @on
        async def wait(self, m: float) -> str:
            await asyncio.sleep(m)
            return "done"

    async def test(t: TestSystem) -> None:
        ref = t.spawn(Two, [])
        waiting = ref.ask(1000.0, 2000.0)
        await t.run_until_idle()
        ref.tell(Do("fail"))
        with pytest.raises(Exception, match=r"stopped|restart"):
            await waiting
        assert t.now() < 1.0
        assert await ref.ask(Count()) == 1

    testkit.run(test)


def test_a_declared_exception_is_an_answer_and_no_failure() -> None:
    class Strict(Actor):
        @on(raises=(KeyError,))
        async def do(self, m: Do) -> None:
            raise KeyError(m.what)

    async def test(t: TestSystem) -> None:
        ref = t.spawn(Strict)
        with pytest.raises(KeyError):
            await ref.ask(Do("x"))
        assert ref.incarnation == 0
        assert len(t.system.dead_letters) == 0

    testkit.run(test)


@law
@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.sampled_from(["work", "fail", "kill", "step", "tick"])),
        max_size=40,
    ),
    st.sampled_from(DIRECTIVES),
    st.integers(1, 2**32),
)
def test_SV_5_nobody_stays_suspended(ops: list[tuple[int, str]], directive: Any, seed: int) -> None:
    async def test(t: TestSystem) -> None:
        top = OneForOne(decide={Exception: "restart"}, max_restarts=None, backoff=(0.0, 0.0))
        policy = OneForOne(decide={Boom: directive}, max_restarts=3, backoff=(0.0, 0.01))
        parents = [t.spawn(Guard, supervise=top) for _ in range(2)]
        refs = [
            p.instance.ctx.spawn(Fragile, [], supervise=policy, mailbox=Mailbox(50))
            for p in parents
            for _ in range(3)
        ]
        asks = []
        for which, op in ops:
            match op:
                case "work":
                    asks.append(refs[which].ask(Count(), 30.0))
                case "fail":
                    refs[which].tell(Do("fail"))
                case "kill":
                    refs[which].kill()
                case "step":
                    t.step(which)
                case "tick":
                    await t.advance(0.005 * which)
        await t.advance(60.0)
        for ref in refs:
            assert not (ref.alive and ref.paused_flag), "SV-5: suspended for ever"
            assert ref.depth == 0, "MB-2: messages wait and nobody runs them"
        for ask in asks:
            assert ask.done(), "MS-3"
            assert not isinstance(ask.exception(), AskTimeout), "MS-3: never answered"

    testkit.run(test, seed=seed)
