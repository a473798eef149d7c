"""Frames: many messages and the buffers beside them in one write.

Layout, little-endian: magic ``ACT1``, version u8, kind u8, count of buffers u16, length of the
body u32, number u32; then the length of each buffer (u32), the body (MessagePack), the buffers.
The number is the sender's, for frames that count (modulo 2**32).

``FrameReader`` is a state machine without I/O. The buffers of a frame, and a body that comes in
several pieces, are read straight into memory of their own; nothing is allocated before the
header's lengths were found to be within the limits.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import msgspec

from actinium import _native
from actinium.errors import DecodeError, MessageTooLarge

MAGIC = b"ACT1"
VERSION = 1
MAX_BODY = 32 * 1024 * 1024
MAX_BUFFER = 1024 * 1024 * 1024
MAX_BUFFERS = 4096

_HEADER = struct.Struct("<4sBBHII")
_SIZE = 256 * 1024


class Frame(msgspec.Struct, frozen=True):
    """One frame. A body that lies in the reader's own memory is valid until the next read.

    Each buffer has a block of its own, which a Payload takes over as it is.
    """

    kind: int
    body: Any
    buffers: list[Any]
    number: int = 0


def frame(kind: int, body: bytes, buffers: Sequence[Any] = (), number: int = 0) -> list[Any]:
    """The pieces of one frame, to be written one after another; buffers are not copied."""
    if len(body) > MAX_BODY or len(buffers) > MAX_BUFFERS:
        raise MessageTooLarge(
            f"a frame has {len(body):,} bytes and {len(buffers)} buffers; the limits are "
            f"{MAX_BODY:,} and {MAX_BUFFERS}",
            len(body),
            MAX_BODY,
        )
    head = _HEADER.pack(MAGIC, VERSION, kind, len(buffers), len(body), number & 0xFFFFFFFF)
    if not buffers:
        return [head + body]
    lengths = struct.pack(f"<{len(buffers)}I", *(len(b) for b in buffers))
    return [head + lengths + body, *buffers]


class FrameReader:
    """Finds the frames in a stream of bytes."""

    def __init__(self, max_body: int = MAX_BODY, max_buffer: int = MAX_BUFFER) -> None:
        self._max_body = max_body
        self._max_buffer = max_buffer
        self._size = min(_SIZE, max(256, max_body))
        self._view = memoryview(bytearray(self._size))
        self._end = 0  # bytes of the memory that are filled
        self._target: memoryview | None = None  # the piece that is being filled directly
        self._block: _native.Block | None = None  # it is the memory of this buffer
        self._filled = 0
        self._kind = -1
        self._number = 0
        self._todo: list[int] = []  # lengths of the pieces still missing, the next one last
        self._parts: list[Any] = []

    def space(self) -> memoryview:
        """Where the next bytes belong."""
        if self._target is not None:
            return self._target[self._filled :]
        return self._view[self._end :]

    def feed(self, data: bytes) -> list[Frame]:
        """Takes bytes that lie elsewhere; the frames' bodies are copied."""
        found: list[Frame] = []
        rest = memoryview(data)
        while rest:
            space = self.space()
            n = min(len(space), len(rest))
            space[:n] = rest[:n]
            rest = rest[n:]
            found += [Frame(f.kind, bytes(f.body), f.buffers, f.number) for f in self.took(n)]
        return found

    def took(self, n: int) -> list[Frame]:
        """Says that ``n`` bytes were put into ``space()``; returns the frames they complete.

        Raises DecodeError for bytes that are no frames; the stream is useless after that.
        """
        found: list[Frame] = []
        if self._target is not None:
            self._filled += n
            if self._filled < len(self._target):
                return found
            self._parts.append(self._block if self._block is not None else self._target)
            self._target = self._block = None
            self._finish(found)
        else:
            self._end += n
        at = 0
        while self._target is None:
            if self._kind < 0:
                if at == self._end:
                    break
                size = self._header(at)
                if size == 0:
                    break
                at += size
            if self._todo:
                at = self._piece(at)
            self._finish(found)
        rest = self._end - at
        if at and rest:
            # Frames found above still lie in the old memory, so the rest moves to a new one.
            self._move(at)
        self._end = rest
        return found

    def _move(self, at: int) -> None:
        fresh = bytearray(self._size)
        fresh[: self._end - at] = self._view[at : self._end]
        self._view = memoryview(fresh)

    def widen(self, max_body: int = MAX_BODY, max_buffer: int = MAX_BUFFER) -> None:
        """Sets new limits, from the next bytes on: the other side is known by now."""
        self._max_body = max_body
        self._max_buffer = max_buffer
        self._size = _SIZE
        self._move(0)

    def _header(self, at: int) -> int:
        """Reads a header and the lengths behind it; returns their size, 0 if not all is here."""
        there = self._end - at
        if there < _HEADER.size:
            if not MAGIC.startswith(self._view[at : at + min(there, 4)].tobytes()):
                raise DecodeError("these bytes are no frame of Actinium's")
            return 0
        magic, version, kind, count, length, number = _HEADER.unpack_from(self._view, at)
        if magic != MAGIC:
            raise DecodeError(f"expected a frame to begin with {MAGIC!r}, got {magic!r}")
        if version != VERSION:
            raise DecodeError(f"expected frames of version {VERSION}, got version {version}")
        most = MAX_BUFFERS if self._max_buffer else 0
        if length > self._max_body or count > most:
            raise DecodeError(
                f"a frame of {length:,} bytes and {count} buffers is over the limits of "
                f"{self._max_body:,} and {most}"
            )
        size: int = _HEADER.size + 4 * count
        if there < size:
            return 0
        self._todo = [length]
        if count:
            lengths = struct.unpack_from(f"<{count}I", self._view, at + _HEADER.size)
            if sum(lengths) > self._max_buffer:
                raise DecodeError(
                    f"the buffers of a frame have {sum(lengths):,} bytes; the limit is "
                    f"{self._max_buffer:,}"
                )
            self._todo = [*reversed(lengths), length]
        self._kind = kind
        self._number = number
        self._parts = []
        return size

    def _piece(self, at: int) -> int:
        """Takes the next piece from the memory, or starts to fill it directly."""
        size = self._todo.pop()
        if size <= self._end - at:
            piece = self._view[at : at + size]
            # Buffers are kept by messages, and a body whose buffers are still to come by this.
            if self._parts:
                block = _native.Block(size)
                memoryview(block)[:] = piece
                self._parts.append(block)
            else:
                self._parts.append(memoryview(bytearray(piece)) if self._todo else piece)
            return at + size
        self._block = _native.Block(size) if self._parts else None
        target = memoryview(self._block if self._block is not None else bytearray(size))
        here = self._end - at
        target[:here] = self._view[at : self._end]
        self._target, self._filled = target, here
        return self._end

    def _finish(self, found: list[Frame]) -> None:
        if self._kind >= 0 and not self._todo and self._target is None:
            found.append(Frame(self._kind, self._parts[0], self._parts[1:], self._number))
            self._kind, self._parts = -1, []
