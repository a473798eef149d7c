"""Bytes of one connection -> requests, on top of llhttp.

llhttp refuses what is not HTTP/1.1; the rules added here are those on which servers and
proxies are known to differ (RFC 9112, sections 3.2, 6.1 and 6.3), and the limits of size.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from actinium.errors import MissingExtra

from .limits import Limits
from .message import HttpRequest

try:
    import httptools
except ImportError as error:
    raise MissingExtra("serve", "the gateway") from error

_ONCE: Final = frozenset((b"host", b"authorization", b"content-type", b"x-session-id"))


class Refused(Exception):
    """The bytes are no request that can be served; nothing after them can be trusted."""

    def __init__(self, status: int, text: str, code: str = "bad_http") -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.code = code


class RequestParser:
    """Feed it bytes; it hands complete requests to ``deliver`` in their order.

    ``admit`` sees a request when its head is there and may set a refusal: then its body is
    thrown away. ``expects`` is called when the client waits for leave to send its body.
    ``partial`` is the request that has come in part, or None.
    """

    __slots__ = (
        "_admit",
        "_body",
        "_body_size",
        "_deliver",
        "_expects",
        "_fed",
        "_fields",
        "_head_size",
        "_headers",
        "_limits",
        "_llhttp",
        "_moved",
        "_url",
        "partial",
    )

    def __init__(
        self,
        limits: Limits,
        admit: Callable[[HttpRequest], bytes | None],
        deliver: Callable[[HttpRequest], None],
        expects: Callable[[], None],
    ) -> None:
        self._limits = limits
        self._admit = admit
        self._deliver = deliver
        self._expects = expects
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        self._body_size = 0
        self._head_size = 0
        self._fed = 0
        self._fields = 0
        self._moved = False  # whether a head ended or body came in the bytes of now
        self.partial: HttpRequest | None = None
        self._llhttp: Any = httptools.HttpRequestParser(self)

    def feed(self, data: bytes) -> None:
        """Takes bytes. Raises Refused; the parser must not be used after that."""
        self._fed = len(data)
        self._moved = False
        try:
            self._llhttp.feed_data(data)
        except httptools.HttpParserCallbackError as error:
            cause = error.__context__
            if cause is None:
                raise
            raise cause from None
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            raise Refused(400, f"this is not an HTTP/1.1 request: {error}") from None
        request = self.partial
        if request is not None and not self._moved:
            # Neither body nor the end of a head has come: it is head, or trailers, which are
            # collected by llhttp's binding until they end. Both have the same limit.
            self._head_size += self._fed
            if self._head_size > self._limits.head_bytes:
                raise self._head_too_long()

    def close(self) -> None:
        """Breaks the circle of references with llhttp's parser."""
        self._llhttp = None
        self.partial = None

    # What llhttp calls.

    def on_message_begin(self) -> None:
        request = self.partial = HttpRequest()
        self._headers = request.headers
        self._url = b""
        self._head_size = 0
        self._fields = 0

    def on_url(self, url: bytes) -> None:
        self._url = self._url + url if self._url else url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields += 1
        if self._fields > self._limits.headers:
            text = f"more than {self._limits.headers} headers"
            raise Refused(431, text, "headers_too_large")
        name = name.lower()
        first = self._headers.setdefault(name, value)
        if first is not value:
            if name in _ONCE:
                raise Refused(400, f"the header {name.decode('latin-1')!r} came twice")
            self._headers[name] = first + b", " + value

    def on_headers_complete(self) -> None:
        request = self.partial
        if request is None:
            return
        headers = request.headers
        self._headers = {}  # what comes now are trailers: no field of them has a meaning here
        llhttp = self._llhttp
        method = request.method = llhttp.get_method()
        self._moved = True
        limit = self._limits.head_bytes
        if self._head_size + self._fed > limit and self._head_length(headers) > limit:
            raise self._head_too_long()
        self._head_size = 0
        # HTTP/1.1 keeps alive unless a header says otherwise: only the rest needs a look.
        if b"connection" in headers or b"host" not in headers or not llhttp.should_keep_alive():
            self._check_version(request, llhttp.get_http_version())
        if b"upgrade" in headers or method == b"CONNECT":
            raise Refused(400, "protocols cannot be switched here; leave 'Upgrade' out")
        url = self._url
        if url[:1] == b"/" and b"?" not in url:
            request.path = url
        else:
            request.path, request.query = _target(url)
        if b"transfer-encoding" in headers:
            self._check_transfer(headers)
        else:
            length = headers.get(b"content-length")
            if length is not None and int(length) > self._limits.body_bytes:
                raise self._body_too_long()
        request.refusal = self._admit(request)
        if b"expect" in headers:
            self._check_expect(request)

    def on_body(self, piece: bytes) -> None:
        self._moved = True
        self._head_size = 0
        request = self.partial
        if request is None or request.refusal is not None:
            return  # nobody will read it
        self._body_size += len(piece)
        if self._body_size > self._limits.body_bytes:
            raise self._body_too_long()
        self._body.append(piece)

    def on_message_complete(self) -> None:
        request = self.partial
        if request is None:
            return
        self.partial = None
        body = self._body
        if body:
            request.body = body[0] if len(body) == 1 else b"".join(body)
            body.clear()
            self._body_size = 0
        self._deliver(request)

    # Rules.

    def _check_version(self, request: HttpRequest, version: str) -> None:
        if version not in ("1.1", "1.0"):
            raise Refused(505, f"HTTP/{version} is not spoken here; use HTTP/1.1")
        request.chunked = version == "1.1"
        request.keep_alive = request.chunked and self._llhttp.should_keep_alive()
        if request.chunked and b"host" not in request.headers:
            raise Refused(400, "the header 'Host' is missing")

    @staticmethod
    def _check_transfer(headers: dict[bytes, bytes]) -> None:
        if b"content-length" in headers:
            raise Refused(400, "both Content-Length and Transfer-Encoding are given")
        if headers[b"transfer-encoding"].strip().lower() != b"chunked":
            raise Refused(400, "the only Transfer-Encoding known here is 'chunked'")

    def _check_expect(self, request: HttpRequest) -> None:
        if request.headers[b"expect"].lower() != b"100-continue":
            raise Refused(417, "the only expectation known here is '100-continue'")
        if request.refusal is None:
            self._expects()

    def _head_length(self, headers: dict[bytes, bytes]) -> int:
        return len(self._url) + sum(map(len, headers)) + sum(map(len, headers.values()))

    def _head_too_long(self) -> Refused:
        limit = self._limits.head_bytes
        return Refused(431, f"the head is longer than {limit} bytes", "headers_too_large")

    def _body_too_long(self) -> Refused:
        limit = self._limits.body_bytes
        return Refused(413, f"the body is longer than {limit} bytes", "request_too_large")


def _target(url: bytes) -> tuple[bytes, bytes]:
    """The path and the query of a request target in any of its forms."""
    if not url.startswith(b"/"):
        try:
            parts = httptools.parse_url(url)
        except httptools.HttpParserError:
            raise Refused(400, "the request target is not a path") from None
        return parts.path or b"/", parts.query or b""
    path, _, query = url.partition(b"?")
    return path, query
