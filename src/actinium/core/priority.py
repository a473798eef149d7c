"""How important an actor or a message is."""

from __future__ import annotations

from typing import Literal, get_args

from actinium.errors import UsageError

Priority = Literal["critical", "high", "normal", "low"]

_NAMES: tuple[str, ...] = get_args(Priority)


def rank_of(priority: str) -> int:
    """The level of a priority in the native core: 0 is the most important."""
    if priority not in _NAMES:
        raise UsageError(f"priority {priority!r} is unknown; use one of {', '.join(_NAMES)}")
    return _NAMES.index(priority)
