"""Two links in one process, and the bytes between them in a test's hand."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

import msgspec

from actinium.cluster import entries as e
from actinium.cluster.connection import Connection
from actinium.cluster.letter import Letter
from actinium.cluster.link import Link
from actinium.cluster.waiting import Waiting
from actinium.wire import Packed


class Wire:
    """A transport that keeps what is written until the test lets it through."""

    def __init__(self) -> None:
        self.written = bytearray()
        self.ended = False
        self.protocol: Any = None

    def write(self, data: Any) -> None:
        assert not self.ended
        self.written += data

    def is_closing(self) -> bool:
        return self.ended

    def set_write_buffer_limits(self, high: int) -> None:
        pass

    def abort(self) -> None:
        if not self.ended:
            self.ended = True
            self.protocol.connection_lost(None)

    close = abort


class End:
    """One process's side: what it took, and what it was told of its link."""

    def __init__(self, index: int) -> None:
        self.loop = asyncio.get_running_loop()
        self.index = index
        self.cells: dict[Any, Any] = {}
        self.arrived = self.refused_late = 0
        self.took: list[Any] = []
        self.cuts = 0
        self.complaints: list[str] = []
        self.full = False
        self.link = Link(self, 1 - index, 0)  # type: ignore[arg-type]
        self.wire = Wire()

    def name_of(self, index: int) -> str:
        return f"worker {index}"

    def overfull(self) -> bool:
        return self.full

    def take(self, link: Link, entry: Any, buffers: Any) -> None:
        if isinstance(entry, e.Grant):
            link.granted(entry.frames)
        elif isinstance(entry, e.Post):
            self.took.append((entry.to, bytes(entry.body), [bytes(b) for b in buffers]))

    def cut(self, link: Link) -> None:
        self.cuts += 1

    def nonsense(self, link: Link, error: Exception) -> None:
        self.complaints.append(str(error))

    def post(self, number: int, blob: bytes | None = None) -> None:
        """Sends one message, or lets it wait for credit."""
        body = msgspec.msgpack.encode(number)
        packed = Packed("int", body, (0,) if blob else (), (memoryview(blob),) if blob else ())
        entry = e.Post(number, 0, 0, msgspec.Raw(body), [0] if blob else [])
        if self.link.has_credit():
            self.link.post(entry, packed)
        else:
            letter = Letter(None, None, number, None, None)  # type: ignore[arg-type]
            self.link.wait(Waiting(lambda: entry, packed, letter))


class Pair:
    """Two ends, connected, cut and connected again as a test says."""

    def __init__(self) -> None:
        self.ends = End(0), End(1)
        self.join()

    def join(self) -> None:
        """A new connection, after a handshake."""
        for one, other in (self.ends, self.ends[::-1]):
            one.wire = Wire()
            one.wire.protocol = Connection(lambda *_: None, strange=False)
            one.wire.protocol.connection_made(one.wire)
            one.taken_by_other = other.link.session.taken  # type: ignore[attr-defined]
        for end in self.ends:
            end.link.attach(end.wire.protocol, end.taken_by_other)  # type: ignore[attr-defined]

    def cut(self) -> None:
        """The connection breaks; what was not let through is gone."""
        for end in self.ends:
            end.wire.abort()

    def let(self, sender: int, count: int) -> None:
        """Lets so many bytes through."""
        one, other = self.ends[sender], self.ends[1 - sender]
        data = bytes(one.wire.written[:count])
        del one.wire.written[:count]
        rest = deque([data])
        while rest and not other.wire.ended:
            piece = rest.popleft()
            space = other.wire.protocol.get_buffer(-1)
            n = min(len(space), len(piece))
            space[:n] = piece[:n]
            if piece[n:]:
                rest.append(piece[n:])
            other.wire.protocol.buffer_updated(n)

    def settle(self) -> None:
        """Lets everything through until both are quiet."""
        while True:
            for end in self.ends:
                end.link.flush()
            if not any(end.wire.written for end in self.ends):
                return
            for sender in (0, 1):
                self.let(sender, len(self.ends[sender].wire.written))
