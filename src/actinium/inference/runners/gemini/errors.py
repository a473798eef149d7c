"""The error table of this wire: ``google.rpc.Status`` -> one typed error.

Source: https://ai.google.dev/gemini-api/docs/troubleshooting, https://google.aip.dev/193 (the
body and its details: ErrorInfo, RetryInfo, QuotaFailure, BadRequest) and the codes of
https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from actinium.errors import (
    BadRequest,
    ContentFiltered,
    ContextLengthExceeded,
    InferenceError,
    QuotaExhausted,
    UpstreamAuth,
)

from ..refusal import by_status, read_body, redact, retry_after, too_long

_STATUS: Final = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ABORTED": 409,
    "ALREADY_EXISTS": 409,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "UNKNOWN": 500,
    "INTERNAL": 500,
    "DATA_LOSS": 500,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
_KEY_REASONS: Final = frozenset(
    ("API_KEY_INVALID", "API_KEY_EXPIRED", "API_KEY_SERVICE_BLOCKED", "ACCESS_TOKEN_EXPIRED")
)
_BILLING: Final = frozenset(("BILLING_DISABLED", "BILLING_NOT_ACTIVE"))
_CONTEXT: Final = re.compile(
    r"input token count(?: is| of)?\s*\(?(\d+)\)?.{0,80}?maximum.{0,60}?\(?(\d+)\)?",
    re.IGNORECASE | re.DOTALL,
)
_SECONDS: Final = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)s")


class _Said(msgspec.Struct, frozen=True):
    """What an error body says. ``delay`` is RetryInfo's, ``quotas`` the ids of what ran out."""

    message: str
    status: int | None = None
    reason: str = ""
    field: str | None = None
    delay: float | None = None
    quotas: tuple[str, ...] = ()


def from_answer(status: int, headers: Mapping[bytes, bytes], body: bytes) -> InferenceError:
    """The error for an answer that is not 200. ``headers`` have lower-case names."""
    said = _read(body)
    # The name in the body is the upstream's own word; the number may be a proxy's.
    return _by_status(said.status or status, said, retry_after(headers))


def from_event(error: Any) -> InferenceError:
    """The error for an ``error`` object inside a 200."""
    said = _said(error if isinstance(error, dict) else {"message": str(error)})
    return _by_status(said.status or 500, said, None)


def blocked(reason: str, message: str | None) -> ContentFiltered:
    """The error for a prompt that was not let in (``promptFeedback.blockReason``)."""
    why = f": {redact(message)}" if message else ""
    return ContentFiltered(f"the upstream refused the prompt ({redact(reason)}){why}", "messages")


def _by_status(status: int, said: _Said, header: float | None) -> InferenceError:
    error = _typed(status, said)
    if not isinstance(error, QuotaExhausted):
        error.retry_after = said.delay if said.delay is not None else header
    return error


def _typed(status: int, said: _Said) -> InferenceError:
    text = said.message or f"no reason given (status {status})"
    if said.reason in _BILLING or status == 402:
        return QuotaExhausted(f"the upstream's project has no billing: {text}")
    if said.reason in _KEY_REASONS or status in (401, 403):
        return UpstreamAuth(f"the upstream refused this server's credentials: {text}")
    if status == 400:
        return _context(text) or BadRequest(text, said.field)
    if status == 429 and any("PerDay" in quota for quota in said.quotas):
        return QuotaExhausted(f"the upstream's quota of the day is used up: {text}")
    return by_status(status, text)


def _context(text: str) -> ContextLengthExceeded | None:
    found = _CONTEXT.search(text)
    if found is None:
        return None
    return too_long(text, int(found.group(1)[:18]), int(found.group(2)[:18]))


def _read(body: bytes) -> _Said:
    data = read_body(body)
    if isinstance(data, list) and data:
        data = data[0]  # streams that are not events begin with a bracket
    if isinstance(data, dict):
        inner = data.get("error")
        return _said(inner) if isinstance(inner, dict) else _Said(redact(str(inner or data)))
    return _Said(redact(str(data)))


def _said(data: dict[str, Any]) -> _Said:
    status = _STATUS.get(str(data.get("status")))
    code = data.get("code")
    if status is None and isinstance(code, int) and 400 <= code < 600:
        status = code
    details = data.get("details")
    kinds: dict[str, dict[str, Any]] = {}
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, dict):
            kinds.setdefault(str(detail.get("@type")).rpartition(".")[2], detail)
    return _Said(
        redact(str(data.get("message") or "")),
        status,
        str(kinds.get("ErrorInfo", {}).get("reason") or ""),
        _field(kinds.get("BadRequest", {})),
        _delay(kinds.get("RetryInfo", {}).get("retryDelay")),
        tuple(
            str(violation.get("quotaId") or "")
            for violation in _objects(kinds.get("QuotaFailure", {}).get("violations"))
        ),
    )


def _field(bad: dict[str, Any]) -> str | None:
    for violation in _objects(bad.get("fieldViolations")):
        field = violation.get("field")
        if isinstance(field, str) and field:
            return field[:128]
    return None


def _delay(value: Any) -> float | None:
    """Seconds of a protobuf Duration in JSON: ``"34.07s"``."""
    found = _SECONDS.fullmatch(value) if isinstance(value, str) else None
    return float(found.group(1)) if found is not None else None


def _objects(value: Any) -> list[dict[str, Any]]:
    return [v for v in value if isinstance(v, dict)] if isinstance(value, list) else []
