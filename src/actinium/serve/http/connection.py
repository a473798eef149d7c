"""One client's connection: a state machine between the socket, the parser and the handlers.

Requests of one connection are answered in their order, one at a time; further ones wait in a
short queue and then in the socket. Whatever is wrong with a request's form becomes a finished
refusal that stands in the same queue, so it cannot overtake the answers before it.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from typing import Any, Final, Literal

from actinium.base.cork import Cork
from actinium.base.tls import ServerTls

from .app import Application
from .limits import Limits
from .message import HttpRequest
from .parse import Refused, RequestParser
from .reply import Reply

LINGER_SECONDS: Final = 2.0
_TOGETHER: Final = 8
"""Streams whose pieces are written together: each waits for no more than so many others."""

Phase = Literal["idle", "head", "body", "busy", "linger"]


class Connections:
    """The connections of one server, and what they share."""

    def __init__(self, app: Application, limits: Limits, tls: ServerTls | None = None) -> None:
        self.app = app
        self.tls = tls
        self.limits = limits
        self.open: set[ServerConnection] = set()
        self.closing = False
        self.cork = Cork()
        self.streams = Cork(_TOGETHER)


class ServerConnection(asyncio.Protocol):
    """See the module. ``transport``, ``blocked`` and the public methods serve replies."""

    __slots__ = (
        "_all",
        "_deaf",
        "_drained",
        "_fd",
        "_limits",
        "_loop",
        "_out",
        "_out_size",
        "_parser",
        "_paused",
        "_phase",
        "_queue",
        "_quiet",
        "_reply",
        "_since",
        "_stall_size",
        "_stalled",
        "_written",
        "blocked",
        "task",
        "transport",
    )

    def __init__(self, connections: Connections) -> None:
        self._all = connections
        self._limits = connections.limits
        self._loop = asyncio.get_running_loop()
        self._parser = RequestParser(
            connections.limits, connections.app.admit, self._deliver, self._expects
        )
        self.transport: Any = None
        self._queue: deque[HttpRequest] = deque()
        self.task: asyncio.Task[None] | None = None
        self._reply: Reply | None = None
        # Input: what phase it is in and since when.
        self._phase: Phase = "idle"
        self._since = self._loop.time()
        self._paused = False
        self._deaf = False  # what comes in is thrown away: nothing sound can follow
        self._out: list[bytes] = []
        self._out_size = 0
        # Output: whether the client is behind, and when it last took something.
        self.blocked = False
        self._drained: asyncio.Future[None] | None = None
        self._stalled = 0.0
        self._stall_size = 0
        self._quiet = 0.0
        self._written = -1
        self._fd = -1

    @property
    def closing(self) -> bool:
        return self._all.closing

    @property
    def phase(self) -> Phase:
        return self._phase

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self._all.open.add(self)
        tls = self._all.tls
        if tls is not None and tls.is_stale(transport.get_extra_info("ssl_object")):
            self._deaf = True
            self.transport.abort()
            return
        self.transport.set_write_buffer_limits(self._limits.write_bytes)
        if tls is None:
            self._fd = transport.get_extra_info("socket").fileno()
        limit = self._limits.connections
        if len(self._all.open) > limit:
            text = f"this server already has {limit} connections"
            self._refuse(Refused(503, text, "too_many_connections"))

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        parser = self._parser
        try:
            parser.feed(data)
        except Refused as refused:
            self._refuse(refused)
            return
        partial = parser.partial
        if partial is not None and self.task is None:
            self._arriving(partial)
        if len(self._queue) >= self._limits.pipeline:
            self._paused = True
            self.transport.pause_reading()

    def eof_received(self) -> bool | None:
        # Who closes its side waits for no answer any more: HTTP clients do not half-close.
        # What is answered already is still sent, since None closes after the last write.
        if self.task is not None:
            self.transport.abort()
        else:
            self.flush()
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        self._all.open.discard(self)
        self._deaf = True
        self._fd = -1
        self._queue.clear()
        self._parser.close()
        if self.task is not None:
            self.task.cancel()
        self._release()

    def pause_writing(self) -> None:
        self.blocked = True
        self._stalled = self._loop.time()
        self._stall_size = self.transport.get_write_buffer_size()

    def resume_writing(self) -> None:
        self.blocked = False
        self._release()

    # Requests in their order.

    def _deliver(self, request: HttpRequest) -> None:
        """The parser has a whole request."""
        if self._deaf:
            return
        if self.task is None and request.refusal is None:
            self._start(request)
        else:
            self._queue.append(request)
            if self.task is None:
                self._next()

    def _start(self, request: HttpRequest) -> None:
        self._phase = "busy"
        self._written = -1
        reply = self._reply = Reply(self, request)
        self.task = self._loop.create_task(self._all.app.handle(request, reply))

    def _next(self) -> None:
        """Answers refusals at once and starts the first request that needs a handler."""
        queue = self._queue
        while queue and self.task is None:
            request = queue.popleft()
            refusal = request.refusal
            if refusal is None:
                self._start(request)
                return
            if request.method == b"HEAD":
                refusal = refusal.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
            self.write(refusal)
            if not self._go_on(request):
                return

    def answered(self, reply: Reply) -> None:
        """A handler is through with its request."""
        self.task = None
        self._reply = None
        if self._go_on(reply.request) and self._queue:
            self._next()

    def _go_on(self, request: HttpRequest) -> bool:
        """One answer is out: whether the connection goes on."""
        if self.transport.is_closing():
            return False
        if not request.keep_alive or self._all.closing:
            self._queue.clear()
            self._linger()
            return False
        partial = self._parser.partial
        self._since = self._loop.time()
        if partial is None:
            self._phase = "idle"
        else:
            self._phase = "body" if partial.method else "head"
        if self._paused and len(self._queue) < self._limits.pipeline:
            self._paused = False
            self.transport.resume_reading()
        return True

    def _linger(self) -> None:
        """Closes so that the last answer arrives.

        Closing a socket with unread input resets it, and the reset may overtake the answer.
        So the own side is closed first, and what still comes is thrown away for a while.
        """
        self._phase = "linger"
        self._since = self._loop.time()
        self.flush()
        if self._deaf and self.transport.can_write_eof():  # TLS has no half of a connection
            self.transport.write_eof()
        else:
            self._deaf = True
            self.transport.close()

    def _refuse(self, refused: Refused) -> None:
        """Answers in its turn to what is no request, and listens to nothing after it."""
        self._deaf = True
        request = HttpRequest()
        request.refusal = self._all.app.refuse(refused.status, refused.text, refused.code)
        request.keep_alive = False
        self._queue.append(request)
        self._next()

    def _expects(self) -> None:
        """The client wants leave to send its body; in a pipeline it does not get any extra."""
        if self.task is None and not self._queue:
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _arriving(self, partial: HttpRequest) -> None:
        """A request is there in part: its clock runs."""
        phase: Phase = "body" if partial.method else "head"
        if self._phase != phase:
            self._phase = phase
            self._since = self._loop.time()

    # Time.

    def hang_up(self) -> None:
        """Closes after what is written has gone out."""
        self.flush()
        self.transport.close()

    def check(self, now: float) -> None:
        """Called by the server some times a second: enforces the limits of time."""
        limits = self._limits
        took = now - self._since
        match self._phase:
            case "busy":
                self._check_alive(now)
            case "idle":
                if took > limits.idle_seconds:
                    self.hang_up()
            case "head":
                if took > limits.head_seconds:
                    self._late("head", limits.head_seconds)
            case "body":
                if took > limits.body_seconds:
                    self._late("body", limits.body_seconds)
            case "linger":
                if took > LINGER_SECONDS:
                    self.transport.abort()
        if self.blocked:
            self._check_reader(now)

    def _late(self, part: str, seconds: float) -> None:
        text = f"the {part} of the request did not arrive within {seconds:g} s"
        self._refuse(Refused(408, text, "request_timeout"))

    def _check_alive(self, now: float) -> None:
        """Has the reply say that it lives, where it wrote nothing since the checks before."""
        reply = self._reply
        if reply is None or reply.alive is None or self.blocked:
            return
        if reply.written != self._written:
            self._written = reply.written
            self._quiet = now
        elif now - self._quiet >= self._limits.alive_seconds:
            reply.alive()

    def _check_reader(self, now: float) -> None:
        """A reader that takes nothing for too long is cut off (ST-2)."""
        size = self.transport.get_write_buffer_size()
        if size != self._stall_size:
            self._stall_size = size
            self._stalled = now
        elif now - self._stalled > self._limits.stall_seconds:
            self._all.app.slow()
            self.transport.abort()

    # Output.

    def write(self, data: bytes) -> None:
        """Takes bytes for the client; they leave at the end of the loop's turn at the latest."""
        self._take(data, self._all.cork)

    def stream(self, data: bytes) -> None:
        """The same for a piece that somebody waits for: it leaves sooner."""
        self._take(data, self._all.streams)

    def _take(self, data: bytes, cork: Cork) -> None:
        out = self._out
        out.append(data)
        self._out_size += len(data)
        if len(out) == 1:
            cork.add(self)
        elif self._out_size > self._limits.write_bytes:
            self.flush()

    def flush(self) -> None:
        """Writes everything: straight to the socket, where nothing is before it.

        The loop's own transport would wait for the end of the loop's turn, and so for all that
        other connections have to do in it. It gets what the socket does not take, and calls back
        where the client is behind.
        """
        out, transport = self._out, self.transport
        if out and not transport.is_closing():
            data = out[0] if len(out) == 1 else b"".join(out)
            if self._fd >= 0 and not transport.get_write_buffer_size():
                data = data[self._send(data) :]
            if data:
                transport.write(data)
        out.clear()
        self._out_size = 0

    def _send(self, data: bytes) -> int:
        """How many bytes the socket took; none where it is full, or broken: the transport finds
        out which."""
        try:
            return os.write(self._fd, data)
        except OSError:
            return 0

    async def writable(self) -> None:
        """Waits until the client has taken enough of what was written."""
        while self.blocked:
            waiter = self._drained = self._loop.create_future()
            try:
                await waiter
            finally:
                self._drained = None

    def _release(self) -> None:
        waiter = self._drained
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
