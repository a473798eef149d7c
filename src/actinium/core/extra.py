"""The rarely needed part of an actor's cell, made when first needed.

Most of a million actors have no name, nobody watching and no timer; they do not pay for it.
"""

from __future__ import annotations

from asyncio import Future, Task
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from actinium import _native

    from .entity import EntityRef
    from .pressure import Signals
    from .ref import LocalRef
    from .stash import Kept
    from .supervision import OneForOne, RestartWindow


class Extra:
    """Name, watchers, timers and what supervision remembers of one actor."""

    __slots__ = (
        "after",
        "blamed",
        "entity",
        "failure",
        "idle",
        "killed",
        "name",
        "on_stop",
        "orphans",
        "pipes",
        "reason",
        "senders",
        "signals",
        "stash",
        "states",
        "stopped",
        "supervise",
        "timers",
        "watchers",
        "watching",
        "window",
    )

    def __init__(self) -> None:
        self.name: str | None = None
        self.entity: EntityRef[Any] | None = None
        self.after: Future[None] | None = None
        self.supervise: OneForOne | None = None
        self.window: RestartWindow | None = None
        self.failure: BaseException | None = None
        self.blamed: LocalRef[Any] | None = None
        self.reason: str | None = None
        self.killed = False
        self.watchers: dict[LocalRef[Any], None] | None = None
        self.watching: dict[LocalRef[Any], None] | None = None
        self.timers: dict[Any, _native.Timer] | None = None
        self.idle: tuple[float, _native.Timer] | None = None
        self.senders: deque[Future[None]] | None = None
        self.signals: Signals | None = None
        self.stopped: list[Future[str]] | None = None
        self.on_stop: list[Callable[[LocalRef[Any], str], object]] | None = None
        self.orphans: Future[None] | None = None
        self.states: list[str | None] | None = None
        self.stash: list[Kept] | None = None
        self.pipes: set[Task[None]] | None = None


def extra_of(cell: _native.Cell) -> Extra:
    """The extra part of a cell, made now if it has none."""
    found: Extra | None = cell.extra
    if found is None:
        found = cell.extra = Extra()
    return found
