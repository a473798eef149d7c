"""Quarantine: an actor out of service, tried now and then with one message (SV-6).

New messages are refused meanwhile; what waits in the mailbox stays there. When the time is over
a new instance is made (none, where an operator asked for the quarantine) and handles exactly
one message, the first that waits or the next that comes. That decides.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from actinium import _native

from .extra import Extra, extra_of
from .lifestate import enter, resume
from .put import ACCEPTED, Put
from .ref import LocalRef

if TYPE_CHECKING:
    from .supervision import CoolDown, Directive, SupervisorStrategy

Cell = LocalRef[Any]

_log = logging.getLogger("actinium.supervision")


class Quarantine:
    """The quarantine of one actor.

    ``stage``: ``cooling`` until ``until``; ``open`` for the message that will be the probe;
    ``probing`` while it is handled.
    """

    __slots__ = ("cool_down", "failure", "probes", "reason", "seconds", "stage", "timer", "until")

    def __init__(self, cool_down: CoolDown, reason: str, failure: BaseException | None) -> None:
        self.cool_down = cool_down
        self.reason = reason
        self.failure = failure
        self.seconds = cool_down.first
        self.probes = 0
        self.stage: Literal["cooling", "open", "probing"] = "cooling"
        self.until = 0.0
        self.timer: _native.Timer | None = None

    def wants_one(self, cell: Cell) -> bool:
        """Whether the next message will be the probe."""
        return self.stage == "open" and not cell.depth


class Quarantines:
    """All quarantines of one system."""

    def __init__(self, core: _native.Core) -> None:
        self._core = core
        self.goes_on: Callable[[Cell], None] = resume  # the supervisor has more to do
        self.cells: dict[Cell, None] = {}

    def holds(self, cell: Cell) -> bool:
        """Whether an actor is in quarantine."""
        return cell in self.cells

    # -- in and out

    def enter(self, cell: Cell, failure: BaseException | None, cool_down: CoolDown,
              reason: str | None = None) -> None:  # fmt: skip
        """Takes an actor out of service; it is paused, and its handlers have been told to end."""
        why = reason or (f"{type(failure).__name__}: {failure}" if failure else "asked for")
        extra = extra_of(cell)
        extra.quarantine = Quarantine(cool_down, why, failure)
        self.cells[cell] = None
        self._cool(cell, extra.quarantine)

    def _cool(self, cell: Cell, quarantine: Quarantine) -> None:
        enter(cell, "quarantined")
        cell.pause()
        cell.hold(True)
        quarantine.stage = "cooling"
        quarantine.until = self._core.now() + quarantine.seconds
        quarantine.timer = self._core.schedule(quarantine.seconds, lambda: self._cooled(cell))
        _log.warning("%s is in quarantine for %g s (%s)", cell.path, quarantine.seconds,
                     quarantine.reason)  # fmt: skip

    def leave(self, cell: Cell) -> Quarantine | None:
        """Forgets the quarantine; new messages are taken again."""
        extra: Extra | None = cell.extra
        quarantine = extra.quarantine if extra is not None else None
        if extra is None or quarantine is None:
            return None
        if quarantine.timer is not None:
            quarantine.timer.cancel()
        extra.quarantine = None
        del self.cells[cell]
        cell.hold(False)
        for waiter in extra.senders or ():
            if not waiter.done():
                waiter.set_result(None)  # it looks again
        return quarantine

    def release(self, cell: Cell) -> bool:
        """Puts an actor back into service now, as a new instance if it had failed."""
        extra: Extra | None = cell.extra
        if self.leave(cell) is None or extra is None:
            return False
        if extra.life != "quarantined":
            return True  # a new instance is being made already, or it is stopping
        if extra.failure is not None or extra.fallen:
            enter(cell, "suspended")
            cell.signal(_native.SYS_RESTART)
        else:
            self.goes_on(cell)
        return True

    # -- the probe

    def _cooled(self, cell: Cell) -> None:
        extra: Extra | None = cell.extra
        if extra is None or extra.quarantine is None or extra.life != "quarantined":
            return  # it is stopping
        extra.quarantine.timer = None
        if extra.failure is not None:
            cell.signal(_native.SYS_RESTART)  # and then ready()
        else:
            self.ready(cell)

    def ready(self, cell: Cell) -> None:
        """The instance that will be tried is there."""
        extra = extra_of(cell)
        if extra.quarantine is not None:
            enter(cell, "quarantined")
            extra.quarantine.stage = "open"
            cell.signal(_native.SYS_PROBE)

    def refused(self, cell: Cell, msg: Any, sender: Cell | None, extra: Any) -> Put | None:
        """A message came meanwhile: None when it is refused, else it will be the probe."""
        quarantine = extra_of(cell).quarantine
        if quarantine is None or not quarantine.wants_one(cell):
            return None
        cell.admit(msg, sender, extra)
        cell.core.loop.call_soon_threadsafe(self._admitted, cell)
        return ACCEPTED

    def _admitted(self, cell: Cell) -> None:
        if not cell.stopped_flag:
            cell.signal(_native.SYS_PROBE)

    def probe(self, cell: Cell) -> None:
        """Handles one message, or looks how that went; called while no handler is under way."""
        quarantine = extra_of(cell).quarantine
        if quarantine is None or quarantine.stage == "cooling":
            return
        if quarantine.stage == "open":
            quarantine.stage = "probing"
            while not cell.handle_one():
                if not cell.depth:
                    quarantine.stage = "open"  # the next message that comes will be the probe
                    return
            if cell.running:
                cell.signal(_native.SYS_PROBE)  # comes back once the handler has ended
                return
        if quarantine.stage == "probing" and extra_of(cell).quarantine is quarantine:
            _log.info("%s is out of quarantine", cell.path)
            self.leave(cell)
            self.goes_on(cell)

    def failed(
        self, cell: Cell, failure: BaseException, strategy: SupervisorStrategy, directive: Directive
    ) -> Directive | None:
        """What follows a failure in quarantine; None: a longer quarantine does."""
        quarantine = extra_of(cell).quarantine
        assert quarantine is not None
        quarantine.probes += 1
        if directive not in ("stop", "escalate"):
            if quarantine.probes < quarantine.cool_down.probes:
                quarantine.seconds = min(2 * quarantine.seconds, quarantine.cool_down.longest)
                quarantine.failure = failure
                quarantine.reason = f"{type(failure).__name__}: {failure}"
                extra_of(cell).failure = failure
                self._cool(cell, quarantine)
                return None
            directive = "stop" if strategy.on_limit == "stop" else "escalate"
        self.leave(cell)
        return directive
