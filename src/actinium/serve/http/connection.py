"""One client's connection: a state machine between the socket, the parser and the handlers.

Requests of one connection are answered in their order, one at a time; further ones wait in a
short queue and then in the socket. Whatever is wrong with a request's form becomes a finished
refusal that stands in the same queue, so it cannot overtake the answers before it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Final, Literal

import httptools

from .app import Application
from .limits import Limits
from .message import HttpRequest
from .reply import Reply

_LINGER_SECONDS: Final = 2.0
_ONCE: Final = frozenset((b"host", b"authorization", b"content-type", b"x-session-id"))

Phase = Literal["idle", "head", "body", "busy", "linger"]


class _Refused(Exception):
    """Ends parsing: the refusal is in the queue."""


class Registry:
    """The connections of one server."""

    def __init__(self, app: Application, limits: Limits) -> None:
        self.app = app
        self.limits = limits
        self.connections: set[ServerConnection] = set()
        self.closing = False


class ServerConnection(asyncio.Protocol):
    """See the module. ``transport``, ``blocked``, ``closing`` and ``writable`` serve replies."""

    __slots__ = (
        "_app",
        "_body",
        "_body_size",
        "_deaf",
        "_drained",
        "_head_size",
        "_limits",
        "_loop",
        "_parser",
        "_paused",
        "_phase",
        "_queue",
        "_registry",
        "_reply",
        "_request",
        "_since",
        "_stall_size",
        "_stalled",
        "_url",
        "blocked",
        "task",
        "transport",
    )

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._app = registry.app
        self._limits = registry.limits
        self._loop = asyncio.get_running_loop()
        self.transport: Any = None
        self._parser: Any = None
        self._phase: Phase = "idle"
        self._since = self._loop.time()
        self._request: HttpRequest | None = None
        self._deaf = False  # what comes in is thrown away: nothing sound can follow
        self._paused = False
        self._url = b""
        self._body: list[bytes] = []
        self._body_size = 0
        self._head_size = 0
        self._queue: deque[HttpRequest] = deque()
        self.task: asyncio.Task[None] | None = None
        self._reply: Reply | None = None
        self.blocked = False
        self._drained: asyncio.Future[None] | None = None
        self._stalled = 0.0
        self._stall_size = 0

    @property
    def closing(self) -> bool:
        return self._registry.closing

    def time(self) -> float:
        return self._loop.time()

    @property
    def phase(self) -> Phase:
        return self._phase

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        registry = self._registry
        registry.connections.add(self)
        self.transport.set_write_buffer_limits(self._limits.write_bytes)
        self._parser = httptools.HttpRequestParser(self)
        if len(registry.connections) > self._limits.connections:
            text = f"this server already has {self._limits.connections} connections"
            self._refuse_now(503, text, "too_many_connections")

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError as error:
            if not isinstance(error.__context__, _Refused):
                raise
            return
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._refuse_now(400, f"this is not an HTTP/1.1 request: {error}", "bad_http")
            return
        request = self._request
        if request is not None:
            self._partial(request, len(data))
        if len(self._queue) >= self._limits.pipeline:
            self._paused = True
            self.transport.pause_reading()

    def eof_received(self) -> bool | None:
        # Who closes its side waits for no answer any more: HTTP clients do not half-close.
        # What is answered already is still sent, since None closes after the last write.
        if self.task is not None:
            self.transport.abort()
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        self._registry.connections.discard(self)
        self._queue.clear()
        self._parser = None  # it refers back to this object
        self._request = None
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

    # What the parser calls.

    def on_message_begin(self) -> None:
        self._request = HttpRequest()
        self._url = b""
        self._head_size = 0

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        request = self._request
        if request is None or request.method:
            return  # a trailer: no field of it has a meaning here
        headers = request.headers
        name = name.lower()
        if name in headers:
            if name in _ONCE:
                self._refuse(400, f"the header {name.decode('latin-1')!r} came twice", "bad_http")
            value = headers[name] + b", " + value
        headers[name] = value
        if len(headers) > self._limits.headers:
            self._refuse(431, f"more than {self._limits.headers} headers", "headers_too_large")

    def on_headers_complete(self) -> None:
        request = self._request
        if request is None:
            return
        parser = self._parser
        headers = request.headers
        request.method = parser.get_method().decode("ascii")
        version = parser.get_http_version()
        request.chunked = version == "1.1"
        if version not in ("1.1", "1.0"):
            self._refuse(505, f"HTTP/{version} is not spoken here; use HTTP/1.1", "bad_http")
        if b"host" not in headers and request.chunked:
            self._refuse(400, "the header 'Host' is missing", "bad_http")
        if b"upgrade" in headers or request.method == "CONNECT":
            self._refuse(400, "protocols cannot be switched here; leave 'Upgrade' out", "bad_http")
        request.path = self._path(self._url)
        length = headers.get(b"content-length")
        if b"transfer-encoding" in headers:
            self._check_transfer(headers)
        elif length is not None and int(length) > self._limits.body_bytes:
            self._too_large()
        request.refusal = self._app.admit(request)
        if b"expect" in headers:
            self._expect(request)

    def on_body(self, piece: bytes) -> None:
        request = self._request
        if request is None or request.refusal is not None:
            return  # nobody will read it
        self._body_size += len(piece)
        if self._body_size > self._limits.body_bytes:
            self._too_large()
        self._body.append(piece)

    def on_message_complete(self) -> None:
        request = self._request
        if request is None or self._deaf:
            return
        self._request = None
        body = self._body
        if body:
            request.body = body[0] if len(body) == 1 else b"".join(body)
            body.clear()
            self._body_size = 0
        request.keep_alive = request.chunked and self._parser.should_keep_alive()
        self._queue.append(request)
        if self.task is None:
            self._start_next()

    # Requests in their order.

    def _start_next(self) -> None:
        """Answers refusals at once and starts a task for the first request that needs one."""
        queue = self._queue
        while queue:
            request = queue.popleft()
            if request.refusal is None:
                self._phase = "busy"
                self.task = self._loop.create_task(self._answer(request))
                return
            refusal = request.refusal
            if request.method == "HEAD":
                refusal = refusal.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
            self.transport.write(refusal)
            if not self._after(request):
                return

    async def _answer(self, request: HttpRequest) -> None:
        reply = self._reply = Reply(self, request)
        try:
            await self._app.handle(request, reply)
        except asyncio.CancelledError:
            # The client left, or the server stops: either way nobody reads on.
            request.keep_alive = False
            self.transport.abort()
            raise
        finally:
            self.task = None
            self._reply = None
            if not reply.ended:
                request.keep_alive = False
            if self._after(request):
                self._start_next()

    def _after(self, request: HttpRequest) -> bool:
        """One answer is out: whether the connection goes on."""
        if self.transport.is_closing():
            return False
        if not request.keep_alive or self._registry.closing:
            self._queue.clear()
            self._linger()
            return False
        partial = self._request
        if partial is None:
            self._phase = "idle"
        else:
            self._phase = "body" if partial.method else "head"
        self._since = self._loop.time()
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
        if self._deaf:
            self.transport.write_eof()
        else:
            self._deaf = True
            self.transport.close()

    # Refusals of what has no proper form.

    def _refuse(self, status: int, text: str, code: str) -> None:
        """Refuses from within the parser, which stops there."""
        self._refuse_now(status, text, code)
        raise _Refused

    def _refuse_now(self, status: int, text: str, code: str) -> None:
        if self._deaf:
            return
        self._deaf = True
        request = HttpRequest()
        request.refusal = self._app.refuse(status, text, code)
        request.keep_alive = False
        self._queue.append(request)
        self._request = None
        self._body.clear()
        if self.task is None:
            self._start_next()

    def _too_large(self) -> None:
        limit = self._limits.body_bytes
        self._refuse(413, f"the body is longer than {limit} bytes", "request_too_large")

    def _check_transfer(self, headers: dict[bytes, bytes]) -> None:
        # The parser refuses most of these already; nothing may slip through between two
        # readings of where a body ends (RFC 9112, section 6.3).
        if b"content-length" in headers:
            self._refuse(400, "both Content-Length and Transfer-Encoding are given", "bad_http")
        if headers[b"transfer-encoding"].strip().lower() != b"chunked":
            self._refuse(400, "the only Transfer-Encoding known here is 'chunked'", "bad_http")

    def _expect(self, request: HttpRequest) -> None:
        if request.headers[b"expect"].lower() != b"100-continue":
            self._refuse(417, "the only expectation known here is '100-continue'", "bad_http")
        if request.refusal is None and self.task is None and not self._queue:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _path(self, url: bytes) -> str:
        if not url.startswith(b"/"):
            try:
                url = httptools.parse_url(url).path or b"/"
            except httptools.HttpParserError:
                self._refuse(400, "the request target is not a path", "bad_http")
        return url.partition(b"?")[0].decode("latin-1")

    def _partial(self, request: HttpRequest, received: int) -> None:
        """A request is there in part: its clock runs, its head must stay within the limit."""
        if not request.method:
            self._head_size += received
            if self._head_size > self._limits.head_bytes:
                limit = self._limits.head_bytes
                self._refuse_now(431, f"the head is longer than {limit} bytes", "headers_too_large")
                return
            phase: Phase = "head"
        else:
            phase = "body"
        if self.task is None and self._phase != phase:
            self._phase = phase
            self._since = self._loop.time()

    # Time.

    def check(self, now: float) -> None:
        """Called by the server some times a second: enforces the limits of time."""
        limits = self._limits
        match self._phase:
            case "idle":
                if now - self._since > limits.idle_seconds:
                    self.transport.close()
            case "head":
                if now - self._since > limits.head_seconds:
                    self._late("head", limits.head_seconds)
            case "body":
                if now - self._since > limits.body_seconds:
                    self._late("body", limits.body_seconds)
            case "linger":
                if now - self._since > _LINGER_SECONDS:
                    self.transport.abort()
            case "busy":
                self._check_alive(now)
        if self.blocked:
            self._check_reader(now)

    def _check_alive(self, now: float) -> None:
        reply = self._reply
        if (
            reply is not None
            and reply.alive is not None
            and not self.blocked
            and now - reply.touched >= self._limits.alive_seconds
        ):
            reply.alive()

    def _late(self, part: str, seconds: float) -> None:
        text = f"the {part} of the request did not arrive within {seconds:g} s"
        self._refuse_now(408, text, "request_timeout")

    def _check_reader(self, now: float) -> None:
        """A reader that takes nothing for too long is cut off (ST-2)."""
        size = self.transport.get_write_buffer_size()
        if size != self._stall_size:
            self._stall_size = size
            self._stalled = now
        elif now - self._stalled > self._limits.stall_seconds:
            self._app.slow()
            self.transport.abort()

    async def writable(self) -> None:
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
