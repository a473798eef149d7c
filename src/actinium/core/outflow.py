"""A stream from one shard to another: its two ends, each on the thread of its shard.

The reader has the channel it would have anyway. The producer has one that holds nothing: items go
to the reader's shard at once, and count as unread until that says that they were read, so that
the window is one, not one per shard (ST-1, ST-4).
"""

from __future__ import annotations

from functools import partial
from typing import Any, Self

from actinium import _native
from actinium.errors import StreamCancelled

from .shardcore import post

Channel = _native.Channel


class Outflow(Channel):
    """The producer's end."""

    __slots__ = ("_inflow", "_reader", "cell")

    def __new__(cls, inflow: Inflow, reader: _native.Core, core: _native.Core) -> Self:
        channel = inflow.channel
        return super().__new__(cls, core, channel.window, channel.most, core.loop.create_future)

    def __init__(self, inflow: Inflow, reader: _native.Core, core: _native.Core) -> None:
        self._inflow = inflow
        self._reader = reader
        self.cell: Any = None
        """The actor that produces."""

    def push(self, item: Any) -> bool:
        """Hands one item to the reader's shard."""
        if not self.cancelled:
            post(self._reader, partial(self._inflow.took, item))
        return self.sent(_native.message_size(item)) or self.cancelled

    def end(self) -> None:
        if self.ended:
            return
        super().end()
        if not self.cancelled:
            post(self._reader, partial(self._inflow.over, self.error))

    def stop(self) -> None:
        """The reader has left."""
        if not self.ended:
            self.cancel(StreamCancelled("the consumer closed the stream"))
            self.cell.cancel_stream(self)


class Inflow:
    """The reader's end: stands in its channel for the producer that waits for room there.

    It looks like the future that a producer of the same shard would wait with.
    """

    __slots__ = ("_core", "_outflow", "_read", "_taken", "_taken_bytes", "channel")

    def __init__(self, channel: Channel, core: _native.Core) -> None:
        self.channel = channel
        self._core = core  # the producer's
        self._outflow: Outflow
        self._taken = 0  # items that came
        self._taken_bytes = 0
        self._read = [0, 0]  # of these, what was reported as read
        channel.room = self

    def took(self, item: Any) -> None:
        """An item came."""
        channel = self.channel
        before = channel.size
        channel.push(item)
        self._taken += 1
        self._taken_bytes += channel.size - before

    def over(self, error: BaseException | None) -> None:
        """The producer has ended."""
        if error is not None:
            self.channel.fail(error)
        else:
            self.channel.end()

    def stop(self) -> None:
        """The reader has left."""
        post(self._core, self._outflow.stop)

    def done(self) -> bool:
        return False

    def set_result(self, _: None) -> None:
        """Something was read: reports it once that is half of the window, and waits for more."""
        channel = self.channel
        items = self._taken - channel.waiting - self._read[0]
        size = self._taken_bytes - channel.size - self._read[1]
        if not channel.ended:
            channel.room = self
            if items >= max(1, channel.window // 2) or size >= max(1, channel.most // 2):
                self._read[0] += items
                self._read[1] += size
                post(self._core, partial(self._outflow.was_read, items, size))


def cross(channel: Channel, reader: _native.Core, producer: _native.Core) -> Outflow:
    """The producer's end for a reader's channel; called on the reader's thread."""
    inflow = Inflow(channel, producer)
    inflow._outflow = Outflow(inflow, reader, producer)
    return inflow._outflow
