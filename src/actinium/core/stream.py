"""Streams: an async-generator handler feeds a consumer, no further ahead than its credits.

Invariants: the producer is never more than the window ahead, in items and in bytes, but for the
item that crosses the line (ST-1); the consumer sees a gapless prefix of what was produced and
then exactly one of end, error or cancel (ST-2); cancelling runs the producer's ``finally`` (ST-3);
credits used are credits given back (ST-4). The items lie in a channel of the native core.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from actinium import _native
from actinium.errors import DeadlineExceeded, StreamCancelled, StreamIdle, UsageError

from .join import Join

if TYPE_CHECKING:
    from .ref import LocalRef

T = TypeVar("T")

Channel = _native.Channel

BYTES = 256 * 1024
"""Unread bytes of texts and buffers a producer may be ahead, unless told otherwise."""


async def drive(cell: LocalRef[Any], generator: AsyncGenerator[Any], channel: Channel) -> None:
    """Runs a generator handler, waiting for credit before each further item (ST-1)."""
    push = channel.push
    try:
        if channel.cancelled:
            return
        async for item in generator:
            if push(item):
                while (credit := channel.credit()) is not None:
                    await credit
                if channel.cancelled:
                    return
        channel.end()
    finally:
        await generator.aclose()


class _Idle:
    """Ends a stream in which nothing moved for too long, on the system's timer."""

    __slots__ = ("_channel", "_limit", "_moved", "_quiet", "_ref", "timer")

    def __init__(self, ref: LocalRef[Any], channel: Channel, limit: float) -> None:
        self._ref = ref
        self._channel = channel
        self._limit = limit
        self._moved = channel.moved
        self._quiet = 0
        self.timer = ref.here.schedule(limit / 4, self._look, None, limit / 4)

    def _look(self) -> None:
        channel = self._channel
        if channel.ended:
            self.timer.cancel()
        elif channel.moved != self._moved:
            self._moved, self._quiet = channel.moved, 0
        else:
            self._quiet += 1
            if self._quiet >= 4:
                self.timer.cancel()
                what = "read" if channel.waiting else "produced"
                _cut(
                    self._ref,
                    channel,
                    StreamIdle(
                        f"nothing was {what} for {self._limit:g} s in the stream "
                        f"from {self._ref.path}"
                    ),
                )


def _cut(ref: LocalRef[Any], channel: Channel, error: Exception) -> None:
    """Ends a stream from outside; what was produced can still be read."""
    if not channel.ended:
        channel.cut(error)
        ref.cancel_stream(channel)


class Stream(_native.StreamBase, Generic[T]):
    """The consumer's end: an async iterator, to be used with ``async with``."""

    __slots__ = ("_idle", "_idle_limit", "_message", "_ref", "_timeout", "_timer")

    def __init__(
        self,
        ref: LocalRef[Any],
        message: Any,
        items: int,
        timeout: float | None,
        max_bytes: int = BYTES,
        idle: float | None = None,
    ) -> None:
        if items < 1 or max_bytes < 1:
            raise UsageError(
                "a stream needs a window of 1 item or more and 1 byte or more, "
                f"got items={items!r}, max_bytes={max_bytes!r}"
            )
        if idle is not None and idle <= 0:
            raise UsageError(f"idle= is a time above 0 seconds, or None for none, got {idle!r}")
        self._ref = ref
        self._message = message
        self._timeout = timeout
        self._idle_limit = idle
        self._idle: _Idle | None = None
        self._timer: _native.Timer | None = None
        core = ref.here
        waits = partial(Join, core.loop, (ref,))  # by which a circle through a stream is found
        self.bind(Channel(core, items, max_bytes, waits))

    def _open(self) -> None:
        if self.opened:
            return
        self.opened = True
        ref, channel, timeout = self._ref, self.channel, self._timeout
        living = not ref.core.closed
        if timeout is not None and living:
            self._timer = ref.here.schedule(
                timeout,
                lambda: _cut(
                    ref,
                    channel,
                    DeadlineExceeded(f"the stream from {ref.path} took longer than its timeout"),
                ),
            )
        if self._idle_limit is not None and living:
            self._idle = _Idle(ref, channel, self._idle_limit)
        ref.open_stream(self._message, channel, timeout)
        self._message = None

    def __aiter__(self) -> Self:
        self._open()
        return self

    if TYPE_CHECKING:

        async def __anext__(self) -> T: ...

    def take_ready(self) -> list[T]:
        """The items that are there without waiting, possibly none."""
        return self.channel.take()

    async def aclose(self) -> None:
        """Cancels the producer if it is still at work; its ``finally`` runs soon."""
        self._cancel()

    def _cancel(self) -> None:
        channel = self.channel
        self._message = None
        if self._timer is not None:
            self._timer.cancel()
        if self._idle is not None:
            self._idle.timer.cancel()
        if not self.opened or channel.ended:
            self.opened = True
            channel.end()
            return
        channel.cancel(StreamCancelled("the consumer closed the stream"))
        self._ref.cancel_stream(channel)

    async def __aenter__(self) -> Self:
        self._open()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._cancel()

    def __del__(self) -> None:
        if self.opened and not self._ref.core.closed:
            self._cancel()
