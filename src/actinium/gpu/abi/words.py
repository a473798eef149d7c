"""The numbers of the protocol: flags, reasons, commands, statuses, states.

A slot holds one message. Its first line starts with a chunk of three words and a tag::

    word 0   kind (16 bits) | flags << 16
    word 1   dest: index of the actor (20 bits) | generation << 20
    word 2   corr: which ask this belongs to, 0 for a tell

and goes on with data: 36 bytes in the other three chunks of the line, 48 in each further line.
With `Flag.STAMPED` chunk 1 holds the hybrid clock (u64) and the source's handle, chunk 2 the deadline
in microseconds after that clock (0: none), the size of the data and a spare word; the data starts in
chunk 3, so that 12 bytes of it fit the line. Data are the bytes of the
message's record, after what the flags put before it: for `Flag.SENDER` 8 bytes (the ``gpu.Ref`` of
who sent it), for `Flag.TOLD` 4 bytes (the handle of the actor that sent it). A message out of a
handler (`Flag.TOLD`) goes to a ``gpu.Ref``, of which word 1 is the low and word 2 the high half.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag

LINE = 64
"""Bytes of a line: four chunks, each 12 bytes of data and a tag of 4 bytes."""
CONTROL = 128
"""Bytes of a control line; what host and device write never shares one."""
CHUNK = 12
"""Bytes of data in each chunk of 16."""
INLINE = 36
"""Bytes of data in the first line of a slot."""
INLINE_STAMPED = 12
"""The same with `Flag.STAMPED`."""
MORE = 48
"""Bytes of data in each further line."""
INDEX_BITS, GENERATION_BITS = 20, 12
USER = 0x0100
"""The first kind of user messages; below it are commands."""


class Flag(IntFlag):
    """Bits 16 and up of word 0."""

    STAMPED = 1
    REPLY = 4
    ERROR = 8
    """A reply whose data are a status, a site and a spare word (u32 each)."""
    TOLD = 256
    BOUNCED = 512
    """The message itself comes back, undelivered; a `Reason` is in the four bits from 10."""
    SENDER = 1 << 14


REASON_SHIFT = 10


class Reason(IntEnum):
    """Why a message bounced."""

    NO_ACTOR = 1
    STALE = 2
    SUSPENDED = 3
    """Its actor has failed and waits for RESET; the host sends it again after that, in order."""
    STOPPED = 4
    UNKNOWN_KIND = 5
    EXPIRED = 6
    FAILED = 7
    """This is the message whose handler stopped; the fault came just before, as an ERROR reply."""


class Command(IntEnum):
    """Kinds below `USER`: each is answered with REPLY, its own kind and a `Status`.

    A command acts on the actor that dest names, and a repeated one (same dest) has no second effect.
    All other kinds below `USER`, and those not named here, answer UNSUPPORTED.
    """

    PING = 1
    """Answered as soon as it is read, whatever goes on: status, spare, the device's clock in
    nanoseconds (u64)."""
    RESUME = 5
    """Ends FAILED with the state as the handler left it; dest is the actor as it was."""
    RESET = 8
    """Takes the initial state from the region; dest carries the new generation. Ends FAILED.

    With `Flag.SENDER` its data are the ``gpu.Ref`` of the actor itself (``gpu.me()``), as of SPAWN."""
    SPAWN = 9
    """As RESET, for a free place."""
    STOP = 10
    """After all that was sent before: frees the place."""
    STATS = 14
    """After all that was sent before: status, spare, handled, bounced, faults (u64 each) of the
    block. So its answer says that nothing of that is under way any more."""
    POISON = 18
    """Ends the block after all that was sent before."""


class Status(IntEnum):
    """What a command answers."""

    OK = 0
    UNSUPPORTED = 1
    BAD_STATE = 2
    BAD_ARG = 3
    FAULT = 7


class Stop(IntEnum):
    """`HostLine.stop`."""

    RUN = 0
    NOW = 2
    """Each block ends before its next message; what its ring still holds is the host's to report."""


class State(IntEnum):
    """`DevBlock.state`."""

    NOT_STARTED = 0
    RUNNING = 1
    ENDED = 3
    ORPHANED = 4
    """The host's heartbeat stood still for longer than the lease."""


def handle(index: int, generation: int) -> int:
    """Word 1 of a message to an actor."""
    return index | (generation % (1 << GENERATION_BITS)) << INDEX_BITS


def lines_for(size: int, stamped: bool = False) -> int:
    """How many lines a slot uses for ``size`` bytes of data."""
    rest = size - (INLINE_STAMPED if stamped else INLINE)
    return 1 + max(0, -(-rest // MORE))
