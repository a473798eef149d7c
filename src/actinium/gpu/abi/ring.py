"""The ends of a ring in Python: what the protocol says, in its plainest form.

Executors in Python run on it, and tests hold the native ends against it. Who produces and who
consumes are two objects, each with one owner.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import NamedTuple

from .words import CHUNK, INLINE, LINE, MORE, Flag, lines_for

_HEAD = struct.Struct("<III")
_STAMP = struct.Struct("<QIIII")
_TAGS = struct.Struct("<12xI12xI12xI12xI")

SizeOf = Callable[[int, int], int]
"""(kind, flags) -> bytes of data, what the flags put before a message included."""


class Stamp(NamedTuple):
    """Clock, source and deadline of a message with `Flag.STAMPED`."""

    hlc: int
    source: int = 0
    deadline_us: int = 0


class Slot(NamedTuple):
    """One message as it lies in a ring, without its tags."""

    kind: int
    flags: int
    dest: int
    corr: int
    data: bytes
    stamp: Stamp | None = None


def encode(slot: Slot, tag: int) -> bytes:
    """The lines of a slot, each chunk of 12 bytes followed by the tag (RG-1)."""
    head = _HEAD.pack(slot.kind | slot.flags << 16, slot.dest, slot.corr)
    if slot.stamp is not None:
        hlc, source, deadline = slot.stamp
        head += _STAMP.pack(hlc, source, deadline, len(slot.data), 0)
    body = head + slot.data
    body += bytes(-len(body) % MORE)
    mark = tag.to_bytes(4, "little")
    return b"".join(body[i : i + CHUNK] + mark for i in range(0, len(body), CHUNK))


def _plain(line: bytes) -> bytes:
    return line[:12] + line[16:28] + line[32:44] + line[48:60]


class _End:
    def __init__(self, memory: memoryview, at: int, slot: int, capacity: int) -> None:
        self._memory = memory
        self.at = at
        self.slot = slot
        self.capacity = capacity
        self.count = 0
        """Slots written, or taken, so far."""

    def _place(self, number: int) -> int:
        return self.at + self.slot * (number & (self.capacity - 1))


class Producer(_End):
    """The end that writes. ``credit`` is what the other end says it has taken (modulo 2**32)."""

    def room(self, credit: int) -> int:
        """How many more slots may be written (RG-3)."""
        return self.capacity - ((self.count - credit) & 0xFFFFFFFF)

    def put(self, slot: Slot, credit: int) -> bool:
        """Writes a slot; False when the ring is full."""
        if self.room(credit) <= 0:
            return False
        lines = encode(slot, (self.count + 1) & 0xFFFFFFFF)
        at = self._place(self.count)
        for i in range(0, len(lines), LINE):
            self._memory[at + i : at + i + LINE] = lines[i : i + LINE]
        self.count += 1
        return True


class Consumer(_End):
    """The end that reads; ``size_of`` says how long a message of some kind is."""

    def __init__(
        self, memory: memoryview, at: int, slot: int, capacity: int, size_of: SizeOf
    ) -> None:
        super().__init__(memory, at, slot, capacity)
        self._size_of = size_of

    def ready(self) -> bool:
        """Whether the first line of the next slot is there."""
        return self._line(self._place(self.count), (self.count + 1) & 0xFFFFFFFF) is not None

    def take(self) -> Slot | None:
        """The next message, once all its chunks carry their tag (RG-1)."""
        slot = self.peek(self.count)
        if slot is not None:
            self.count += 1
        return slot

    def peek(self, number: int) -> Slot | None:
        """The message with this number, if it is whole."""
        tag = (number + 1) & 0xFFFFFFFF
        at = self._place(number)
        line = self._line(at, tag)
        if line is None:
            return None
        plain = _plain(line)
        word, dest, corr = _HEAD.unpack_from(plain)
        kind, flags = word & 0xFFFF, word >> 16
        stamp = None
        start = _HEAD.size
        size = self._size_of(kind, flags)
        if flags & Flag.STAMPED:
            hlc, source, deadline, size, _ = _STAMP.unpack_from(plain, start)
            stamp = Stamp(hlc, source, deadline)
            start += _STAMP.size
        lines = lines_for(size, stamp is not None)
        if lines * LINE > self.slot:
            raise ValueError(f"a slot of kind {kind:#06x} says {size} bytes, more than fit")
        for i in range(1, lines):
            line = self._line(at + i * LINE, tag)
            if line is None:
                return None
            plain += _plain(line)
        return Slot(kind, flags, dest, corr, plain[start : start + size], stamp)

    def _line(self, at: int, tag: int) -> bytes | None:
        line = bytes(self._memory[at : at + LINE])
        return line if _TAGS.unpack(line) == (tag, tag, tag, tag) else None


assert LINE - 4 * 4 - _HEAD.size == INLINE
