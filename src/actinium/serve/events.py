"""A stream of events to one client."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from time import monotonic
from typing import Final, TypeVar

from actinium.inference.limits.line import Place

from .http.reply import Reply

_TYPE: Final = b"text/event-stream; charset=utf-8"
_HEADERS: Final = b"cache-control: no-cache\r\nx-accel-buffering: no\r\n"
ALIVE: Final = b": keep-alive\n\n"

T = TypeVar("T")


class Events:
    """Sends what a source gives as server-sent events.

    The status waits for the first item, so that an error before it is a proper HTTP error;
    a client that hears nothing for long gets the status and ``alive`` instead, with its place in
    the queue where ``place`` tells one. While the client is behind, the source is not asked for
    more: its credits end there (ST-2). ``headers`` are asked for when the status goes out.
    """

    __slots__ = ("_comment", "_headers", "_place", "_reply")

    def __init__(
        self, reply: Reply, headers: Callable[[], bytes], place: Callable[[], Place | None],
        alive: bytes = ALIVE,
    ) -> None:  # fmt: skip
        self._reply = reply
        self._comment = alive
        self._place = place
        self._headers = headers
        reply.alive = self._alive

    async def send(
        self, source: AsyncIterator[T], encode: Callable[[T], bytes], end: Callable[[], bytes]
    ) -> None:
        """Sends all items and the end; raises what ``source`` and ``end`` raise."""
        reply = self._reply
        first = True
        async for item in source:
            piece = encode(item)
            if not piece:
                continue
            if first:
                first = False
                if not reply.begun:
                    reply.begin(_TYPE, self._headers() + _HEADERS)
                reply.first = monotonic()
            await reply.write(piece)
        last = end()
        if not reply.begun:
            reply.begin(_TYPE, self._headers() + _HEADERS)
        reply.end(last)

    def _alive(self) -> None:
        reply = self._reply
        if not reply.begun:
            reply.begin(_TYPE, self._headers() + _HEADERS)
        place = self._place()
        reply.push(self._comment if place is None else _queued(place) + self._comment)


def _queued(place: Place) -> bytes:
    """A comment of its own line: ``: queued, 3 before this one, about 12 s``."""
    about = "" if place.seconds is None else f", about {max(1, round(place.seconds))} s"
    return f": queued, {place.ahead} before this one{about}\n".encode()
