"""Requests as handlers see them, and heads of answers as bytes."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final

_REASON: Final = {status.value: status.phrase for status in HTTPStatus} | {499: "Client Closed"}
JSON: Final = b"application/json"


class HttpRequest:
    """One request: ``headers`` have lower-case names, ``path`` is without the query.

    ``refusal`` is a finished answer that goes out instead of a handler's; ``chunked`` says
    whether the client understands a chunked answer (HTTP/1.1). ``route``, ``params``
    and ``visitor`` are the application's. ``query`` is what follows the path, without the ``?``.
    """

    # Set where they differ; most requests never touch them.
    method = b""
    path = b""
    body = b""
    keep_alive = True
    chunked = True
    refusal: bytes | None = None
    route: Any = None
    params: Mapping[str, str] = MappingProxyType({})
    visitor: Any = None
    query = b""

    def __init__(self) -> None:
        self.headers: dict[bytes, bytes] = {}

    def header(self, name: bytes) -> str | None:
        """The value of a header as text (bytes beyond ASCII as Latin-1)."""
        value = self.headers.get(name)
        return value.decode("latin-1") if value is not None else None


def header(name: str, value: str) -> bytes:
    """One line of a head. Line ends and control characters of the value become ``?``."""
    if not (value.isascii() and value.isprintable()):
        value = "".join(c if 32 <= ord(c) < 127 else "?" for c in value)
    return f"{name}: {value}\r\n".encode("ascii")


def answer(
    status: int,
    body: bytes,
    content_type: bytes = JSON,
    headers: bytes = b"",
    *,
    keep_alive: bool = True,
) -> bytes:
    """A whole answer: head and body in one piece. ``headers`` are finished lines."""
    if status == 200 and keep_alive:
        return b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\n%bcontent-length: %d\r\n\r\n%b" % (
            content_type,
            headers,
            len(body),
            body,
        )
    return head(status, content_type, headers, length=len(body), keep_alive=keep_alive) + body


def head(
    status: int,
    content_type: bytes,
    headers: bytes = b"",
    *,
    length: int | None,
    keep_alive: bool = True,
) -> bytes:
    """The head of an answer; ``length=None`` announces a chunked body."""
    parts = [f"HTTP/1.1 {status} {_REASON.get(status, 'Unknown')}\r\n".encode(), headers]
    if content_type:
        parts.append(b"content-type: " + content_type + b"\r\n")
    if length is None:
        parts.append(b"transfer-encoding: chunked\r\n")
    elif status != 204:
        parts.append(b"content-length: %d\r\n" % length)
    if not keep_alive:
        parts.append(b"connection: close\r\n")
    parts.append(b"\r\n")
    return b"".join(parts)
