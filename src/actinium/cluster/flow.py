"""Streams between processes: the two ends of ``core.stream``'s channel, each in its process.

The producer's end counts as unread what the reader's process has not said it read, so the window
is one, not one per process (ST-1, ST-4).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from actinium import _native
from actinium.core.stream import BYTES, Channel
from actinium.errors import DecodeError, StreamCancelled

from .entries import Credit, End, Failed, Item

if TYPE_CHECKING:
    from .link import Link


class Outflow(Channel):
    """The producer's end: what it is given goes to the reader's process."""

    __slots__ = ("cell", "id", "link")

    def __new__(cls, window: int, link: Link, number: int, cell: Any) -> Self:
        return super().__new__(cls, cell.core, window, BYTES, cell.core.loop.create_future)

    def __init__(self, window: int, link: Link, number: int, cell: Any) -> None:
        self.link = link
        self.id = number
        self.cell = cell

    def push(self, item: Any) -> bool:
        """Sends one item; raises NotEncodable for one that cannot travel."""
        packed = self.link.node.codec.pack(item)
        if self.link.up and not self.cancelled:
            self.link.say(
                Item(self.id, self.link.number(packed.type), packed.raw(), list(packed.fields)),
                packed,
            )
        return self.sent(_native.message_size(item)) or self.cancelled

    def end(self) -> None:
        if self.ended:
            return
        super().end()
        self.link.serving.pop(self.id, None)
        if self.cancelled or not self.link.up:
            return
        if self.error is None:
            self.link.say(End(self.id))
        else:
            self.link.say(Failed(self.id, self.link.node.pack_failure(self.error)))

    def read(self, items: int, size: int) -> None:
        """The reader's process read so much."""
        if not 0 <= items <= self.waiting:
            raise DecodeError(f"credit for {items} items, and {self.waiting} are unread")
        self.was_read(items, max(0, size))

    def stop(self) -> None:
        """The reader has left, or its process has."""
        self.link.serving.pop(self.id, None)
        if not self.ended:
            self.cancel(StreamCancelled("the consumer closed the stream"))
            self.cell.cancel_stream(self)


class Reader:
    """Stands in a channel for the producer that waits for room: tells its process what was read.

    It looks like the future that a local producer would wait with.
    """

    __slots__ = ("_channel", "_id", "_link", "_read", "_taken", "_taken_bytes")

    def __init__(self, link: Link, number: int, channel: Channel) -> None:
        self._link = link
        self._id = number
        self._channel = channel
        self._taken = 0  # items that came
        self._taken_bytes = 0
        self._read = [0, 0]  # of these, what was reported as read
        channel.room = self

    @property
    def link(self) -> Link:
        """Where the items come from."""
        return self._link

    def took(self, item: Any) -> None:
        """An item came."""
        channel = self._channel
        if channel.waiting >= channel.window:
            raise DecodeError(f"a stream's item beyond its window of {channel.window}")
        before = channel.size
        channel.push(item)
        self._taken += 1
        self._taken_bytes += channel.size - before

    def done(self) -> bool:
        return False

    def set_result(self, _: None) -> None:
        """Something was read: reports it once that is half of the window, and waits for more."""
        channel = self._channel
        items = self._taken - channel.waiting - self._read[0]
        size = self._taken_bytes - channel.size - self._read[1]
        if not channel.ended:
            channel.room = self
            if (items >= max(1, channel.window // 2) or size >= BYTES // 2) and self._link.up:
                self._read[0] += items
                self._read[1] += size
                self._link.say(Credit(self._id, items, size))
