"""Actors for the tests of shards."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Coroutine
from typing import Any

import pytest

import actinium as ac
from actinium.core.sharding import gil_disabled

FREE_THREADED = gil_disabled()

free_threaded = pytest.mark.skipif(
    not FREE_THREADED, reason="shards run without a GIL: scripts/free_threaded.sh"
)
ROOMY = ac.Mailbox(1_000_000)


class Numbered(ac.Message):
    sender: int
    number: int


class Where(ac.Message):
    """Answered with the thread's number."""


class Read(ac.Message):
    """Answered with what an actor has seen."""


class Fail(ac.Message):
    text: str = "told to"


class Wait(ac.Message):
    """Handled for ever, until cancelled."""


class Count(ac.Message):
    to: int


class Flood(ac.Message):
    ref: Any
    sender: int
    count: int


class Ask(ac.Message):
    """To be asked of ``ref`` in turn; answered with what came of it."""

    ref: Any
    what: Any
    timeout: float | None = None


class Fan(ac.Message):
    refs: tuple[Any, ...]
    rounds: int


class Worker(ac.Actor):
    """Checks the order of each sender, and that it never runs on two threads."""

    def __init__(self) -> None:
        self.last: dict[int, int] = {}
        self.threads = {threading.get_ident()}
        self.disorder = 0
        self.handled = 0
        self.cancelled = 0
        self.ended: list[str] = []

    @ac.on
    def numbered(self, msg: Numbered) -> None:
        self.threads.add(threading.get_ident())
        self.handled += 1
        if msg.number <= self.last.get(msg.sender, -1):
            self.disorder += 1
        self.last[msg.sender] = msg.number

    @ac.on
    def where(self, msg: Where) -> int:
        return threading.get_ident()

    @ac.on
    def read(self, msg: Read) -> dict[str, Any]:
        return {
            "handled": self.handled,
            "disorder": self.disorder,
            "threads": len(self.threads),
            "cancelled": self.cancelled,
            "ended": list(self.ended),
            "incarnation": self.ctx.self_ref.incarnation,
        }

    @ac.on
    def fail(self, msg: Fail) -> None:
        raise ValueError(msg.text)

    @ac.on(cancellable=True)
    async def wait(self, msg: Wait) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled += 1

    @ac.on
    async def count(self, msg: Count) -> AsyncGenerator[int]:
        try:
            for i in range(msg.to):
                yield i
        finally:
            self.ended.append("stream")

    @ac.on
    def flood(self, msg: Flood) -> int:
        return sum(msg.ref.tell(Numbered(msg.sender, i)).ok for i in range(msg.count))

    @ac.on(concurrent=64)
    async def ask(self, msg: Ask) -> Any:
        return await msg.ref.ask(msg.what, msg.timeout)

    @ac.on(concurrent=64)
    async def fan(self, msg: Fan) -> int:
        answers = 0
        for _ in range(msg.rounds):
            answers += len(await asyncio.gather(*(ref.ask(Where()) for ref in msg.refs)))
        return answers

    @ac.on
    def terminated(self, msg: ac.Terminated) -> None:
        self.ended.append(msg.reason)


class Parent(ac.Actor):
    """Tells where its child lives."""

    def __init__(self) -> None:
        self.child = self.ctx.spawn(Worker)

    @ac.on
    async def where(self, msg: Where) -> tuple[int, int]:
        return threading.get_ident(), await self.child.ask(Where())


class Broken(ac.Actor):
    """Cannot be made."""

    def __init__(self) -> None:
        raise RuntimeError("no such thing")


class Watcher(ac.Actor):
    """Watches whom it is told of, and keeps what it hears in order."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    @ac.on
    def watch(self, msg: ac.LocalRef[Any]) -> None:
        self.ctx.watch(msg)

    @ac.on
    def numbered(self, msg: Numbered) -> None:
        self.heard.append(str(msg.number))

    @ac.on
    def terminated(self, msg: ac.Terminated) -> None:
        self.heard.append(msg.reason)

    @ac.on
    def read(self, msg: Read) -> list[str]:
        return self.heard


class Blocker(ac.Actor):
    """Holds up its thread until the event is set."""

    def __init__(self, held: threading.Event, begun: threading.Event | None = None) -> None:
        self.held = held
        self.begun = begun if begun is not None else threading.Event()

    @ac.on
    def where(self, msg: Where) -> int:
        return threading.get_ident()

    @ac.on
    def block(self, msg: Wait) -> None:
        self.begun.set()
        self.held.wait(20)


def run(work: Coroutine[Any, Any, None]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(30):
            await work

    asyncio.run(limited())
