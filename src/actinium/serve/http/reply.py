"""The answer to one request, on its way out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from .message import JSON, HttpRequest, answer, head


class Line(Protocol):
    """The part of a connection that an answer writes to."""

    transport: Any
    blocked: bool

    @property
    def closing(self) -> bool:
        """The server takes its leave: this answer is the connection's last."""

    def time(self) -> float: ...

    async def writable(self) -> None:
        """Waits until the client has taken enough of what was written."""


class Reply:
    """Whole (:meth:`send`) or piece by piece (:meth:`begin`, :meth:`write`, :meth:`end`).

    ``begun`` says whether the status is out already, so that an error can no longer change it.
    ``alive`` is called when nothing was written for long; ``touched`` is the loop's time of
    the last write.
    """

    __slots__ = ("_line", "_request", "alive", "begun", "ended", "status", "touched")

    def __init__(self, line: Line, request: HttpRequest) -> None:
        self._line = line
        self._request = request
        self.begun = False
        self.ended = False
        self.status = 0
        self.alive: Callable[[], None] | None = None
        self.touched = line.time()

    def send(
        self,
        status: int,
        body: bytes,
        content_type: bytes = JSON,
        headers: Iterable[tuple[str, str]] = (),
    ) -> None:
        """Writes a whole answer."""
        request = self._request
        self.begun = self.ended = True
        self.status = status
        keep_alive = request.keep_alive and not self._line.closing
        whole = answer(status, body, content_type, headers, keep_alive=keep_alive)
        if request.method == "HEAD":
            whole = whole[: len(whole) - len(body)]
        request.keep_alive = keep_alive
        self._line.transport.write(whole)

    def begin(self, content_type: bytes, headers: Iterable[tuple[str, str]] = ()) -> None:
        """Writes the head of an answer of unknown length, status 200."""
        request = self._request
        self.begun = True
        self.status = 200
        # Only the end of the connection can end such an answer to an HTTP/1.0 client.
        request.keep_alive = request.keep_alive and request.chunked and not self._line.closing
        start = head(200, content_type, headers, length=None, keep_alive=request.keep_alive)
        if not request.chunked:
            start = start.replace(b"transfer-encoding: chunked\r\n", b"")
        self._line.transport.write(start)

    def push(self, piece: bytes) -> None:
        """Writes a piece without waiting for the client."""
        self.touched = self._line.time()
        if self._request.chunked:
            piece = b"%x\r\n%b\r\n" % (len(piece), piece)
        self._line.transport.write(piece)

    async def write(self, piece: bytes) -> None:
        """Writes a piece and waits while the client is behind: the producer is not asked on."""
        self.push(piece)
        if self._line.blocked:
            await self._line.writable()

    def end(self, last: bytes = b"") -> None:
        """Writes a last piece and the end mark."""
        self.ended = True
        if not self._request.chunked:
            self._line.transport.write(last)
        elif last:
            self._line.transport.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(last), last))
        else:
            self._line.transport.write(b"0\r\n\r\n")

    def cut(self) -> None:
        """Ends a begun answer so that the client sees that it is not whole."""
        self.ended = True
        self._request.keep_alive = False
