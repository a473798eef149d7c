"""What an upstream's headers say about its limits.

Sources: https://platform.openai.com/docs/guides/rate-limits (``x-ratelimit-*``; times such as
``6m0s`` or ``12ms``) and https://docs.anthropic.com/en/api/rate-limits (``anthropic-ratelimit-*``;
times of RFC 3339). Names are in lower case. A value nobody can read is as if it were not there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import msgspec

_OPENAI: Final = {"rpm": b"requests", "tpm": b"tokens"}
_ANTHROPIC: Final = {
    "rpm": b"requests",
    "tpm": b"tokens",
    "input_tpm": b"input-tokens",
    "output_tpm": b"output-tokens",
}
_PIECE: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|us|s|m|h|d)")
_UNITS: Final = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class Told(msgspec.Struct, frozen=True):
    """One limit as the upstream sees it; ``reset`` is in seconds from now."""

    limit: int | None
    remaining: int | None
    reset: float | None


def read_limits(headers: Mapping[bytes, bytes], at: datetime | None = None) -> dict[str, Told]:
    """The limits by the names of :class:`RateLimits`; ``at`` is the present (UTC)."""
    found: dict[str, Told] = {}
    for kind, name in _OPENAI.items():
        told = Told(
            _count(headers.get(b"x-ratelimit-limit-" + name)),
            _count(headers.get(b"x-ratelimit-remaining-" + name)),
            _span(headers.get(b"x-ratelimit-reset-" + name)),
        )
        if told.limit is not None or told.remaining is not None:
            found[kind] = told
    for kind, name in _ANTHROPIC.items():
        start = b"anthropic-ratelimit-" + name
        told = Told(
            _count(headers.get(start + b"-limit")),
            _count(headers.get(start + b"-remaining")),
            _until(headers.get(start + b"-reset"), at),
        )
        if told.limit is not None or told.remaining is not None:
            found[kind] = told
    return found


def _count(raw: bytes | None) -> int | None:
    return int(raw) if raw is not None and raw.isdigit() and len(raw) < 16 else None


def _span(raw: bytes | None) -> float | None:
    if raw is None:
        return None
    text = raw.decode("latin-1").strip()
    if re.fullmatch(r"\d{1,9}(\.\d+)?", text):
        return float(text)
    if len(text) > 64 or not re.fullmatch(f"(?:{_PIECE.pattern})+", text):
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in _PIECE.findall(text))


def _until(raw: bytes | None, at: datetime | None) -> float | None:
    if raw is None:
        return None
    try:
        when = datetime.fromisoformat(raw.decode("latin-1").strip())
    except ValueError:
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(0.0, (when - (at or datetime.now(UTC))).total_seconds())
