"""Requests as handlers see them, and heads of answers as bytes."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Final

_REASON: Final = {status.value: status.phrase for status in HTTPStatus} | {499: "Client Closed"}
JSON: Final = b"application/json"


class HttpRequest:
    """One request: ``headers`` have lower-case names, ``path`` is without the query.

    ``refusal`` is a finished answer that goes out instead of a handler's; ``chunked`` says
    whether the client understands a chunked answer (HTTP/1.1). ``route`` is the application's.
    """

    __slots__ = ("body", "chunked", "headers", "keep_alive", "method", "path", "refusal", "route")

    def __init__(self) -> None:
        self.method = ""
        self.path = ""
        self.headers: dict[bytes, bytes] = {}
        self.body = b""
        self.keep_alive = True
        self.chunked = True
        self.refusal: bytes | None = None
        self.route: Any = None

    def header(self, name: bytes) -> str | None:
        """The value of a header as text (bytes beyond ASCII as Latin-1)."""
        value = self.headers.get(name)
        return value.decode("latin-1") if value is not None else None


def answer(
    status: int,
    body: bytes,
    content_type: bytes = JSON,
    headers: Iterable[tuple[str, str]] = (),
    *,
    keep_alive: bool = True,
) -> bytes:
    """A whole answer: head and body in one piece."""
    return head(status, content_type, headers, length=len(body), keep_alive=keep_alive) + body


def head(
    status: int,
    content_type: bytes,
    headers: Iterable[tuple[str, str]] = (),
    *,
    length: int | None,
    keep_alive: bool = True,
) -> bytes:
    """The head of an answer; ``length=None`` announces a chunked body."""
    if status == 200 and not headers and length is not None and keep_alive:
        return b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n" % (
            content_type,
            length,
        )
    lines = [f"HTTP/1.1 {status} {_REASON.get(status, 'Unknown')}"]
    if content_type:
        lines.append(f"content-type: {content_type.decode()}")
    if length is None:
        lines.append("transfer-encoding: chunked")
    elif status != 204:
        lines.append(f"content-length: {length}")
    lines += [f"{name}: {clean(value)}" for name, value in headers]
    if not keep_alive:
        lines.append("connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


def clean(value: str) -> str:
    """A header value without line ends and control characters: nothing can be smuggled in."""
    if value.isascii() and value.isprintable():
        return value
    return "".join(c if 32 <= ord(c) < 127 else "?" for c in value)
