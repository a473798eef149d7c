"""The error table of this wire: status and body -> one typed error.

Source: https://platform.openai.com/docs/guides/error-codes and the error bodies of the
compatible servers (vLLM: ``message`` at the top; Ollama: ``error`` as a text).
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
)

from ..refusal import by_status, read_body, redact, retry_after, too_long

_NUMBER: Final = re.compile(r"(\d[\d,]*) tokens")
_LIMIT: Final = re.compile(r"(?:maximum context length is|maximum of|> ?)\s*(\d[\d,]*)")
_NEEDS: Final = re.compile(
    r"(?:resulted in|requested(?: about)?|prompt is too long:|contains(?: at least)?|has)"
    r"\s*(\d[\d,]*)"
)


class _Said(msgspec.Struct, frozen=True):
    """What an error body says, whatever its shape."""

    message: str
    kind: str = ""
    code: str = ""
    param: str | None = None


def from_answer(status: int, headers: Mapping[bytes, bytes], body: bytes) -> InferenceError:
    """The error for an answer that is not 200. ``headers`` have lower-case names."""
    said = _read(body)
    error = _by_status(status, said)
    error.retry_after = retry_after(headers)
    return error


def from_event(error: Any) -> InferenceError:
    """The error for an ``error`` object inside a 200: its code or type stands for the status."""
    said = _said(error if isinstance(error, dict) else {"message": str(error)})
    return _by_status(_status_of(said), said)


def _by_status(status: int, said: _Said) -> InferenceError:
    text = said.message or f"no reason given (status {status})"
    words = f"{said.code} {said.kind}"
    if "context_length_exceeded" in words or _too_long(status, text):
        return context_of(text)
    if "insufficient_quota" in words or "billing" in words or status == 402:
        return QuotaExhausted(f"the upstream's quota is used up: {text}")
    if "content_filter" in words or "content_policy" in words:
        return ContentFiltered(text, said.param)
    if status in (400, 422):
        return BadRequest(text, said.param, said.code or None)
    return by_status(status, text)


def _status_of(said: _Said) -> int:
    if said.code.isdigit() and 400 <= int(said.code) < 600:
        return int(said.code)
    words = f"{said.code} {said.kind}"
    for word, status in (
        ("rate_limit", 429),
        ("overloaded", 529),
        ("authentication", 401),
        ("permission", 403),
        ("not_found", 404),
        ("timeout", 504),
        ("invalid_request", 400),
    ):
        if word in words:
            return status
    return 500


def _too_long(status: int, text: str) -> bool:
    lower = text.lower()
    return status in (400, 413, 422) and (
        "maximum context length" in lower or "prompt is too long" in lower
    )


def context_of(text: str) -> ContextLengthExceeded:
    """The numbers of the text where they can be read."""
    limit, needs = _LIMIT.search(text), _NEEDS.search(text)
    numbers = [_int(m) for m in _NUMBER.findall(text)]
    return too_long(
        text,
        _int(needs.group(1)) if needs else max(numbers, default=0),
        _int(limit.group(1)) if limit else min(numbers, default=0),
    )


def _int(digits: str) -> int:
    return int(digits.replace(",", "")[:18] or 0)


def _read(body: bytes) -> _Said:
    data = read_body(body)
    if isinstance(data, list) and data:
        data = data[0]
    if isinstance(data, dict):
        inner = data.get("error")
        if isinstance(inner, dict):
            return _said(inner)
        if isinstance(inner, str):
            return _Said(redact(inner))
        return _said(data)
    return _Said(redact(str(data)))


def _said(data: dict[str, Any]) -> _Said:
    message = data.get("message")
    if message is None:
        message = data.get("detail", "")
    param = data.get("param")
    return _Said(
        redact(str(message)),
        str(data.get("type") or ""),
        str(data.get("code") or ""),
        param if isinstance(param, str) else None,
    )
