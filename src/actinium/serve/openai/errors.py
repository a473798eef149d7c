"""Errors in OpenAI's shape: ``{"error": {message, type, param, code}}`` (GW-2).

Source: https://platform.openai.com/docs/guides/error-codes and the classes of the official
``openai`` package, which choose their exception by the status.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from actinium.errors import (
    ActiniumError,
    BadRequest,
    InferenceError,
    MissingExtra,
    Overloaded,
    StoreError,
    StreamInterrupted,
    Timeout,
    Unavailable,
    UsageError,
)

_PATH: Final = re.compile(r" - at `(?:key in )?\$\.?(.*?)`$", re.DOTALL)
_FIELD: Final = re.compile(r"field `(.+?)`", re.DOTALL)


class Detail(msgspec.Struct, frozen=True):
    message: str
    type: str
    param: str | None = None
    code: str | None = None


class Shape(msgspec.Struct, frozen=True):
    error: Detail


_encode = msgspec.json.Encoder().encode

INTERNAL: Final = Detail(
    "the server failed on this request; its log tells why under the request id of this answer",
    "server_error",
    None,
    "internal_error",
)


def error_body(
    message: str, kind: str = "invalid_request_error", param: str | None = None,
    code: str | None = None,
) -> bytes:  # fmt: skip
    """The body for an error that has no exception."""
    return _encode(Shape(Detail(_sound(message), kind, param, code)))


def status_of(error: BaseException) -> int:
    """The HTTP status of an exception: what is not an error of this package is a 500."""
    if isinstance(error, InferenceError):
        return error.http
    if isinstance(error, Overloaded):
        return 503
    if isinstance(error, Timeout):
        return 504
    if isinstance(error, (Unavailable, StoreError)):
        return 503
    if isinstance(error, MissingExtra):
        return 501
    return 500


def detail_of(error: BaseException) -> Detail:
    """The public part of an exception; nothing of an unexpected one is shown."""
    if isinstance(error, InferenceError):
        code = error.wire_code
        if isinstance(error, BadRequest):
            code = error.code or code
        return Detail(_sound(str(error)), error.wire_type, error.param, code)
    if isinstance(error, ActiniumError) and not isinstance(error, UsageError):
        if status_of(error) == 500:
            return INTERNAL
        return Detail(_sound(str(error)), "server_error", None, "unavailable")
    return INTERNAL


def encode_detail(detail: Detail) -> bytes:
    return _encode(Shape(detail))


class OpenAIFaults:
    """Errors in OpenAI's shape: the :class:`actinium.serve.faults.Faults` of its endpoints."""

    shape = Shape

    def status(self, error: BaseException) -> int:
        return status_of(error)

    def body(self, detail: Detail, status: int, id: str) -> bytes:
        return encode_detail(detail)

    def event(self, detail: Detail, status: int, id: str) -> bytes:
        return b"data: " + encode_detail(detail) + b"\n\n"

    def headers(self, id: str) -> bytes:
        return b""


def headers_of(error: BaseException) -> tuple[tuple[str, str], ...]:
    """``Retry-After`` in whole seconds where the error knows it.

    A broken-off or exhausted answer asks the official clients not to try by themselves.
    """
    headers: list[tuple[str, str]] = []
    after = error.retry_after if isinstance(error, ActiniumError) else None
    if after is not None:
        headers.append(("retry-after", str(max(1, round(after)))))
    if isinstance(error, StreamInterrupted):
        headers.append(("x-should-retry", "false"))
    return tuple(headers)


def bad_body(error: Exception) -> BadRequest:
    """The decoder's complaint as the client's error: what was expected, got, and where."""
    if isinstance(error, RecursionError):
        return BadRequest("the JSON of the body is nested too deep", code="invalid_json")
    if isinstance(error, UnicodeDecodeError):
        return BadRequest(
            f"the body is not UTF-8: byte 0x{error.object[error.start]:02x} ({error.reason})",
            code="invalid_json",
        )
    text = str(error)
    if not isinstance(error, msgspec.ValidationError):
        return BadRequest(f"the body is not JSON: {text}", code="invalid_json")
    path, field = _PATH.search(text), _FIELD.search(text)
    param = path.group(1) if path else None
    if field is not None and "missing" in text:
        param = f"{param}.{field.group(1)}" if param else field.group(1)
        return BadRequest(text[0].lower() + text[1:], param, "missing_required_parameter")
    return BadRequest(text[0].lower() + text[1:], param or None, "invalid_type")


def _sound(text: str) -> str:
    """A text that can be encoded, of a length that a client can show."""
    return text.encode("utf-8", "replace").decode("utf-8")[:4096]
