"""What the refusals of all upstreams have in common: texts without keys, and when to return."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

MAX_TEXT: Final = 2048
"""Characters of an upstream's text that are kept."""

_KEY_LIKE: Final = re.compile(r"\b((?:sk|pk|rk)-|AIza|ya29\.)[A-Za-z0-9_*.-]{6,}")


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
