"""The link between two processes: batches out, batches in, credits.

Entries said in one turn of the event loop leave in one frame. Messages (Post, Ask, Open, Offer)
cost credit, which the receiver gives back once they are in their mailboxes; without credit they
wait here, up to a bound, beyond which they are refused. Answers, items of streams (which have
credits of their own) and the runtime's words cost none, so that a full link never keeps the
answer away that would empty it.

A link lives as long as both processes do. While its connection is broken (``repair`` makes it
again) there is no credit, so messages wait or are refused, and everything else is kept.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from actinium.base import faults
from actinium.core.put import ACCEPTED
from actinium.errors import DecodeError
from actinium.wire import Frame, Packed, frame

from .connection import Connection
from .entries import (
    BATCH,
    PULSE,
    UNCOUNTED,
    Grant,
    Post,
    Pulse,
    TypeName,
    decode_batch,
    decode_pulse,
    encode_entry,
)  # fmt: skip
from .letter import NORMAL
from .session import Session
from .waiting import Queue, Waiting, weight

if TYPE_CHECKING:
    from .node import Node

WINDOW = 16_384
WINDOW_BYTES = 16 * 1024 * 1024
"""Messages and bytes one process may have sent to another that are in no mailbox yet."""

WAITING = 10_000
WAITING_BYTES = 64 * 1024 * 1024
"""Messages and bytes that wait for credit before more are refused."""

FLUSH = 512
"""Entries after which a frame leaves without waiting for the end of the turn."""

_FLUSH_BYTES = 192 * 1024


class Link:
    """One end of a link to the process ``index`` in its ``incarnation``."""

    def __init__(self, node: Node, index: int, incarnation: int) -> None:
        self.node = node
        self.index = index
        self.incarnation = incarnation
        self.up = False
        """Whether it can be used: from the first connection until the end of either process."""
        self.connection: Connection | None = None
        self.session = Session()
        self.dialled = False
        """Whether this process made the connection, and so has to make it again."""
        self.heard_at = 0.0
        """When the other side last showed that its event loop turns, on this loop's clock."""
        self.serving: dict[int, Any] = {}
        """What the other side asked for and still waits for, by its id."""
        self.types: dict[int, str] = {}
        """Names of types by the numbers the other side announced."""
        self.type_bytes: dict[type, bytes] = {}
        """Encoded numbers of types whose messages need nothing but the encoder."""
        self.waiting = Queue()
        self.batch: list[bytes] = []
        self.scheduled = False
        self.credit = 0
        """Messages that may leave now; never above 0 while messages wait."""
        self.credit_bytes = WINDOW_BYTES
        self.heard = 0
        """Entries received that are work for somebody."""
        self._withheld = WINDOW  # credit that counts again once there is a connection
        self._senders: dict[int, Any] = {}
        self._decoders: dict[int, Callable[[Any], Any]] = {}
        self._said = 0  # entries sent that are work for somebody, messages aside
        self._buffers: list[Any] = []
        self._unwritten: deque[list[Any]] = deque()
        self._size = 0
        self._paused = False
        self._delayed = False
        self._numbers: dict[str, int] = {}
        self._frames: deque[tuple[int, int]] = deque()  # credit spent by each frame under way
        self._spent = (WINDOW, WINDOW_BYTES)  # what was left when the last frame left
        self._granted = 0  # frames that were granted
        self._returned = 0  # messages whose credit came back
        self._frames_in = 0
        self._unacknowledged = [0, 0]
        self._grant_is_late = False
        self._for_room: list[asyncio.Future[None]] = []
        self._told = (-1, -1)  # in the last pulse
        self._late: deque[Frame] = deque()  # what a fault has delayed

    # -- connections come and go

    def attach(self, connection: Connection, taken: int) -> None:
        """Takes a connection whose other side has taken so many frames, and sends the rest."""
        missing = self.session.again(taken)
        old, self.connection = self.connection, connection
        if old is not None:  # its end was not noticed yet
            old.leave()
        connection.belong(self)
        self.up = True
        self.heard_at = self.node.loop.time()
        self._paused = False
        self._told = (-1, -1)
        self._unwritten.clear()
        for pieces in missing:
            for piece in pieces:
                connection.transport.write(piece)
        withheld, self._withheld = self._withheld, 0
        self.credit += withheld
        self._let_go()
        self.flush()

    def detached(self, connection: Connection) -> None:
        """A connection ended; if that was unexpected, somebody has to make it again."""
        if connection is self.connection:
            self._disconnect()
            if self.up:
                self.node.cut(self)

    def disgraced(self, connection: Connection, error: Exception) -> None:
        """The other side sent what no process of this system says."""
        if connection is self.connection:
            self._disconnect()
            if self.up:
                self.node.nonsense(self, error)

    def _disconnect(self) -> None:
        self.connection = None
        withheld = max(0, self.credit)
        self._withheld += withheld
        self.credit -= withheld

    def pause(self, on: bool) -> None:
        """The connection's buffer is full, or has room again."""
        self._paused = on
        if not on:
            self._catch_up()

    def close(self) -> None:
        """Sends what waits, then closes: this process ends."""
        self._paused = False
        self._catch_up()
        self.up = False
        if self.connection is not None:
            self.connection.transport.close()

    def end(self) -> None:
        """The other process has ended."""
        self.up = False
        if self.connection is not None:
            connection, self.connection = self.connection, None
            connection.leave()
        self._wake_senders()

    def pulse(self, always: bool) -> None:
        """Says what was sent and taken so far, if that is news or ``always``."""
        if self.connection is None:
            return
        told = (self.session.sent, self.session.taken)
        if always or told != self._told:
            self._told = told
            self.connection.write(PULSE, Pulse(*told))

    # -- out

    @property
    def posts(self) -> int:
        """Messages sent since the beginning."""
        return self._returned + WINDOW - self.credit - self._withheld

    @property
    def said(self) -> int:
        """Entries sent that are work for somebody."""
        return self._said + self.posts

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
        self.credit_bytes -= weight(packed)
        self._add(entry, packed)

    def wait(self, message: Waiting) -> None:
        """Lets a message wait for credit, where ``has_room_for`` it."""
        self.waiting.put(message)

    def has_room_for(self, packed: Packed) -> bool:
        """Whether a message may wait."""
        bytes_then = self.waiting.bytes + weight(packed)
        return len(self.waiting) < WAITING and bytes_then <= WAITING_BYTES

    def has_credit(self) -> bool:
        """Whether a message may leave now."""
        return self.credit > 0 and self.credit_bytes > 0 and not self.waiting

    def has_room(self) -> bool:
        """Whether a message may leave or wait."""
        return len(self.waiting) < WAITING and self.waiting.bytes < WAITING_BYTES

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
        self._granted += frames
        self.session.acknowledged(self._granted)
        for _ in range(frames):
            messages, size = self._frames.popleft()
            self.credit += messages
            self.credit_bytes += size
            self._returned += messages
            self._spent = (self._spent[0] + messages, self._spent[1] + size)
        self._let_go()

    def _let_go(self) -> None:
        """Sends what waits, as far as there is credit for it."""
        while self.waiting and self.credit > 0 and self.credit_bytes > 0:
            message = self.waiting.pop()
            entry = message.make()
            if entry is not None:  # else nobody waits for it any more
                self.post(entry, message.packed)
        self.waiting.ends_due()
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
        """Sends the batch now. While the socket takes no more it grows, to a frame's size."""
        if not self.batch:
            return
        connection = self.connection
        blocked = self._paused or self._delayed or connection is None
        if blocked and len(self.batch) < FLUSH and self._size <= _FLUSH_BYTES:
            return
        if connection is None or blocked:
            self._unwritten.append(self._framed())
        elif faults.plan is not None:
            self._flush_with_faults(faults.plan, connection)
        else:
            for piece in self._framed():
                connection.transport.write(piece)

    def _framed(self) -> list[Any]:
        batch, self.batch = self.batch, []
        buffers, self._buffers = self._buffers, []
        self._size = 0
        before, before_bytes = self._spent
        credit = self.credit + self._withheld
        self._spent = (credit, self.credit_bytes)
        self._frames.append((before - credit, before_bytes - self.credit_bytes))
        head = b"\xdd" + len(batch).to_bytes(4, "big")  # MessagePack: an array of so many
        pieces = frame(BATCH, b"".join((head, *batch)), buffers, self.session.sent + 1)
        self.session.keep(pieces)
        return pieces

    def _catch_up(self) -> None:
        """Writes the frames that were made while the socket took none."""
        while self._unwritten and not self._paused and self.connection is not None:
            for piece in self._unwritten.popleft():
                self.connection.transport.write(piece)
        self.flush()

    def _flush_with_faults(self, plan: faults.Plan, connection: Connection) -> None:
        """Acts out what is armed: the frame is late, lost, doubled, cut, or the connection is."""
        strike = plan.at("link.send", self.node.name_of(self.index), len(self.batch))
        if strike is not None and strike.kind == "delay":
            self._delayed = True
            self.node.loop.call_later(strike.seconds, self._end_delay)
            return
        pieces = self._framed()
        transport = connection.transport
        match strike.kind if strike is not None else "":
            case "":
                for piece in pieces:
                    transport.write(piece)
            case "duplicate":
                for piece in [*pieces, *pieces]:
                    transport.write(piece)
            case "fail":
                transport.write(pieces[0][: len(pieces[0]) // 2])
                transport.close()
            case "kill":
                transport.abort()

    def _end_delay(self) -> None:
        self._delayed = False
        self._catch_up()

    # -- in

    def arrived(self, connection: Connection, found: Frame) -> None:
        """Takes a frame; raises DecodeError for one that no process of this system sends."""
        if found.kind == PULSE:
            self._pulse(decode_pulse(found.body))
            return
        if found.kind != BATCH:
            raise DecodeError(f"frame {found.kind} after the handshake")
        if faults.plan is not None or self._late:
            self._arrived_with_faults(connection, found)
        else:
            self._arrived(found)

    def _arrived(self, found: Frame) -> None:
        session = self.session
        verdict = session.judge(found.number)
        if verdict == "next":
            self._take(found.body, found.buffers)
            session.taken += 1
        elif verdict == "gap":
            self._missing()

    def _missing(self) -> None:
        """Frames were lost on the way: only a new connection brings them."""
        if self.connection is not None:
            self.connection.transport.abort()

    def _pulse(self, pulse: Pulse) -> None:
        self.heard_at = self.node.loop.time()
        self.session.acknowledged(pulse.taken)
        if pulse.sent > self.session.taken and not self._late:
            self._missing()

    def _arrived_with_faults(self, connection: Connection, found: Frame) -> None:
        plan = faults.plan
        who = self.node.name_of(self.index)
        strike = plan.at("link.recv", who, found.number) if plan is not None else None
        kind = strike.kind if strike is not None else None
        if kind == "kill":
            connection.transport.abort()
        elif (strike is not None and kind == "delay") or self._late:
            kept = Frame(found.kind, bytes(found.body), found.buffers, found.number)
            self._late.append(kept)
            if strike is not None and kind == "delay":
                self.node.loop.call_later(strike.seconds, self._end_late)
        elif kind != "drop":
            self._arrived(found)
            if kind == "duplicate":
                self._arrived(found)

    def _end_late(self) -> None:
        late, self._late = self._late, deque()
        for found in late:
            if self.up:
                self._arrived(found)

    def _take(self, body: Any, buffers: list[Any]) -> None:
        entries = decode_batch(body)
        size = len(body)
        if buffers:
            size += sum(len(b) for b in buffers)
        node = self.node
        here, decoders, senders = node.cells, self._decoders, self._senders
        at = uncounted = 0
        for entry in entries:
            if type(entry) is Post:
                # The common case in one place: a local actor, a known type, a sender seen before.
                cell = here.get(entry.to)
                decode = decoders.get(entry.type)
                origin = entry.sender
                plain = entry.due is None and entry.lane == NORMAL
                if cell is not None and decode is not None and plain:
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
            if type(entry) in UNCOUNTED:
                uncounted += 1
            fields = getattr(entry, "fields", None)
            count = len(fields) if fields else 0
            node.take(self, entry, buffers[at : at + count])
            at += count
        self.heard += len(entries) - uncounted
        self._frames_in += 1
        self._unacknowledged[0] += len(entries)
        self._unacknowledged[1] += size
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
