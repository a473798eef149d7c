"""Children that fall and rise together: the rounds of AllForOne and RestForOne (SV-2).

A round takes its members down one after the other, the youngest first, and then starts them
again, the oldest first. Each step is the runtime's own work on that member's cell, so it waits
for a handler under way and gives way to a stop.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from actinium import _native

from .extra import Extra, extra_of
from .ref import LocalRef
from .supervision import RestartWindow, SupervisorStrategy

Cell = LocalRef[Any]


class Group:
    """The children of one parent under one strategy object."""

    __slots__ = ("round", "strategy", "window")

    def __init__(self, strategy: SupervisorStrategy, window: RestartWindow) -> None:
        self.strategy = strategy  # held, so that its identity stays its own
        self.window = window
        self.round: Round | None = None


class Round:
    """One fall and rise of some members, or (``stop_reason``) their end.

    ``down`` are still to be taken down, ``up`` still to be started; both in start order.
    """

    __slots__ = ("down", "group", "stop_reason", "up")

    def __init__(
        self, group: Group, members: Iterable[Cell], stop_reason: str | None = None
    ) -> None:
        self.group = group
        self.down = list(members)
        self.up: deque[Cell] = deque() if stop_reason is not None else deque(self.down)
        self.stop_reason = stop_reason

    @property
    def over(self) -> bool:
        """Whether another round has taken its place."""
        return self.group.round is not self

    def waits_for_its_end(self, cell: Cell) -> bool:
        """Whether the member's present instance is still to be taken down."""
        return not self.over and cell in self.down

    def next(self) -> None:
        """Takes the next step; called first by whoever begins the round."""
        if self.over:
            return
        while self.down:
            cell = self.down[-1]
            if not cell.stopped_flag:
                if self.stop_reason is not None:
                    extra_of(cell).reason = self.stop_reason
                    cell.stop()
                else:
                    cell.signal(_native.SYS_RESTART)
                return
            self.down.pop()
        while self.up:
            cell = self.up[0]
            if not cell.stopped_flag:
                cell.signal(_native.SYS_RESTART)
                return
            self.up.popleft()
        self.group.round = None

    def step_done(self, cell: Cell) -> None:
        """A member was taken down, was started, or has stopped."""
        if self.over:
            return
        if self.down:
            due = self.down[-1] is cell
            self.down.pop() if due else self._forget(cell)
        elif self.up:
            due = self.up[0] is cell
            self.up.popleft() if due else self._forget(cell)
        else:
            due = False
        if due:
            self.next()

    def _forget(self, cell: Cell) -> None:
        """A member has stopped out of its turn."""
        for waiting in (self.down, self.up):
            if cell in waiting and cell.stopped_flag:
                waiting.remove(cell)

    def members(self) -> list[Cell]:
        """Who is not up yet, in start order."""
        return list(self.up) if self.stop_reason is None else list(self.down)


def group_of(
    parent: Cell, strategy: SupervisorStrategy, window: Callable[[], RestartWindow]
) -> Group:
    """The group of a parent's children under this very object."""
    extra = extra_of(parent)
    if extra.groups is None:
        extra.groups = {}
    group = extra.groups.get(id(strategy))
    if group is None:
        group = extra.groups[id(strategy)] = Group(strategy, window())
    return group


def round_of(cell: Cell) -> Round | None:
    """The round a cell takes part in, if any."""
    extra: Extra | None = cell.extra
    round_ = extra.round if extra is not None else None
    return round_ if round_ is not None and not round_.over else None
