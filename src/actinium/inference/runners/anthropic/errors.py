"""The error table of this wire: status and body -> one typed error.

Source: https://docs.anthropic.com/en/api/errors and /en/api/rate-limits.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from actinium.errors import BadRequest, ContentFiltered, InferenceError, QuotaExhausted

from ..refusal import by_status, read_body, redact, too_long
from ..refusal import retry_after as _plain_retry_after

_STATUS: Final = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
_TOO_LONG: Final = re.compile(r"prompt is too long: (\d+) tokens > (\d+) maximum", re.IGNORECASE)
_TOO_MUCH: Final = re.compile(r"exceed context limit: (\d+) \+ (\d+) > (\d+)", re.IGNORECASE)
_FIELD: Final = re.compile(r"([a-z_]+(?:\.[a-z0-9_]+)*): ", re.IGNORECASE)
_WINDOWS: Final = (b"requests", b"tokens", b"input-tokens", b"output-tokens")


def from_answer(status: int, headers: Mapping[bytes, bytes], body: bytes) -> InferenceError:
    """The error for an answer that is not 200. ``headers`` have lower-case names."""
    kind, message = _read(body)
    error = _by_status(status, kind, message)
    error.retry_after = retry_after(headers) if status in (429, 503, 529) else None
    return error


def from_event(error: Any) -> InferenceError:
    """The error for an ``error`` object inside a 200: its type stands for the status."""
    kind, message = _said(error)
    return _by_status(_STATUS.get(kind, 500), kind, message)


def retry_after(headers: Mapping[bytes, bytes]) -> float | None:
    """Seconds to wait: by ``retry-after``, else until the last used-up window is full again.

    The windows are those of ``anthropic-ratelimit-*-remaining`` and ``-reset`` (RFC 3339).
    """
    said = _plain_retry_after(headers)
    if said is not None:
        return said
    waits: list[float] = []
    for window in _WINDOWS:
        if headers.get(b"anthropic-ratelimit-%b-remaining" % window) != b"0":
            continue
        reset = headers.get(b"anthropic-ratelimit-%b-reset" % window, b"")
        try:
            at = datetime.fromisoformat(reset.decode("ascii"))
            waits.append(max(0.0, (at - datetime.now(UTC)).total_seconds()))
        except (ValueError, TypeError):
            continue  # a hint nobody can read is no hint
    return max(waits, default=None)


def _by_status(status: int, kind: str, message: str) -> InferenceError:
    text = message or f"no reason given (status {status})"
    lower = text.lower()
    if status == 402 or kind == "billing_error" or "credit balance is too low" in lower:
        return QuotaExhausted(f"the upstream's quota is used up: {text}")
    if status in (400, 422):
        return _bad_request(text, lower)
    return by_status(status, text)


def _bad_request(text: str, lower: str) -> InferenceError:
    if (found := _TOO_LONG.search(text)) is not None:
        return too_long(text, int(found[1][:18]), int(found[2][:18]))
    if (found := _TOO_MUCH.search(text)) is not None:
        return too_long(text, int(found[1][:18]) + int(found[2][:18]), int(found[3][:18]))
    if "blocked by content filtering" in lower:
        return ContentFiltered(text)
    field = _FIELD.match(text)
    return BadRequest(text, field[1] if field is not None else None)


def _read(body: bytes) -> tuple[str, str]:
    """Type and message of an error body, whatever its shape."""
    data = read_body(body)
    return _said(data.get("error", data) if isinstance(data, dict) else data)


def _said(error: Any) -> tuple[str, str]:
    if not isinstance(error, dict):
        return "", redact(str(error))
    return str(error.get("type") or ""), redact(str(error.get("message") or ""))
