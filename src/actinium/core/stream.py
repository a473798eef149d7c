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

from actinium.errors import StreamCancelled, UsageError

if TYPE_CHECKING:
    from .ref import LocalRef

T = TypeVar("T")

BYTES = 256 * 1024
"""Unread bytes a producer may be ahead, counted over items that have a length in bytes."""


def _size(item: object) -> int:
    return len(item) if isinstance(item, (bytes, str, bytearray, memoryview)) else 0


class Channel:
    """The state both ends share; lives on one event loop."""

    __slots__ = (
        "_bytes", "_items", "_reader", "_room", "_window",
        "cancelled", "ended", "error", "produced",
    )  # fmt: skip

    def __init__(self, window: int) -> None:
        self._items: deque[Any] = deque()
        self._window = window
        self._bytes = 0
        self._reader: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self.ended = False
        self.cancelled = False
        self.error: BaseException | None = None
        self.produced = 0

    # -- the producer's end

    def push(self, item: Any) -> None:
        self._items.append(item)
        self._bytes += _size(item)
        self.produced += 1
        self._wake_reader()

    @property
    def full(self) -> bool:
        return len(self._items) >= self._window or self._bytes >= BYTES

    async def room(self) -> None:
        """Waits for credit."""
        while self.full and not self.cancelled:
            self._room = asyncio.get_running_loop().create_future()
            await self._room

    def end(self) -> None:
        self.ended = True
        self._wake_reader()

    def fail(self, error: BaseException) -> None:
        if not self.ended:
            self.error = error
            self.end()

    def _wake_reader(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    # -- the consumer's end

    def take(self) -> Any:
        item = self._items.popleft()
        self._bytes -= _size(item)
        room = self._room
        low = len(self._items) <= self._window // 2 and self._bytes <= BYTES // 2
        if low and room is not None and not room.done():
            room.set_result(None)
        return item

    @property
    def ready(self) -> bool:
        return bool(self._items)

    async def readable(self) -> None:
        """Waits for an item or the end."""
        while not self._items and not self.ended:
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader

    def cancel(self) -> None:
        self.cancelled = True
        self._items.clear()
        self._bytes = 0
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
        self.fail(StreamCancelled("the consumer closed the stream"))


async def drive(cell: LocalRef[Any], generator: AsyncGenerator[Any], channel: Channel) -> None:
    """Runs a generator handler, waiting for credit before each further item."""
    try:
        if channel.cancelled:
            return
        async for item in generator:
            channel.push(item)
            if channel.full:
                await channel.room()
            if channel.cancelled:
                return
        channel.end()
    finally:
        await generator.aclose()


class Stream(Generic[T]):
    """The consumer's end: an async iterator, to be used with ``async with``."""

    __slots__ = ("_channel", "_message", "_opened", "_ref", "_timeout")

    def __init__(self, ref: LocalRef[Any], message: Any, items: int, timeout: float | None) -> None:
        if items < 1:
            raise UsageError(f"a stream needs a window of 1 item or more, got {items!r}")
        self._ref = ref
        self._message = message
        self._timeout = timeout
        self._channel = Channel(items)
        self._opened = False

    def _open(self) -> None:
        if not self._opened:
            self._opened = True
            self._ref.open_stream(self._message, self._channel, self._timeout)
            self._message = None

    def __aiter__(self) -> Self:
        self._open()
        return self

    async def __anext__(self) -> T:
        self._open()
        channel = self._channel
        if not channel.ready:
            await channel.readable()
            if not channel.ready:
                if channel.error is None:
                    raise StopAsyncIteration
                raise channel.error
        item: T = channel.take()
        return item

    def take_ready(self) -> list[T]:
        """The items that are there without waiting, possibly none."""
        channel = self._channel
        found = []
        while channel.ready:
            found.append(channel.take())
        return found

    async def aclose(self) -> None:
        """Cancels the producer if it is still at work; its ``finally`` runs soon."""
        self._cancel()

    def _cancel(self) -> None:
        channel = self._channel
        self._message = None
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
