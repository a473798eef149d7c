"""The answer to one request, on its way out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from .message import JSON, HttpRequest, answer, head


class Line(Protocol):
    """The part of a connection that an answer writes to."""

    blocked: bool

    @property
    def closing(self) -> bool:
        """The server takes its leave: this answer is the connection's last."""

    def write(self, data: bytes) -> None:
        """Takes bytes for the client, in order, without waiting."""

    def stream(self, data: bytes) -> None:
        """The same for a piece of a stream, which may leave before what others write."""

    async def writable(self) -> None:
        """Waits until the client has taken enough of what was written."""

    def answered(self, reply: Reply) -> None:
        """The answer is over."""


class Reply:
    """Whole (:meth:`send`) or piece by piece (:meth:`begin`, :meth:`write`, :meth:`end`).

    ``begun`` says whether the status is out already, so that an error can no longer change it.
    ``alive`` is called when nothing was written for long (``written`` tells how much was).
    ``first`` is the monotonic time at which the first content of a stream was written, else 0.
    """

    status = 0
    begun = False
    ended = False
    written = 0
    first = 0.0
    alive: Callable[[], None] | None = None

    def __init__(self, line: Line, request: HttpRequest) -> None:
        self._line = line
        self.request = request

    def send(
        self,
        status: int,
        body: bytes,
        content_type: bytes = JSON,
        headers: bytes = b"",
    ) -> None:
        """Writes a whole answer; ``headers`` are finished lines."""
        request = self.request
        self.begun = self.ended = True
        self.status = status
        line = self._line
        if line.closing:
            request.keep_alive = False
        whole = answer(status, body, content_type, headers, keep_alive=request.keep_alive)
        if request.method == b"HEAD":
            whole = whole[: len(whole) - len(body)]
        line.write(whole)

    def begin(self, content_type: bytes, headers: bytes = b"") -> None:
        """Writes the head of an answer of unknown length, status 200."""
        request = self.request
        self.begun = True
        self.status = 200
        # Only the end of the connection can end such an answer to an HTTP/1.0 client.
        request.keep_alive = request.keep_alive and request.chunked and not self._line.closing
        start = head(200, content_type, headers, length=None, keep_alive=request.keep_alive)
        if not request.chunked:
            start = start.replace(b"transfer-encoding: chunked\r\n", b"")
        self._line.write(start)

    def push(self, piece: bytes) -> None:
        """Writes a piece without waiting for the client."""
        self.written += 1
        if self.request.chunked:
            piece = b"%x\r\n%b\r\n" % (len(piece), piece)
        self._line.stream(piece)

    async def write(self, piece: bytes) -> None:
        """Writes a piece and waits while the client is behind: the producer is not asked on."""
        self.push(piece)
        if self._line.blocked:
            await self._line.writable()

    def end(self, last: bytes = b"") -> None:
        """Writes a last piece and the end mark."""
        self.ended = True
        if not self.request.chunked:
            self._line.write(last)
        elif last:
            self._line.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(last), last))
        else:
            self._line.write(b"0\r\n\r\n")

    def close(self) -> None:
        """The handler is through: the connection goes on, or ends if the answer is not whole."""
        if not self.ended:
            self.request.keep_alive = False
        self._line.answered(self)
