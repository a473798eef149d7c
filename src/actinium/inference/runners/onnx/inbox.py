"""The way of chunks from the engine's thread to the reader of one request."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from ...chunk import Burst, Chunk


class Inbox:
    """Chunks that wait for one reader; used on the reader's event loop only.

    A reader that is behind finds all that came meanwhile in one burst; an answer has at most
    as many chunks as the context has tokens, which bounds it.
    """

    __slots__ = ("_chunks", "_error", "_waiter", "done", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.done = False
        self._chunks: Burst = []
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None

    def put(self, chunks: Burst, last: bool) -> None:
        """Adds chunks; ``last`` says that no more will come."""
        self._chunks += chunks
        self.done = self.done or last
        self._wake()

    def fail(self, error: Exception) -> None:
        """Ends the answer: the reader gets what came before and then the error."""
        if not self.done:
            self._error = error
            self.done = True
            self._wake()

    async def take(self) -> Burst | None:
        """All chunks that are there, waiting for the first; None after the last."""
        while not self._chunks:
            if self._error is not None:
                raise self._error
            if self.done:
                return None
            self._waiter = self.loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        chunks, self._chunks = self._chunks, []
        return chunks

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


Parcel = tuple[Inbox, list[Chunk], bool, Exception | None]
"""For whom, which chunks, whether they are the last, and the error behind them."""


def deliver(parcels: Iterable[Parcel]) -> None:
    """Hands out what one step made; runs on the event loop."""
    for inbox, chunks, last, error in parcels:
        if error is not None:
            inbox.put(chunks, False)
            inbox.fail(error)
        elif not inbox.done:
            inbox.put(chunks, last)
