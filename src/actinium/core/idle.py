"""``ctx.idle_after``: tells an actor that no message came for a while."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .signals import Idle

if TYPE_CHECKING:
    from actinium import _native

    from .ref import LocalRef

CHECKS = 4
"""Looks per idle time: the notice comes at most a quarter of it late, never early."""


class IdleWatch:
    """Looks at an actor's message count now and then; costs its messages nothing."""

    def __init__(self, cell: LocalRef[Any], seconds: float) -> None:
        self._cell = cell
        self._quiet = 0
        self._seen = cell.taken
        period = seconds / CHECKS
        self.timer: _native.Timer = cell.core.schedule(period, self._look, None, period)

    def _look(self) -> None:
        cell = self._cell
        if cell.closed_flag:
            self.timer.cancel()
            return
        if cell.taken != self._seen or cell.depth or cell.running:
            self._seen = cell.taken
            self._quiet = 0
            return
        self._quiet += 1
        # The first look may come right after a message: it does not count as a whole period.
        if self._quiet > CHECKS:
            self._quiet = 0
            self._seen = cell.taken + 1  # the notice itself is no activity
            cell.tell(Idle())
