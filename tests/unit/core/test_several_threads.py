"""One system on each of several threads: refs cross, everything else stays on its own thread.

With a GIL the threads take turns; on a free-threaded interpreter they run at once, and these
tests are then the stress of everything that two systems share (scripts/free_threaded.sh).
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

import actinium as ac
from actinium.core import LocalRef, Report
from actinium.errors import UsageError

ROOMY = ac.Mailbox(1_000_000)
FREE_THREADED = hasattr(sys, "_is_gil_enabled") and not sys._is_gil_enabled()


class Numbered(ac.Message):
    sender: int
    number: int


class Sum(ac.Actor):
    """Checks the order of each sender and counts."""

    def __init__(self) -> None:
        self.last: dict[int, int] = {}
        self.disorder = 0

    @ac.on
    def numbered(self, msg: Numbered) -> None:
        if msg.number != self.last.get(msg.sender, 0) + 1:
            self.disorder += 1
        self.last[msg.sender] = msg.number

    @ac.on
    def read(self, msg: str) -> tuple[int, int, int]:
        return sum(self.last.values()), self.disorder, threading.get_ident()


class Relay(ac.Actor):
    """Sends what it gets on to an actor of another system."""

    def __init__(self, to: LocalRef[Sum]) -> None:
        self.to = to

    @ac.on
    def numbered(self, msg: Numbered) -> None:
        self.to.tell(msg)


class Meeting:
    """A system whose refs others wait for, alive until they say so."""

    def __init__(self, actors: int) -> None:
        self.refs: list[LocalRef[Sum]] = []
        self.ready = threading.Event()
        self.over: Callable[[], object] = lambda: None
        self.results: list[tuple[int, int, int]] = []
        self.report: Report | None = None
        self._actors = actors

    async def main(self) -> None:
        done = asyncio.Event()
        loop = asyncio.get_running_loop()
        self.over = lambda: loop.call_soon_threadsafe(done.set)
        async with ac.System() as system:
            self.refs = [system.spawn(Sum, mailbox=ROOMY) for _ in range(self._actors)]
            self.ready.set()
            await done.wait()
            await system.idle()
            self.results = [await ref.ask("read") for ref in self.refs]
            self.report = await system.shutdown()


SENDERS = 3
EACH = 2_000


def test_ms_2_messages_of_other_threads_keep_their_order_and_none_is_lost() -> None:
    meeting = Meeting(actors=4)

    async def send(index: int) -> None:
        async with ac.System() as system:
            relays = [system.spawn(Relay, ref, mailbox=ROOMY) for ref in meeting.refs]
            for number in range(1, EACH + 1):
                for relay in relays:
                    relay.tell(Numbered(index, number))
                if number % 100 == 0:
                    await asyncio.sleep(0)
            await system.idle()

    with ThreadPoolExecutor(SENDERS + 1) as threads:
        receiver = threads.submit(asyncio.run, meeting.main())
        meeting.ready.wait(30)
        try:
            for sender in [threads.submit(asyncio.run, send(i)) for i in range(SENDERS)]:
                sender.result()
        finally:
            meeting.over()
        receiver.result()
    assert [(total, disorder) for total, disorder, _ in meeting.results] == [
        (SENDERS * EACH, 0)
    ] * 4, "MS-2"
    home = {ident for _, _, ident in meeting.results}
    assert len(home) == 1, "SC-1: an actor runs on its system's thread alone"
    assert meeting.report is not None
    assert meeting.report.lost == 0, "MS-1"


def test_messages_to_a_system_that_has_ended_are_refused() -> None:
    meeting = Meeting(actors=1)
    with ThreadPoolExecutor(1) as threads:
        receiver = threads.submit(asyncio.run, meeting.main())
        meeting.ready.wait(30)
        meeting.over()
        receiver.result()
    assert not meeting.refs[0].tell(Numbered(0, 1)).ok


def test_many_systems_of_the_same_classes_at_once() -> None:
    async def main() -> list[int]:
        async with ac.System() as system:
            refs = [system.spawn(Sum) for _ in range(20)]
            for number in range(1, 301):
                for ref in refs:
                    ref.tell(Numbered(0, number))
            return [(await ref.ask("read"))[0] for ref in refs]

    with ThreadPoolExecutor(4) as threads:
        runs = [threads.submit(asyncio.run, main()) for _ in range(4)]
        assert [run.result() for run in runs] == [[300] * 20] * 4


@pytest.mark.skipif(not FREE_THREADED, reason="with a GIL these calls are safe from any thread")
def test_without_a_gil_only_sending_is_done_from_other_threads() -> None:
    meeting = Meeting(actors=1)
    with ThreadPoolExecutor(1) as threads:
        receiver = threads.submit(asyncio.run, meeting.main())
        meeting.ready.wait(30)
        try:
            with pytest.raises(UsageError, match=r"stop\(\) belongs to the thread"):
                meeting.refs[0].stop()
            with pytest.raises(UsageError, match=r"ask\(\) belongs to the thread"):
                meeting.refs[0].ask("read")
        finally:
            meeting.over()
        receiver.result()
