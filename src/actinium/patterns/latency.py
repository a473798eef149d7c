"""How long the answers of an actor class took lately, per type of message."""

from __future__ import annotations

from collections import deque
from weakref import WeakKeyDictionary

KEPT = 128
"""Answers remembered of each kind."""

NEEDED = 16
"""Answers before anything is said about them."""

_seen: WeakKeyDictionary[type, dict[type, deque[float]]] = WeakKeyDictionary()


def record(cls: type, message_type: type, seconds: float) -> None:
    """Remembers one answer."""
    by_type = _seen.setdefault(cls, {})
    if message_type not in by_type:
        by_type[message_type] = deque(maxlen=KEPT)
    by_type[message_type].append(seconds)


def quantile(cls: type, message_type: type, share: float) -> float | None:
    """The time within which this share of the last answers came; None while too few are known."""
    kept = _seen.get(cls, {}).get(message_type)
    if kept is None or len(kept) < NEEDED:
        return None
    return sorted(kept)[min(len(kept) - 1, int(len(kept) * share))]
