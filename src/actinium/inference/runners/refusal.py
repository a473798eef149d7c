"""What the refusals of all upstreams have in common: the statuses every wire shares, texts
without keys, and when to return."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

import msgspec

from actinium.errors import (
    ContextLengthExceeded,
    InferenceError,
    ModelNotFound,
    PayloadTooLarge,
    ProtocolError,
    RateLimited,
    ServerError,
    UpstreamAuth,
    UpstreamOverloaded,
    UpstreamTimeout,
)

MAX_TEXT: Final = 2048
"""Characters of an upstream's text that are kept."""

_KEY_LIKE: Final = re.compile(r"\b((?:sk|pk|rk)-|AIza|ya29\.)[A-Za-z0-9_*.-]{6,}")


def by_status(status: int, text: str) -> InferenceError:
    """The error for a status that means the same on every wire; its provider looks at 400, 402
    and 422, and at the words of its own errors, before."""
    if status in (401, 403):
        return UpstreamAuth(f"the upstream refused this server's credentials: {text}")
    if status == 404:
        return ModelNotFound(f"the upstream does not know this model or path: {text}")
    if status in (408, 504):
        late = UpstreamTimeout("upstream", 0.0)
        late.args = (f"the upstream ran into its own time limit ({status}): {text}",)
        return late
    if status == 413:
        return PayloadTooLarge(f"the upstream refuses a request of this size: {text}")
    if status == 429:
        return RateLimited(f"the upstream's rate limit is reached: {text}")
    if status in (503, 529):
        return UpstreamOverloaded(f"the upstream has no room now ({status}): {text}", status)
    if status in (409, 499) or status >= 500:
        return ServerError(f"the upstream answered {status}: {text}", status)
    return ProtocolError(
        f"the upstream answered {status}, which its wire does not have"
        + ("; set base_url to where it redirects" if 300 <= status < 400 else f": {text}")
    )


def too_long(text: str, tokens: int, limit: int) -> ContextLengthExceeded:
    """A context overflow with the upstream's own text, and its numbers (0: not told)."""
    error = ContextLengthExceeded(tokens, limit)
    error.args = (text,)
    return error


def read_body(body: bytes) -> Any:
    """The JSON of an error body, or its text where it is none."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body[: 4 * MAX_TEXT].decode("utf-8", "replace").strip()


def redact(text: str) -> str:
    """Takes out of an upstream's text what looks like a key, and cuts it to 2 KiB."""
    return _KEY_LIKE.sub(r"\1***", text)[:MAX_TEXT]


def retry_after(headers: Mapping[bytes, bytes]) -> float | None:
    """Seconds to wait by ``retry-after-ms`` or ``retry-after`` (seconds or HTTP date)."""
    try:
        if (millis := headers.get(b"retry-after-ms")) is not None:
            return max(0.0, float(millis) / 1000)
        raw = headers.get(b"retry-after")
        if raw is None:
            return None
        if raw.strip().isdigit():
            return float(raw)
        at = parsedate_to_datetime(raw.decode("latin-1"))
        return max(0.0, (at - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None  # a hint nobody can read is no hint
