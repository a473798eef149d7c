"""What users of other actor systems complain about in failure and the life cycle, answered."""

from __future__ import annotations

import asyncio
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
    Terminated,
    on,
)
from actinium.errors import ActorStopped, AskTimeout, HandlerError
from actinium.testkit import TestSystem


class Work(Message):
    n: int


class Fail(Message):
    pass


class Wait(Message):
    pass


class Node(Actor, mailbox=Mailbox(2, "drop_old")):
    def __init__(self, book: list[Any]) -> None:
        self.book = book
        self.works = 0

    @on
    def work(self, m: Work) -> int:
        self.works += 1
        return self.works

    @on
    def fail(self, m: Fail) -> None:
        raise ValueError("broken")

    @on(cancellable=True)
    async def wait(self, m: Wait) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self.book.append("ended")

    @on
    def ended(self, m: Terminated) -> None:
        self.book.append(m)


def test_complaint_4_control_messages_are_never_evicted() -> None:
    """A bounded mailbox that drops its oldest evicted death-watch notices."""

    async def test(t: TestSystem) -> None:
        book: list[Any] = []
        watcher, target = t.spawn(Node, book), t.spawn(Node, [])
        watcher.instance.ctx.watch(target)
        for n in range(2):
            watcher.tell(Work(n))
        target.kill()
        while target.alive or not target.stopped_flag:
            t.step(1)
        await t.run_until_idle()
        assert [m.ref for m in book] == [target]
        for n in range(50):
            watcher.tell(Work(n))
        watcher.stop()  # a flood does not delay it either
        assert await watcher.stopped() == "stopped"

    testkit.explore(test, seeds=range(1, 10))


def test_complaint_8_a_cancel_reaches_a_running_handler() -> None:
    """Cancelling a call left its handler running."""

    async def test(t: TestSystem) -> None:
        book: list[Any] = []
        ref = t.spawn(Node, book)
        asked = asyncio.ensure_future(ref.ask(Wait(), 60.0))
        await t.run_until_idle()
        asked.cancel()
        await t.run_until_idle()
        assert book == ["ended"]
        with pytest.raises(AskTimeout):
            await ref.ask(Wait(), 1.0)
        await t.run_until_idle()
        assert book == ["ended", "ended"]
        assert ref.incarnation == 0, "no failure of the actor"

    testkit.run(test)


def test_complaint_11_refs_survive_a_restart() -> None:
    """No supervisor: a handle to a dead actor just failed."""

    async def test(t: TestSystem) -> None:
        ref = t.spawn(Node, [])
        with pytest.raises(HandlerError):
            await ref.ask(Fail())
        assert await ref.ask(Work(1), 30.0) == 1
        assert ref.incarnation == 1

    testkit.run(test)


def test_complaint_19_a_failure_reaches_the_supervisor_with_no_ask_pending(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Failures were invisible unless somebody awaited the endpoint."""

    async def test(t: TestSystem) -> None:
        failures: list[ActorFailedEvent] = []
        t.system.events.subscribe(ActorFailedEvent, failures.append)
        ref = t.spawn(Node, [])
        ref.tell(Fail())
        await t.advance(1.0)
        assert ref.incarnation == 1
        assert [str(e.failure) for e in failures] == ["broken"]
        assert len(t.system.dead_letters.find(reason="handler_failed")) == 1

    testkit.run(test)
    reports = [r for r in caplog.records if r.name == "actinium.supervision"]
    assert len(reports) == 1, "one readable report"
    assert "broken" in reports[0].getMessage()


def test_complaint_gateway_31_failures_of_an_older_incarnation_are_ignored() -> None:
    """A stale failure cleared the connection that a restart had just made."""

    class Stubborn(Actor, concurrent=2):
        @on
        async def swallow(self, m: Wait) -> None:
            for _ in range(3):
                try:
                    await asyncio.sleep(10.0)
                except asyncio.CancelledError:
                    continue
            raise ValueError("stale")

        @on
        def fail(self, m: Fail) -> None:
            raise ValueError("first")

        @on
        def work(self, m: Work) -> int:
            return m.n

    async def test(t: TestSystem) -> None:
        ref = t.spawn(Stubborn)
        ref.tell(Wait())
        await t.run_until_idle()
        ref.tell(Fail())
        await t.advance(6.0)
        assert ref.incarnation == 1, "the stubborn handler was abandoned"
        await t.advance(60.0)
        assert ref.incarnation == 1, "its later failure is nobody's"
        assert await ref.ask(Work(3)) == 3
        assert (await t.shutdown()).lost == 0

    testkit.run(test)


# -- the supervision matrix: each failure x each directive x each strategy, and the hooks of each

HOOKS = {
    "resume": [],
    "restart": ["restarting", "init", "started", "restarted"],
    "stop": ["stopping"],
    "escalate": ["stopping"],
    "quarantine": [],
}
ORIGINS = ["def", "async", "stream", "started", "init"]


class Member(Actor):
    def __init__(self, book: list[str], fails: list[str]) -> None:
        book.append("init")
        self.book = book
        self.fails = fails
        self._maybe("init")

    def _maybe(self, origin: str) -> None:
        if self.fails and self.fails[0] == origin:
            self.fails.pop(0)
            raise KeyError(origin)

    def started(self) -> None:
        self.book.append("started")
        self._maybe("started")

    def restarted(self) -> None:
        self.book.append("restarted")

    def restarting(self, failure: BaseException) -> None:
        self.book.append("restarting")

    def stopping(self, reason: str) -> None:
        self.book.append("stopping")

    @on
    def plain(self, m: Work) -> int:
        self._maybe("def")
        return m.n

    @on
    async def later(self, m: Wait) -> None:
        await asyncio.sleep(0.01)
        self._maybe("async")

    @on
    async def stream(self, m: str) -> Any:
        yield 1
        self._maybe("stream")

    @on
    def crash(self, m: Fail) -> None:
        raise ValueError


class Boss(Actor):
    @on
    def nothing(self, m: int) -> None: ...


async def provoke(ref: LocalRef[Any], origin: str) -> None:
    if origin == "def":
        ref.tell(Work(0))
    elif origin == "async":
        ref.tell(Wait())
    elif origin == "stream":
        with pytest.raises((HandlerError, ActorStopped)):
            async for _ in ref.stream("x"):
                pass
    else:  # in the instance that a first failure makes
        ref.tell(Fail())


@pytest.mark.parametrize("strategy", [OneForOne, AllForOne, RestForOne])
@pytest.mark.parametrize("directive", list(HOOKS))
@pytest.mark.parametrize("origin", ORIGINS)
def test_SV_4_supervision_matrix(strategy: Any, directive: Any, origin: str) -> None:
    async def test(t: TestSystem) -> None:
        boss = t.spawn(Boss, supervise=OneForOne(decide={Exception: "stop"}))
        policy = strategy(decide={KeyError: directive, ValueError: "restart"}, backoff=(0.0, 0.0))
        books: list[list[str]] = [[], [], []]
        fails: list[str] = []
        refs = [
            boss.instance.ctx.spawn(Member, book, fails if n == 1 else [], supervise=policy)
            for n, book in enumerate(books)
        ]
        await t.run_until_idle()
        for book in books:
            assert book == ["init", "started"]
            book.clear()
        fails.append(origin)
        await provoke(refs[1], origin)
        await t.advance(1.0)
        assert fails == [], "it did fail"
        shared = {OneForOne: [1], AllForOne: [0, 1, 2], RestForOne: [1, 2]}[strategy]
        if origin in ("def", "async", "stream"):
            for n, book in enumerate(books):
                due = directive in ("restart", "stop") and n in shared
                alone = directive in ("resume", "quarantine") and n == 1
                if due or alone:
                    assert book == HOOKS[directive], (n, book)
                elif directive == "escalate":
                    assert book == ["stopping"]
                else:
                    assert book == [], (n, book)
        for book in books:
            assert book.count("stopping") <= 1, "LC-1"
        expected = {
            "resume": "active", "restart": "active", "stop": "stopped", "escalate": "stopped",
            "quarantine": "quarantined",
        }[directive]  # fmt: skip
        assert refs[1].life_state == expected, "SV-5"
        assert boss.alive == (directive != "escalate")
        if expected == "active":
            assert await refs[1].ask(Work(7)) == 7
        for ref in refs:
            assert ref.life_state not in ("suspended", "restarting"), "SV-5"
        assert (await t.shutdown()).lost == 0

    testkit.run(test)
