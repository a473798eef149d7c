"""What processes say to each other: the entries of a batch frame.

A batch is an array of entries, each a small array that begins with its tag. Ids of asks and
streams are chosen by the side that asks, and are unique in its process.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from actinium.wire import Failure

from .place import ByKey

VERSION = 1
"""Of this protocol. Both sides have to speak the same."""

HELLO, WELCOME, REFUSED, BATCH, PULSE = 1, 2, 3, 4, 5
"""Kinds of frames. Only batches are numbered."""

To = int | tuple[str, str]
"""An actor of the receiving process: its number, its placed key, or an entity's class and key."""

Lane = Annotated[int, msgspec.Meta(ge=0, le=3)]
"""A priority, 0 the highest."""

Address = tuple[int, int, To, str]
"""A ref on its way: process, incarnation of the process, actor there, path."""


class Hello(msgspec.Struct, frozen=True):
    """First words of the side that connects; ``taken`` frames came on earlier connections."""

    version: int
    token: str
    node: int
    incarnation: int
    taken: int = 0


class Welcome(msgspec.Struct, frozen=True):
    """The other side's answer; ``peers`` are the processes to connect to."""

    node: int
    incarnation: int
    taken: int = 0
    peers: list[tuple[int, int]] = []


class Pulse(msgspec.Struct, frozen=True, array_like=True):
    """The event loop turns; so many frames of the session were sent and taken so far."""

    sent: int
    taken: int


class Entry(msgspec.Struct, frozen=True, array_like=True, tag_field="t"):
    """Base of the entries."""


class Sent(Entry, frozen=True, array_like=True):
    """The head of every entry with a message: for whom, from whom, of which announced type."""

    to: To
    sender: int | Address
    type: int
    body: msgspec.Raw


class Post(Sent, frozen=True, array_like=True, tag=0):
    """A message told.

    ``due`` is its deadline on the machine's monotonic clock, which all its processes share: so
    the time on the way counts. ``lane`` is its priority, ``urgent``: that time was named for it.
    """

    fields: list[int] = []
    due: float | None = None
    lane: Lane = 2
    urgent: bool = True


class Request(Sent, frozen=True, array_like=True):
    """Base of the messages that something comes back for, under the ``id`` of the asker."""

    fields: list[int]
    due: float | None
    lane: Lane
    urgent: bool
    id: int


class Ask(Request, frozen=True, array_like=True, tag=1):
    """A message asked; Answer or Failed comes back."""


class Open(Request, frozen=True, array_like=True, tag=2):
    """A stream asked for; Items and then End or Failed come back."""

    window: Annotated[int, msgspec.Meta(ge=1, le=1 << 31)]


class Offer(Request, frozen=True, array_like=True, tag=3):
    """A message sent: the answer comes once its mailbox took it."""


class Value(Entry, frozen=True, array_like=True):
    """Base of the values that come back."""

    id: int
    type: int
    body: msgspec.Raw
    fields: list[int] = []


class Answer(Value, frozen=True, array_like=True, tag=4):
    """The value an ask ended with."""


class Failed(Entry, frozen=True, array_like=True, tag=5):
    """The error an ask, an offer or a stream ended with."""

    id: int
    failure: Failure


class Cancel(Entry, frozen=True, array_like=True, tag=6):
    """Nobody waits for this ask or stream any more."""

    id: int


class Item(Value, frozen=True, array_like=True, tag=7):
    """One item of a stream."""


class End(Entry, frozen=True, array_like=True, tag=8):
    """The end of a stream."""

    id: int


class Credit(Entry, frozen=True, array_like=True, tag=9):
    """So many items and bytes of a stream were read."""

    id: int
    items: int
    bytes: int


class Grant(Entry, frozen=True, array_like=True, tag=10):
    """So many more frames of this link were taken: the credit they cost is free again."""

    frames: int


class TypeName(Entry, frozen=True, array_like=True, tag=11):
    """The number that stands for a type's name on this link from now on."""

    number: int
    name: str


class Watch(Entry, frozen=True, array_like=True, tag=12):
    """Gone is wanted when this actor stops."""

    to: To


class Gone(Entry, frozen=True, array_like=True, tag=13):
    """An actor of the sending process has stopped; ``failure`` if it could not be made."""

    id: To
    reason: str
    failure: Failure | None = None


class Stop(Entry, frozen=True, array_like=True, tag=14):
    """Ends an actor: ``stop``, ``drain`` or ``kill``."""

    to: To
    how: str


class Spawn(Entry, frozen=True, array_like=True, tag=15):
    """Starts a placed actor. ``body`` holds (args, kwargs, options), types included."""

    key: int
    cls: str
    body: bytes
    again: bool = False


class Spawned(Entry, frozen=True, array_like=True, tag=16):
    """A placed actor was started again here."""

    key: int


class Register(Entry, frozen=True, array_like=True, tag=17):
    """Tells the first process what was placed where, so that it can place it again."""

    key: int
    cls: str
    body: bytes
    node: int
    incarnation: int
    place: int | str | ByKey
    name: str = ""


class Locate(Entry, frozen=True, array_like=True, tag=18):
    """Where is this placed actor now?"""

    key: int


class Located(Entry, frozen=True, array_like=True, tag=19):
    """Where a placed actor is; no incarnation: it is gone, for ``failure`` or simply stopped."""

    key: int
    node: int
    incarnation: int
    failure: Failure | None = None


class Down(Entry, frozen=True, array_like=True, tag=20):
    """A process has ended. ``final``: it will not be started again."""

    node: int
    incarnation: int
    failure: Failure
    final: bool


class Unreachable(Entry, frozen=True, array_like=True, tag=28):
    """The sender and this process cannot talk to each other any more."""

    node: int
    incarnation: int
    why: str


class Probe(Entry, frozen=True, array_like=True, tag=29):
    """Does the actor that the ask ``edge`` is for wait, over others, for the ask it began with?

    That one has the number ``ask`` in the process ``node``; ``path`` names those in between.
    """

    node: int
    incarnation: int
    ask: int
    edge: int
    path: list[str]


class Ready(Entry, frozen=True, array_like=True, tag=21):
    """A worker serves."""


class Tally(Entry, frozen=True, array_like=True, tag=22):
    """What a process has done so far. ``sent_dead``: messages sent to processes that died."""

    round: int = 0
    accepted: int = 0
    handled: int = 0
    dead_lettered: int = 0
    withdrawn: int = 0
    forced: int = 0
    sent: int = 0
    received: int = 0
    posts: int = 0
    actors: int = 0
    sent_dead: list[tuple[int, int, int]] = []


class Quiet(Entry, frozen=True, array_like=True, tag=23):
    """Send a Tally of this round as soon as no message is under way in your process."""

    round: int


class Closing(Entry, frozen=True, array_like=True, tag=24):
    """The system ends: take nothing from outside any more."""


class Finish(Entry, frozen=True, array_like=True, tag=25):
    """End all actors within ``limit`` seconds, then send a Tally of round -1."""

    limit: float


class Exit(Entry, frozen=True, array_like=True, tag=26):
    """End the process."""


class Fatal(Entry, frozen=True, array_like=True, tag=27):
    """A failure reached the root of this worker."""

    failure: Failure


AnyEntry = (
    Post | Ask | Open | Offer | Answer | Failed | Cancel | Item | End | Credit | Grant | TypeName
    | Watch | Gone | Stop | Spawn | Spawned | Register | Locate | Located | Down | Ready | Tally
    | Quiet | Closing | Finish | Exit | Fatal | Unreachable | Probe
)  # fmt: skip

encode_entry = msgspec.msgpack.Encoder().encode
decode_batch = msgspec.msgpack.Decoder(list[AnyEntry]).decode
decode_pulse = msgspec.msgpack.Decoder(Pulse).decode

UNCOUNTED = frozenset(
    (Grant, TypeName, Quiet, Tally, Ready, Closing, Finish, Exit, Unreachable, Probe)
)
"""Entries that cause no work among actors; they do not keep a system from being quiet."""
