"""How important an actor or a message is."""

from __future__ import annotations

from typing import Literal, get_args

from actinium.errors import UsageError

Priority = Literal["critical", "high", "normal", "low"]

PRIORITIES: tuple[str, ...] = get_args(Priority)
"""By level, the most important first."""


def rank_of(priority: str) -> int:
    """The level of a priority in the native core: 0 is the most important."""
    if priority not in PRIORITIES:
        raise UsageError(f"priority {priority!r} is unknown; use one of {', '.join(PRIORITIES)}")
    return PRIORITIES.index(priority)
