"""One connection between two processes: batches out, batches in, credits.

Entries said in one turn of the event loop leave in one frame. Messages (Post, Ask, Open, Offer)
cost credit, which the receiver gives back once they are in their mailboxes; without credit they
wait here, up to a bound, beyond which they are refused. Answers, items of streams (which have
credits of their own) and the runtime's words cost none, so that a full link never keeps the
answer away that would empty it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import msgspec

from actinium.core.put import ACCEPTED
from actinium.errors import ActiniumError, DecodeError
from actinium.wire import FrameReader, Packed, frame

from .entries import BATCH, UNCOUNTED, Grant, Post, TypeName, decode_batch, encode_entry

if TYPE_CHECKING:
    from .node import Node

_log = logging.getLogger("actinium.cluster")

WINDOW = 16_384
WINDOW_BYTES = 16 * 1024 * 1024
"""Messages and bytes one process may have sent to another that are in no mailbox yet."""

WAITING = 10_000
WAITING_BYTES = 64 * 1024 * 1024
"""Messages and bytes that wait for credit before more are refused."""

FLUSH = 512
"""Entries after which a frame leaves without waiting for the end of the turn."""

_FLUSH_BYTES = 192 * 1024


class Waiting(NamedTuple):
    """A message without credit: what makes its entry, and what it takes to give it back.

    ``make`` is called when it leaves, and says None if nobody wants it any more.
    """

    make: Callable[[], Any]
    packed: Packed
    cell: Any
    msg: Any
    sender: Any
    extra: Any


class Link(asyncio.BufferedProtocol):
    """One end of a connection. ``hello`` decides about the first frames."""

    def __init__(self, node: Node, hello: Callable[[Link, int, Any], None]) -> None:
        self.node = node
        self.hello = hello
        self.index = -1
        self.incarnation = -1
        self.up = False
        self.closed = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport
        self.serving: dict[int, Any] = {}
        """What the other side asked for and still waits for, by its id."""
        self.types: dict[int, str] = {}
        """Names of types by the numbers the other side announced."""
        self.type_bytes: dict[type, bytes] = {}
        """Encoded numbers of types whose messages need nothing but the encoder."""
        self.waiting: deque[Waiting] = deque()
        self.batch: list[bytes] = []
        self.scheduled = False
        self.credit = WINDOW
        """Messages that may leave now; never above 0 while messages wait."""
        self.credit_bytes = WINDOW_BYTES
        self.heard = 0
        """Entries received that are work for somebody."""
        self._senders: dict[int, Any] = {}
        self._decoders: dict[int, Callable[[Any], Any]] = {}
        self._said = 0  # entries sent that are work for somebody, messages aside
        self._reader = FrameReader()
        self._buffers: list[Any] = []
        self._size = 0
        self._paused = False
        self._numbers: dict[str, int] = {}
        self._frames: deque[tuple[int, int]] = deque()  # credit spent by each frame under way
        self._spent = (WINDOW, WINDOW_BYTES)  # what was left when the last frame left
        self._returned = 0  # messages whose credit came back
        self._frames_in = 0
        self._unacknowledged = [0, 0]
        self._grant_is_late = False
        self._waiting_bytes = 0
        self._for_room: list[asyncio.Future[None]] = []

    # -- asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=1024 * 1024)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._reader.space()

    def buffer_updated(self, nbytes: int) -> None:
        try:
            for found in self._reader.took(nbytes):
                if self.up and found.kind == BATCH:
                    self._take(found.body, found.buffers)
                else:
                    self.hello(self, found.kind, found.body)
                if self.transport.is_closing():
                    return
        except (ActiniumError, msgspec.MsgspecError) as error:
            _log.error("link to %s closed: %s", self.node.name_of(self.index), error)
            self.abort()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        was_up, self.up = self.up, False
        if not self.closed.done():
            self.closed.set_result(None)
        if was_up:
            self.node.lost(self)
        self._wake_senders()

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self.flush()

    def close(self) -> None:
        """Sends what waits, then closes."""
        self._paused = False
        self.flush()
        self.transport.close()

    def abort(self) -> None:
        """Closes at once."""
        self.transport.abort()

    # -- out

    @property
    def posts(self) -> int:
        """Messages sent since the beginning."""
        return self._returned + WINDOW - self.credit

    @property
    def said(self) -> int:
        """Entries sent that are work for somebody."""
        return self._said + self.posts

    def write(self, kind: int, body: Any) -> None:
        """Writes one frame of its own (the handshake)."""
        self.transport.write(b"".join(frame(kind, msgspec.msgpack.encode(body))))

    def number(self, name: str) -> int:
        """The number of a type's name on this link, announced now if it is new."""
        number = self._numbers.get(name)
        if number is None:
            number = self._numbers[name] = len(self._numbers)
            self.say(TypeName(number, name))
        return number

    def say(self, entry: Any, packed: Packed | None = None) -> None:
        """Adds an entry to the frame of this turn; it costs no credit."""
        if type(entry) not in UNCOUNTED:
            self._said += 1
        self._add(entry, packed)

    def _add(self, entry: Any, packed: Packed | None) -> None:
        encoded = encode_entry(entry)
        self.batch.append(encoded)
        self._size += len(encoded)
        if packed is not None and packed.buffers:
            self._buffers.extend(packed.buffers)
            self._size += sum(len(b) for b in packed.buffers)
        if self._size > _FLUSH_BYTES or len(self.batch) >= FLUSH:
            self.flush()
        elif not self.scheduled:
            self.schedule()

    def post(self, entry: Any, packed: Packed) -> None:
        """Sends a message; only while there is credit."""
        self.credit -= 1
        self.credit_bytes -= _weight(packed)
        self._add(entry, packed)

    def wait(self, message: Waiting) -> bool:
        """Lets a message wait for credit; False if too many wait already."""
        size = _weight(message.packed)
        if len(self.waiting) >= WAITING or self._waiting_bytes + size > WAITING_BYTES:
            return False
        self.waiting.append(message)
        self._waiting_bytes += size
        return True

    def has_credit(self) -> bool:
        """Whether a message may leave now."""
        return self.credit > 0 and self.credit_bytes > 0 and not self.waiting

    def has_room(self) -> bool:
        """Whether a message may leave or wait."""
        return len(self.waiting) < WAITING and self._waiting_bytes < WAITING_BYTES

    def room(self) -> asyncio.Future[None]:
        """Is done when there may be room for a message again, or the link is gone."""
        waiter: asyncio.Future[None] = self.node.loop.create_future()
        self._for_room.append(waiter)
        return waiter

    def _wake_senders(self) -> None:
        senders, self._for_room = self._for_room, []
        for waiter in senders:
            if not waiter.done():
                waiter.set_result(None)

    def granted(self, frames: int) -> None:
        """The other side took so many more frames: what they cost may be spent again."""
        if frames > len(self._frames):
            raise DecodeError(f"a grant of {frames} frames, and {len(self._frames)} were sent")
        for _ in range(frames):
            messages, size = self._frames.popleft()
            self.credit += messages
            self.credit_bytes += size
            self._returned += messages
            self._spent = (self._spent[0] + messages, self._spent[1] + size)
        while self.waiting and self.credit > 0 and self.credit_bytes > 0:
            message = self.waiting.popleft()
            self._waiting_bytes -= _weight(message.packed)
            entry = message.make()
            if entry is not None:  # else nobody waits for it any more
                self.post(entry, message.packed)
        if self._for_room and self.has_room():
            self._wake_senders()

    def schedule(self) -> None:
        """Sees to it that the batch leaves at the end of this turn."""
        self.scheduled = True
        self.node.loop.call_soon(self._turn)

    def _turn(self) -> None:
        self.scheduled = False
        self.flush()

    def flush(self) -> None:
        """Sends the batch now, unless the socket takes no more."""
        if self._paused or not self.batch or self.transport.is_closing():
            return
        batch, self.batch = self.batch, []
        buffers, self._buffers = self._buffers, []
        self._size = 0
        before, before_bytes = self._spent
        self._spent = (self.credit, self.credit_bytes)
        self._frames.append((before - self.credit, before_bytes - self.credit_bytes))
        head = b"\xdd" + len(batch).to_bytes(4, "big")  # MessagePack: an array of so many
        for piece in frame(BATCH, b"".join((head, *batch)), buffers):
            self.transport.write(piece)

    # -- in

    def _take(self, body: Any, buffers: list[Any]) -> None:
        entries = decode_batch(body)
        node = self.node
        here, decoders, senders = node.cells, self._decoders, self._senders
        at = 0
        for entry in entries:
            if type(entry) is Post:
                # The common case in one place: a local actor, a known type, a sender seen before.
                cell = here.get(entry.to)
                decode = decoders.get(entry.type)
                origin = entry.sender
                if cell is not None and decode is not None and entry.left is None:
                    sender = senders.get(origin) if type(origin) is int else None
                    if sender is not None or origin == 0:
                        try:
                            msg = decode(entry.body)
                        except Exception:  # noqa: BLE001 - told apart below
                            node.take(self, entry, ())
                            continue
                        put = cell.tell(msg) if sender is None else cell.tell(msg, sender=sender)
                        if put is not ACCEPTED and not put.ok:
                            node.refused_late += 1
                        node.arrived += 1
                        continue
            fields = getattr(entry, "fields", None)
            count = len(fields) if fields else 0
            node.take(self, entry, buffers[at : at + count])
            at += count
        self.heard += len(entries) - sum(1 for entry in entries if type(entry) in UNCOUNTED)
        self._frames_in += 1
        self._unacknowledged[0] += len(entries)
        self._unacknowledged[1] += len(body) + sum(len(b) for b in buffers)
        self.acknowledge()

    def known_sender(self, number: int, ref: Any) -> None:
        """A sender for the common case."""
        if len(self._senders) >= 4096:
            self._senders.clear()
        self._senders[number] = ref

    def forget_senders(self) -> None:
        """Lets go of the refs kept for the common case."""
        self._senders.clear()

    def known_type(self, number: int, decode: Callable[[Any], Any]) -> None:
        """A type whose messages need nothing but a decoder."""
        self._decoders[number] = decode

    def acknowledge(self) -> None:
        """Gives credit back, unless this process has more waiting than is good for it."""
        messages, size = self._unacknowledged
        if messages < WINDOW // 8 and size < WINDOW_BYTES // 8 and self._frames_in < 1024:
            return
        if self.node.overfull():
            if not self._grant_is_late:
                self._grant_is_late = True
                self.node.loop.call_later(0.005, self._acknowledge_late)
            return
        frames, self._frames_in = self._frames_in, 0
        self._unacknowledged = [0, 0]
        self.say(Grant(frames))

    def _acknowledge_late(self) -> None:
        self._grant_is_late = False
        if self.up:
            self.acknowledge()


def _weight(packed: Packed) -> int:
    return len(packed.body) + sum(len(b) for b in packed.buffers)
