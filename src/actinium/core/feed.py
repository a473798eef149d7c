"""A bounded queue between a source that never waits and one reader that takes its time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Generic, Self, TypeVar

from actinium.errors import UsageError

T = TypeVar("T")


class Feed(Generic[T]):
    """What a subscriber reads with ``async with feed: async for item in feed``.

    At most ``limit`` items wait. What comes beyond that is left out and counted, and one
    ``gap(n)`` stands in its place: ``n`` is exact.
    """

    def __init__(
        self,
        limit: int,
        gap: Callable[[int], T],
        closed: Callable[[Feed[T]], object] | None = None,
    ) -> None:
        if limit < 1:
            raise UsageError(f"max_pending must be 1 or more, got {limit!r}")
        self._loop = asyncio.get_running_loop()
        self._limit = limit
        self._gap = gap
        self._when_closed = closed
        self._items: deque[T] = deque()
        self._left_out = 0
        self._waiter: asyncio.Future[None] | None = None
        self._ended = False
        self.missed = 0
        """Items left out so far."""

    def __len__(self) -> int:
        return len(self._items) + (self._left_out > 0)

    @property
    def closed(self) -> bool:
        """Whether nothing more is added; what waits can still be read."""
        return self._ended

    def offer(self, item: T) -> bool:
        """Adds an item, or counts it; belongs to the source, on the loop's thread."""
        if self._ended:
            return False
        if len(self._items) >= self._limit:
            self._left_out += 1
            self.missed += 1
            return False
        self._close_gap()
        self._items.append(item)
        self._wake()
        return True

    def _close_gap(self) -> None:
        if self._left_out:
            self._items.append(self._gap(self._left_out))
            self._left_out = 0

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def close(self) -> None:
        """Ends the feed: the reader gets what waits, then the end."""
        if self._ended:
            return
        self._ended = True
        if self._when_closed is not None:
            self._when_closed(self)
        self._wake()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        while not self._items:
            self._close_gap()
            if self._items:
                break
            if self._ended:
                raise StopAsyncIteration
            if self._waiter is not None:
                raise UsageError("a feed has one reader; another one waits for its next item")
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self._items.popleft()
