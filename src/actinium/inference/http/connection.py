"""One client connection: writes a request, parses the answer as it comes."""

from __future__ import annotations

import asyncio
from typing import Any, Final, Protocol

from actinium.base.cork import Cork
from actinium.errors import InferenceError, MissingExtra, NetworkError, ProtocolError

try:
    import httptools
except ImportError as error:
    raise MissingExtra("serve", "a runner of a remote server") from error

_HIGH_WATER: Final = 256 * 1024
"""Bytes of an answer that wait for their reader before the socket is no longer read."""

_MAX_HEAD: Final = 64 * 1024


_TAIL_SECONDS: Final = 1.0


class Owner(Protocol):
    """Who keeps connections: told when one is free again and when one is gone."""

    cork: Cork

    def give_back(self, connection: Connection) -> None: ...

    def forget(self, connection: Connection) -> None: ...


class Connection(asyncio.Protocol):
    """A keep-alive connection that carries one exchange at a time.

    :meth:`start` writes a request; :meth:`head` waits for the status; :meth:`read` gives the
    body as it comes, and the server is not read further while the reader is behind;
    :meth:`done` or :meth:`abort` ends the exchange. Errors: NetworkError where the connection
    breaks, ProtocolError where the answer is not HTTP.
    """

    __slots__ = (
        "_buffered",
        "_error",
        "_head_bytes",
        "_loop",
        "_message",
        "_owner",
        "_parser",
        "_parts",
        "_paused",
        "_raw_headers",
        "_tail",
        "_transport",
        "_until_close",
        "_waiter",
        "answered",
        "busy",
        "complete",
        "headed",
        "idle_since",
        "on_body",
        "on_header",
        "reusable",
        "status",
    )

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._parts: list[bytes] = []
        self.on_body = self._parts.append
        self._transport: Any = None
        self._parser: Any = None
        self._waiter: asyncio.Future[None] | None = None
        self._tail: asyncio.TimerHandle | None = None
        self._error: InferenceError | None = None
        self._paused = False
        self._message = b""
        self.busy = False
        self.reusable = True
        self.idle_since = 0.0
        self.status = 0
        self._raw_headers: dict[bytes, bytes] = {}
        self.on_header = self._raw_headers.__setitem__
        self.answered = False  # any byte of the answer has come
        self.complete = False
        self.headed = False
        self._until_close = False
        self._buffered = 0
        self._head_bytes = 0

    # What the owner of an exchange calls.

    @property
    def headers(self) -> dict[bytes, bytes]:
        """The headers of the answer by their names in lower case."""
        return {name.lower(): value for name, value in self._raw_headers.items()}

    @property
    def names(self) -> tuple[bytes, ...]:
        """The names of the headers as they came."""
        return tuple(self._raw_headers)

    @property
    def closed(self) -> bool:
        return self._error is not None or self._transport is None or self._transport.is_closing()

    def start(self, message: bytes) -> None:
        """Takes a whole request; it is written at the end of the loop's turn."""
        self.answered = self.complete = self.headed = False
        self._raw_headers.clear()
        self._buffered = self._head_bytes = 0
        self._parts.clear()
        self.busy = True
        self._message = message
        self._owner.cork.add(self)

    def flush(self) -> None:
        """Writes the request of :meth:`start`, if the exchange was not ended meanwhile."""
        message = self._message
        if message:
            self._message = b""
            self._transport.write(message)

    async def head(self) -> int:
        """Waits for the head of the answer; the status."""
        while not self.headed:
            await self.event()
        return self.status

    def whole(self) -> bytes | None:
        """The whole body if it has come already."""
        if not self.complete:
            return None
        parts = self._parts
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def read(self) -> bytes:
        """The next piece of the body; empty at its end."""
        parts = self._parts
        while not parts:
            if self.complete:
                return b""
            await self.event()
        piece = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        self._buffered = 0
        if self._paused:
            self._paused = False
            if not self.closed:
                self._transport.resume_reading()
        return piece

    async def body(self, limit: int) -> bytes:
        """The whole body. Raises ProtocolError where it is longer than ``limit`` bytes."""
        pieces: list[bytes] = []
        size = 0
        while piece := await self.read():
            pieces.append(piece)
            size += len(piece)
            if size > limit:
                raise ProtocolError(f"the upstream's answer is longer than {limit} bytes")
        return b"".join(pieces)

    def done(self) -> None:
        """The caller has all it wants: keeps the connection for the next exchange.

        Where only the end mark of the answer is missing still, it has a second to come.
        """
        if self._error is not None:
            self.abort()
        elif not self.complete:
            self._tail = self._loop.call_later(_TAIL_SECONDS, self.abort)
        elif self.reusable:
            self.busy = False
            self._owner.give_back(self)
        else:
            self.abort()

    def abort(self) -> None:
        """Closes now; the server sees that nobody waits any more."""
        self.busy = False
        self._message = b""
        self._drop_tail()
        if self._error is None:
            self._error = NetworkError("the connection was closed here")
        if self._transport is not None:
            self._transport.abort()

    def _drop_tail(self) -> None:
        if self._tail is not None:
            self._tail.cancel()
            self._tail = None

    def event(self) -> asyncio.Future[None]:
        """Something to await: the next bytes or the end. Raises where the connection is broken."""
        if self._error is not None:
            raise self._error
        waiter = self._waiter = self._loop.create_future()
        return waiter

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)

    def _fail(self, error: InferenceError) -> None:
        if self._error is None:
            self._error = error
        if self._transport is not None:
            self._transport.abort()
        self._wake()

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._parser = httptools.HttpResponseParser(self)

    def data_received(self, data: bytes) -> None:
        if not self.busy:
            # Nothing was asked: the server has something to say against this connection.
            self._fail(NetworkError("the upstream sent bytes nobody had asked for"))
            return
        self.answered = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail(ProtocolError("the upstream switched protocols"))
            return
        except httptools.HttpParserError as error:
            self._fail(ProtocolError(f"the upstream's answer is not HTTP/1.1: {error}"))
            return
        if not self.headed:
            self._head_bytes += len(data)
            if self._head_bytes > _MAX_HEAD:
                self._fail(ProtocolError(f"the upstream's head is longer than {_MAX_HEAD} bytes"))
            return
        self._buffered += len(data)
        if self._buffered > _HIGH_WATER and not self._paused and not self.complete:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool | None:
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        if self._until_close and exc is None:
            self.complete = True
            self.reusable = False
        if self._error is None:
            when = "in the middle of its answer" if self.answered else "without an answer"
            cause = f": {exc}" if exc is not None else ""
            self._error = NetworkError(f"the upstream closed the connection {when}{cause}")
        self._parser = None  # it refers back to this object
        self._drop_tail()
        self._owner.forget(self)
        self._wake()

    # What the parser calls (``on_body`` and ``on_header`` are the containers' own methods).

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:
            return
        self.status = status
        self.headed = True
        self._until_close = False
        if not self._parser.should_keep_alive():
            headers = self.headers
            self._until_close = not (
                b"content-length" in headers or b"transfer-encoding" in headers
            )

    def on_message_complete(self) -> None:
        if not self.headed:
            self._raw_headers.clear()  # it was an informational answer; the real one follows
            return
        if self.complete:
            raise ValueError("a second answer")
        self.complete = True
        self.reusable = self._parser.should_keep_alive()
        if self._tail is not None:
            self._drop_tail()
            self._parts.clear()
            self.done()
