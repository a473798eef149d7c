"""What an upstream's headers say about its limits.

Sources: https://platform.openai.com/docs/guides/rate-limits (``x-ratelimit-*``; times such as
``6m0s`` or ``12ms``) and https://docs.anthropic.com/en/api/rate-limits (``anthropic-ratelimit-*``;
times of RFC 3339). Names are in lower case. A value nobody can read is as if it were not there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, NamedTuple

import msgspec


class _Names(NamedTuple):
    """The headers of one limit."""

    kind: str
    limit: bytes
    remaining: bytes
    reset: bytes


def _openai(kind: str, what: str) -> _Names:
    return _Names(kind, *(f"x-ratelimit-{n}-{what}".encode() for n in _Names._fields[1:]))


def _anthropic(kind: str, what: str) -> _Names:
    return _Names(kind, *(f"anthropic-ratelimit-{what}-{n}".encode() for n in _Names._fields[1:]))


_OPENAI: Final = (_openai("rpm", "requests"), _openai("tpm", "tokens"))
_ANTHROPIC: Final = (
    _anthropic("rpm", "requests"),
    _anthropic("tpm", "tokens"),
    _anthropic("input_tpm", "input-tokens"),
    _anthropic("output_tpm", "output-tokens"),
)
_NUMBERS: Final = frozenset(
    name for names in (*_OPENAI, *_ANTHROPIC) for name in (names.limit, names.remaining)
)
_PIECE: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|us|s|m|h|d)")
_UNITS: Final = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class Told(msgspec.Struct, frozen=True):
    """One limit as the upstream sees it; ``reset`` is in seconds from now."""

    limit: int | None
    remaining: int | None
    reset: float | None


def tells_limits(headers: Mapping[bytes, bytes]) -> bool:
    """Whether any of the names is one that says something of limits."""
    return not _NUMBERS.isdisjoint(headers)


def read_limits(headers: Mapping[bytes, bytes], at: datetime | None = None) -> dict[str, Told]:
    """The limits by the names of :class:`RateLimits`; ``at`` is the present (UTC)."""
    found: dict[str, Told] = {}
    if _NUMBERS.isdisjoint(headers):
        return found
    for kind, limit, remaining, reset in _OPENAI:
        told = Told(
            _count(headers.get(limit)), _count(headers.get(remaining)), _span(headers.get(reset))
        )
        if told.limit is not None or told.remaining is not None:
            found[kind] = told
    for kind, limit, remaining, reset in _ANTHROPIC:
        told = Told(
            _count(headers.get(limit)),
            _count(headers.get(remaining)),
            _until(headers.get(reset), at),
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
