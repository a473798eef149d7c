"""What users of other actor systems complain about in failure and the life cycle, answered."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from actinium import testkit
from actinium.core import (
    Actor,
    ActorFailedEvent,
    Mailbox,
    Message,
    Terminated,
    on,
)
from actinium.errors import AskTimeout, HandlerError
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
