"""Actors of the worker tests, where worker processes can import them."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import actinium as ac
from actinium import testkit


class Add(ac.Message):
    n: int


class Get(ac.Message):
    pass


class Refused(Exception):
    pass


class CallOn(ac.Message):
    to: ac.Ref
    what: Any


class Watching(ac.Message):
    who: ac.Ref


class Burn(ac.Message):
    loops: int


class Sent(ac.Message):
    to: ac.Ref
    count: int


class Counter(ac.Actor, mailbox=ac.Unbounded()):
    def __init__(self, start: int = 0) -> None:
        self.n = start
        self.seen: list[int] = []
        self.ended: list[str] = []

    @ac.on
    def add(self, m: Add) -> int:
        self.n += m.n
        return self.n

    @ac.on
    def get(self, m: Get) -> int:
        return self.n

    @ac.on
    def note(self, m: int) -> None:
        self.seen.append(m)

    @ac.on(raises=(Refused,))
    async def text(self, m: str) -> Any:
        match m:
            case "pid":
                return os.getpid()
            case "seen":
                return tuple(self.seen)
            case "ended":
                return tuple(self.ended)
            case "sender":
                return self.ctx.sender
            case "me":
                return self.ctx.self_ref
            case "remaining":
                return self.ctx.remaining
            case "urgent":
                current = self.ctx.current
                return current is not None and current[2].urgent
            case "refuse":
                raise Refused("no", 7)
            case "fail":
                raise ValueError("broken")
            case "stop":
                raise ac.Stop
            case "unencodable":
                return object()
            case "child":
                return self.ctx.spawn(Counter, 100)
            case "exit":
                sys.stderr.write("about to leave\n")
                sys.stderr.flush()
                os._exit(3)
            case "slow":
                try:
                    await asyncio.sleep(30)
                finally:
                    self.n += 1000
            case "block":
                await asyncio.sleep(0.3)
        return m

    @ac.on
    async def call_on(self, m: CallOn) -> Any:
        return await m.to.ask(m.what)

    @ac.on
    def burn(self, m: Burn) -> int:
        total = 0
        for i in range(m.loops):
            total += i * i
        return total

    @ac.on
    def send(self, m: Sent) -> None:
        for i in range(m.count):
            m.to.tell(i)

    @ac.on
    def watch(self, m: Watching) -> None:
        self.ctx.watch(m.who)

    @ac.on
    def terminated(self, m: ac.Terminated) -> None:
        self.ended.append(m.reason)

    @ac.on
    def blob(self, m: bytes) -> tuple[int, bytes]:
        return len(m), m


class Numbers(ac.Actor):
    """Streams; counts how many of its streams were ended."""

    def __init__(self) -> None:
        self.ahead = 0
        self.closed = 0

    @ac.on
    async def count(self, m: int) -> AsyncIterator[int]:
        try:
            for i in range(m):
                self.ahead = i + 1
                yield i
        finally:
            self.closed += 1

    @ac.on
    async def broken(self, m: str) -> AsyncIterator[int]:
        yield 1
        yield 2
        raise ValueError(m)

    @ac.on
    def get(self, m: Get) -> tuple[int, int]:
        return self.ahead, self.closed


class Stubborn(ac.Actor):
    def __init__(self, why: str) -> None:
        raise RuntimeError(why)


class Tight(ac.Actor, mailbox=ac.Mailbox(capacity=2)):
    """Holds two messages; its handler waits until told to go on."""

    def __init__(self) -> None:
        self.n = 0

    @ac.on
    async def take(self, m: int) -> None:
        await asyncio.sleep(0.05)
        self.n += 1

    @ac.on
    def get(self, m: Get) -> int:
        return self.n


class Cart(ac.Actor):
    """An entity."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.items = 0

    @ac.on
    def add(self, m: Add) -> tuple[str, int, int]:
        self.items += m.n
        return self.key, self.items, os.getpid()


class Arm(ac.Message):
    point: str
    kind: str
    chance: float
    times: int


class Saboteur(Counter):
    """Arms the fault points of its own process, and blocks its event loop."""

    @ac.on
    def arm(self, m: Arm) -> None:
        faults = testkit.Faults(seed=11)
        faults.arm(m.point, **{m.kind: m.chance}, times=m.times, seconds=0.01)  # type: ignore[arg-type]

    @ac.on
    def block(self, m: float) -> float:
        time.sleep(m)
        return m


class Lanes(ac.Actor, mailbox=ac.Mailbox(capacity=100, lanes=4)):
    """Notes in which order messages come."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    @ac.on
    def note(self, m: int) -> int:
        self.seen.append(m)
        return m

    @ac.on
    def block(self, m: float) -> None:
        time.sleep(m)

    @ac.on
    def told(self, m: str) -> tuple[int, ...]:
        return tuple(self.seen)


class Through(ac.Message):
    """Asks the first of ``to``, which asks the next one."""

    to: tuple[ac.Ref, ...]
    late: float = 0.0


class Start(ac.Message):
    """Asks ``to`` (which may be busy) by itself, some time from now."""

    to: ac.Ref
    after: float


class Asker(ac.Actor):
    """One message at a time; its errors are its answers."""

    def __init__(self) -> None:
        self.errors: list[str] = []

    @ac.on(raises=(ac.ActiniumError,))
    async def through(self, m: Through) -> str:
        if not m.to:
            return "end"
        asked = m.to[0].ask(Through(m.to[1:], m.late), 20.0)
        if m.late:
            await asyncio.sleep(m.late)  # the ask has left long before it is awaited
        return f"-{await asked}"

    @ac.on
    async def start(self, m: Start) -> None:
        await asyncio.sleep(m.after)
        try:
            await m.to.ask("name", 20.0)
        except ac.ActiniumError as error:
            self.errors.append(f"{type(error).__name__}: {error}")

    @ac.on
    def name(self, m: str) -> str:
        return "\n".join(self.errors)

    @ac.on
    def child(self, m: int) -> Any:
        return self.ctx.spawn(Asker)


class Wide(Asker, concurrent=2):
    """Takes another message while it waits."""


class Parcel(ac.Message):
    label: str
    data: ac.Payload


class Parcels(ac.Message):
    """Payloads in the depth of a message."""

    all: tuple[ac.Payload, ...]
    maybe: ac.Payload | None = None


class Store(ac.Actor):
    """Keeps one payload and says what it is."""

    def __init__(self) -> None:
        self.kept: ac.Payload | None = None

    @ac.on
    def payload(self, m: ac.Payload) -> ac.Payload:
        return m

    @ac.on
    def parcel(self, m: Parcel) -> tuple[str, int, int]:
        self.kept = m.data
        return m.label, len(m.data), sum(memoryview(m.data)[:100])

    @ac.on
    def parcels(self, m: Parcels) -> Parcels:
        return m

    @ac.on
    async def pieces(self, m: int) -> AsyncIterator[ac.Payload]:
        for n in range(m):
            yield ac.Payload(bytes([n]) * 30_000)

    @ac.on
    def memory(self, m: str) -> int:
        if m == "drop":
            self.kept = None
        return ac.memory_use().regions["payload"].bytes


class Maker(ac.Actor):
    """Has actors placed."""

    @ac.on
    def make(self, m: int) -> Any:
        return self.ctx.system.spawn(Counter, m)
