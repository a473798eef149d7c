"""Streams: an async-generator handler feeds a consumer, no further ahead than its credits.

Invariants: the producer is never more than the window ahead (ST-1); the consumer sees a gapless
prefix of what was produced and then exactly one of end, error or cancel (ST-2); cancelling runs
the producer's ``finally`` (ST-3).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from actinium.errors import DeadlineExceeded, StreamCancelled, UsageError

from .join import Join

if TYPE_CHECKING:
    from .ref import LocalRef

T = TypeVar("T")

BYTES = 256 * 1024
"""Unread bytes a producer may be ahead, counted over items that have a length in bytes."""


_SIZED: frozenset[type] = frozenset((bytes, str, bytearray))


class Channel:
    """The state both ends share; lives on one event loop.

    ``items`` are produced and not yet read, ``size`` is their bytes. ``reader`` and ``room``
    are set while the consumer waits for an item and the producer for credit.
    """

    __slots__ = (
        "cancelled", "ended", "error", "items", "low", "producer", "reader", "room", "size",
        "window",
    )  # fmt: skip

    def __init__(self, window: int, producer: tuple[LocalRef[Any]]) -> None:
        self.producer = producer
        self.items: deque[Any] = deque()
        self.window = window
        self.low = window // 2
        self.size = 0
        self.reader: asyncio.Future[None] | None = None
        self.room: asyncio.Future[None] | None = None
        self.ended = False
        self.cancelled = False
        self.error: BaseException | None = None

    # -- the producer's end

    async def credit(self) -> None:
        """Waits until the consumer has read enough (ST-1)."""
        while (len(self.items) >= self.window or self.size >= BYTES) and not self.cancelled:
            self.room = asyncio.get_running_loop().create_future()
            await self.room

    def end(self) -> None:
        self.ended = True
        self.wake_reader()

    def fail(self, error: BaseException) -> None:
        if not self.ended:
            self.error = error
            self.end()

    def wake_reader(self) -> None:
        reader, self.reader = self.reader, None
        if reader is not None and not reader.done():
            reader.set_result(None)

    # -- the consumer's end

    def grant(self) -> None:
        """Lets a waiting producer go on, once half of the window is read."""
        room = self.room
        if room is not None and len(self.items) <= self.low and self.size <= BYTES // 2:
            self.room = None
            if not room.done():
                room.set_result(None)

    async def readable(self) -> None:
        """Waits for an item or the end."""
        while not self.items and not self.ended:
            self.reader = Join(asyncio.get_running_loop(), self.producer)
            await self.reader

    def cancel(self) -> None:
        self.cancelled = True
        self.items.clear()
        self.size = 0
        self.grant()
        self.fail(StreamCancelled("the consumer closed the stream"))


async def drive(cell: LocalRef[Any], generator: AsyncGenerator[Any], channel: Channel) -> None:
    """Runs a generator handler, waiting for credit before each further item."""
    items, window = channel.items, channel.window
    try:
        if channel.cancelled:
            return
        async for item in generator:
            items.append(item)
            if type(item) in _SIZED:
                channel.size += len(item)
            if channel.reader is not None:
                channel.wake_reader()
            if len(items) >= window or channel.size >= BYTES:
                await channel.credit()
            if channel.cancelled:
                return
        channel.end()
    finally:
        await generator.aclose()


def _expire(ref: LocalRef[Any], channel: Channel) -> None:
    """Ends a stream whose time is over; what was produced can still be read."""
    if not channel.ended:
        channel.fail(DeadlineExceeded(f"the stream from {ref.path} took longer than its timeout"))
        channel.cancelled = True
        channel.grant()
        ref.cancel_stream(channel)


class Stream(Generic[T]):
    """The consumer's end: an async iterator, to be used with ``async with``."""

    __slots__ = ("_channel", "_message", "_opened", "_ref", "_timeout", "_timer")

    def __init__(self, ref: LocalRef[Any], message: Any, items: int, timeout: float | None) -> None:
        self._opened = False
        if items < 1:
            raise UsageError(f"a stream needs a window of 1 item or more, got {items!r}")
        self._ref = ref
        self._message = message
        self._timeout = timeout
        self._channel = Channel(items, (ref,))
        self._timer: asyncio.TimerHandle | None = None

    def _open(self) -> None:
        if not self._opened:
            self._opened = True
            if self._timeout is not None:
                loop = asyncio.get_running_loop()
                self._timer = loop.call_later(self._timeout, _expire, self._ref, self._channel)
            self._ref.open_stream(self._message, self._channel, self._timeout)
            self._message = None

    def __aiter__(self) -> Self:
        self._open()
        return self

    async def __anext__(self) -> T:
        channel = self._channel
        items = channel.items
        if not items:
            await self._wait()
        item: T = items.popleft()
        if channel.size and type(item) in _SIZED:
            channel.size -= len(item)  # type: ignore[arg-type]
        if channel.room is not None:
            channel.grant()
        return item

    async def _wait(self) -> None:
        self._open()
        channel = self._channel
        await channel.readable()
        if not channel.items:
            if channel.error is None:
                raise StopAsyncIteration
            raise channel.error

    def take_ready(self) -> list[T]:
        """The items that are there without waiting, possibly none."""
        channel = self._channel
        found: list[T] = list(channel.items)
        channel.items.clear()
        channel.size = 0
        channel.grant()
        return found

    async def aclose(self) -> None:
        """Cancels the producer if it is still at work; its ``finally`` runs soon."""
        self._cancel()

    def _cancel(self) -> None:
        channel = self._channel
        self._message = None
        if self._timer is not None:
            self._timer.cancel()
        if not self._opened or channel.ended:
            self._opened = True
            channel.ended = True
            return
        channel.cancel()
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
        if self._opened and not self._channel.ended and not self._ref.core.closed:
            self._cancel()
