"""The states of an actor's life, and which may follow which (LC-1).

A state is not stored where the cell's flags tell it: an actor without trouble has none of this.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from .extra import extra_of

if TYPE_CHECKING:
    from typing import Any

    from .extra import Extra
    from .ref import LocalRef

LifeState = Literal[
    "starting", "active", "suspended", "restarting", "quarantined", "draining", "stopping",
    "stopped",
]  # fmt: skip

LEGAL: Mapping[LifeState, frozenset[LifeState]] = {
    "starting": frozenset(("active", "suspended", "draining", "stopping", "stopped")),
    "active": frozenset(("suspended", "quarantined", "draining", "stopping", "stopped")),
    "suspended": frozenset(
        ("active", "restarting", "quarantined", "draining", "stopping", "stopped")
    ),
    "restarting": frozenset(
        ("active", "suspended", "quarantined", "draining", "stopping", "stopped")
    ),
    "quarantined": frozenset(
        ("active", "suspended", "restarting", "draining", "stopping", "stopped")
    ),
    "draining": frozenset(("suspended", "restarting", "quarantined", "stopping", "stopped")),
    "stopping": frozenset(("stopped",)),
    "stopped": frozenset(),
}
"""Which states may follow a state."""

_STORED = frozenset(("suspended", "restarting", "quarantined", "stopping"))


def life_state_of(cell: LocalRef[Any]) -> LifeState:
    """Where an actor is in its life."""
    if cell.stopped_flag:
        return "stopped"
    extra: Extra | None = cell.extra
    if extra is not None and extra.life is not None:
        return extra.life
    if cell.closed_flag:
        return "draining"
    return "starting" if cell.paused_flag else "active"


def enter(cell: LocalRef[Any], state: LifeState) -> None:
    """Moves an actor on; raises AssertionError for a move that the table does not have."""
    now = life_state_of(cell)
    if state != now and state not in LEGAL[now]:
        raise AssertionError(f"LC-1: {cell.path} cannot go from {now} to {state}")
    extra_of(cell).life = state if state in _STORED else None


def resume(cell: LocalRef[Any]) -> None:
    """Lets an actor handle messages (again)."""
    extra: Extra | None = cell.extra
    if extra is not None and extra.life is not None:
        enter(cell, "draining" if cell.closed_flag else "active")
    cell.unpause()
