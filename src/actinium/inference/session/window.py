"""What of a conversation goes to the model: pure functions over turns.

Invariant SE-3: what is chosen fits, keeps the system text, and never separates a tool call
from its results, because whole turns stay or go.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from ..chunk import Usage
from ..request import Message


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """One acknowledged exchange: what came in and what was answered.

    ``note`` is that of the request; ``usage`` is kept where there is one.
    """

    messages: tuple[Message, ...]
    model: str = ""
    finish: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    note: dict[str, Any] | None = None
    usage: Usage | None = None


Count = Callable[[tuple[Message, ...]], int]

REFILL = 0.75
"""How much of the budget is filled after trimming.

Trimming a quarter at once keeps the start of the prompt the same for many turns, so that prefix
caches of servers hit; trimming one turn each time would miss every time.
"""


def fresh(history: Sequence[Turn], messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """The messages that the session does not hold yet.

    A client may send only what is new, or the whole conversation as it would without a
    session; a repeated system text is not stored twice.
    """
    known = tuple(m for turn in history for m in turn.messages)
    if known and messages[: len(known)] == known:
        return messages[len(known) :]
    systems = [m for m in known if m.role in ("system", "developer")]
    return tuple(m for m in messages if m not in systems)


def prompt(history: Sequence[Turn], start: int, new: tuple[Message, ...]) -> tuple[Message, ...]:
    """System texts of all turns before ``start``, the turns from there on, and what is new."""
    pinned = tuple(
        m for turn in history[:start] for m in turn.messages if m.role in ("system", "developer")
    )
    kept = tuple(m for turn in history[start:] for m in turn.messages)
    return pinned + kept + new


def advance(
    history: Sequence[Turn], start: int, new: tuple[Message, ...], budget: int, count: Count
) -> int:
    """The first turn that goes to the model so that the prompt has at most ``budget`` tokens.

    Returns ``start`` itself while everything fits, else the earliest later turn that leaves
    room (see REFILL); ``len(history)`` when only the new messages go.
    """
    if count(prompt(history, start, new)) <= budget:
        return start
    goal = int(budget * REFILL)
    while start < len(history):
        start += 1
        if count(prompt(history, start, new)) <= goal:
            break
    return start
