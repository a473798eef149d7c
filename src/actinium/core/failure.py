"""Failures: whose they are, and what the supervisor decides (SV-4, SV-5)."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Any, Literal

from actinium import _native
from actinium.errors import ActorRestarted, ActorStopped, ChildFailed, HandlerError

from .cancellation import gave_up, is_late
from .events.kinds import ActorFailedEvent
from .events.stream import Events
from .extra import Extra, extra_of
from .group import Group, Round, group_of, round_of
from .interrupt import interrupt
from .lifestate import enter, life_state_of, resume
from .pipe import cancel_pipes
from .quarantine import Quarantines
from .ref import LocalRef
from .signals import Stop
from .supervision import Directive, RestartWindow, SupervisorStrategy
from .undelivered import Undelivered, messages_of, tell_asker

Cell = LocalRef[Any]
OnFatal = Literal["shutdown", "stop_branch"]

_ENDING = ("stopping", "stopped")

_log = logging.getLogger("actinium.supervision")


def reason_of(failure: BaseException) -> str:
    """The reason an actor stopped for, as ``ac.Terminated`` gives it."""
    return f"failed: {type(failure).__name__}: {failure}"


class Supervisor:
    """Decides about every failure of one system.

    ``fatal`` is the failure that reached the root, and ``end`` is then called once;
    ``restarts`` counts instances replaced.
    """

    def __init__(
        self,
        core: _native.Core,
        undelivered: Undelivered,
        quarantines: Quarantines,
        events: Events,
        default: SupervisorStrategy,
        on_fatal: OnFatal,
        seed: int,
    ) -> None:
        self.core = core
        self.undelivered = undelivered
        self.events = events
        self.default = default
        self.on_fatal = on_fatal
        self.random = random.Random(seed or None)
        self.quarantines = quarantines
        quarantines.goes_on = self.goes_on
        self.fatal: BaseException | None = None
        self.fatal_event = asyncio.Event()
        self.end: Callable[[], object] = lambda: None
        self.restarts = 0

    # -- what a handler raised

    def failed(
        self,
        cell: Cell,
        msg: Any,
        sender: Cell | None,
        extra: Any,
        handler: _native.Handler | None,
        failure: BaseException,
    ) -> bool:
        """True when the exception was a declared answer or was caused by the runtime."""
        if handler is not None and handler.raises and isinstance(failure, handler.raises):
            tell_asker(extra, failure)
            return True
        if isinstance(failure, asyncio.CancelledError) and self._asked_for(cell, extra):
            tell_asker(extra, self._interrupted(cell, extra))
            return True
        if isinstance(failure, Stop):
            tell_asker(extra, ActorStopped(f"{cell.path} has stopped"))
            cell.stop()
            return True
        if msg is not None and not self._try_again(cell, msg, sender, extra, failure):
            where = handler.name if handler is not None else cell.cls.__qualname__
            error = HandlerError(f"{where} failed: {type(failure).__name__}: {failure}", failure)
            error.__cause__ = failure
            tell_asker(extra, error)
            for one in messages_of(msg, extra):
                self.undelivered.count += 1
                self.undelivered.letters.record("handler_failed", cell, sender, one, failure)
        self.decide(cell, failure)
        return False

    def failed_beside(self, cell: Cell, failure: BaseException) -> None:
        """Something that an actor had started beside its mailbox failed."""
        if isinstance(failure, Stop):
            cell.stop()
        elif cell.paused_flag and extra_of(cell).failure is not None:
            _log.error("%s failed again while it fails", cell.path, exc_info=failure)
        else:
            self.decide(cell, failure)

    def _asked_for(self, cell: Cell, extra: Any) -> bool:
        known: Extra | None = cell.extra
        if known is not None and (known.killed or known.failure is not None):
            return True
        if isinstance(extra, _native.Reply) and extra.done():
            return True
        return gave_up(extra) or is_late(cell, extra)

    def _interrupted(self, cell: Cell, extra: Any) -> Exception:
        if isinstance(extra, _native.Reply) and is_late(cell, extra):
            return self.undelivered.timeout(extra)
        known: Extra | None = cell.extra
        round_ = round_of(cell)
        ends = round_ is not None and round_.stop_reason is not None
        if cell.closed_flag or known is None or known.failure is None or ends:
            return ActorStopped(f"{cell.path} was stopped")
        return ActorRestarted(f"{cell.path} was restarted while it handled the ask")

    def _try_again(
        self, cell: Cell, msg: Any, sender: Cell | None, extra: Any, failure: BaseException
    ) -> bool:
        """Puts a message back to the front of its mailbox, as often as ``poison`` says."""
        strategy = self.strategy(cell)
        once_only = isinstance(extra, _native.Envelope) and (extra.stream or extra.count)
        if strategy.poison is None or once_only or not isinstance(failure, Exception):
            return False
        if strategy.directive(failure) in ("stop", "escalate") or cell.stopped_flag:
            return False
        known = extra_of(cell)
        last, times = known.retries if known.retries is not None else (None, 0)
        times = times + 1 if last is msg else 1
        if times > strategy.retries:
            known.retries = None
            return False
        known.retries = (msg, times)
        cell.put_back([(msg, sender, extra)])
        return True

    # -- what is done about it

    def strategy(self, cell: Cell) -> SupervisorStrategy:
        """What decides about an actor's failures."""
        extra: Extra | None = cell.extra
        if extra is not None and extra.supervise is not None:
            return extra.supervise
        parent = cell.parent
        own: SupervisorStrategy | None = parent.cls._supervise if parent is not None else None
        return own if own is not None else self.default

    def decide(self, cell: Cell, failure: BaseException) -> None:
        """Treats an actor, and perhaps its group, for a failure."""
        if isinstance(failure, (KeyboardInterrupt, SystemExit)):
            self.end_all(failure)
            return
        if life_state_of(cell) in _ENDING:
            return
        strategy = self.strategy(cell)
        directive = strategy.directive(failure)
        joined = self._decided_already(cell)
        _log.log(
            logging.WARNING if directive != "resume" else logging.INFO,
            "%s failed (%s: %s): %s", cell.path, type(failure).__name__, failure,
            "a decision is under way" if joined else directive, exc_info=failure,
        )  # fmt: skip
        self.events.emit(ActorFailedEvent, cell, failure, directive)
        if joined:
            return
        if self.quarantines.holds(cell):
            step = self.quarantines.failed(cell, failure, strategy, directive)
            if step is None:
                return
            self._treat(cell, strategy, step, failure)
        else:
            self._treat(cell, strategy, directive, failure)

    def _decided_already(self, cell: Cell) -> bool:
        """One instance is treated once, however many of its handlers fail meanwhile."""
        extra: Extra | None = cell.extra
        return extra is not None and extra.failure is not None

    def _treat(
        self, cell: Cell, strategy: SupervisorStrategy, directive: Directive, failure: BaseException
    ) -> None:
        if directive == "resume":
            if cell.instance is not None:
                self.goes_on(cell)
                return
            directive = "restart"
        if directive == "restart":
            delay = self._window(cell, strategy).next_delay(strategy, self.core.now())
            if delay is not None:
                self.restart(cell, strategy, failure, delay)
                return
            directive = strategy.on_limit
        if directive == "stop":
            self._stop(cell, strategy, failure)
        elif directive == "quarantine":
            self._suspend(cell, failure)
            self.quarantines.enter(cell, failure, strategy.cool_down)
            self._leave_round(cell)
        else:
            self._escalate(cell, failure)

    def goes_on(self, cell: Cell) -> None:
        """An instance is in service (again): children that wait for its decision are made anew."""
        resume(cell)
        self._leave_round(cell)
        extra: Extra | None = cell.extra
        if extra is None or extra.escalated is None:
            return
        waiting, extra.escalated = extra.escalated, None
        for child, failure in waiting:
            if life_state_of(child) not in _ENDING and extra_of(child).failure is failure:
                self.restart(child, self.strategy(child), failure, 0.0)

    def _leave_round(self, cell: Cell) -> None:
        """The others of its group go on without this one."""
        round_ = round_of(cell)
        if round_ is not None:
            extra_of(cell).round = None
            round_.step_done(cell)

    def _suspend(self, cell: Cell, failure: BaseException) -> None:
        extra_of(cell).failure = failure
        enter(cell, "suspended")
        cell.pause()
        interrupt(cell)
        cancel_pipes(extra_of(cell))

    def _window(self, cell: Cell, strategy: SupervisorStrategy) -> RestartWindow:
        if strategy.grouped:
            return self._group(cell, strategy).window
        extra = extra_of(cell)
        if extra.window is None:
            extra.window = RestartWindow(self.random)
        return extra.window

    def _group(self, cell: Cell, strategy: SupervisorStrategy) -> Group:
        return group_of(cell.parent, strategy, lambda: RestartWindow(self.random))

    def _affected(self, cell: Cell, strategy: SupervisorStrategy) -> list[Cell]:
        """Who shares the fate of a failed actor now, and who is not up yet from before."""
        children: list[Cell] = cell.parent.children()
        group = [
            k for k in children
            if k is cell
            or (not (k.closed_flag or self.quarantines.holds(k)) and self.strategy(k) is strategy)
        ]  # fmt: skip
        affected = set(strategy.affected(cell, group))
        before = self._group(cell, strategy).round
        if before is not None:
            affected.update(before.members())
        return [k for k in children if k in affected]

    def _begin(
        self, cell: Cell, strategy: SupervisorStrategy, failure: BaseException, end: bool
    ) -> Round:
        members = self._affected(cell, strategy)
        group = self._group(cell, strategy)
        round_ = group.round = Round(group, members, reason_of(failure) if end else None)
        for member in members:
            extra_of(member).round = round_
            if life_state_of(member) not in _ENDING:  # one that ends takes its part by ending
                self._suspend(member, failure)
        return round_

    def restart(
        self, cell: Cell, strategy: SupervisorStrategy, failure: BaseException, delay: float
    ) -> None:
        """Replaces the instances of those affected, after ``delay`` seconds."""
        if strategy.grouped:
            round_ = self._begin(cell, strategy, failure, end=False)
            if delay:
                self.core.schedule(delay, round_.next)
            else:
                round_.next()
            return
        self._suspend(cell, failure)
        if delay:
            self.core.schedule(delay, lambda: self.restart_now(cell, failure))
        else:
            self.restart_now(cell, failure)

    def restart_now(self, cell: Cell, failure: BaseException) -> None:
        """Replaces an instance unless that was done, or decided otherwise, meanwhile."""
        extra: Extra | None = cell.extra
        if extra is not None and extra.failure is failure:
            cell.signal(_native.SYS_RESTART)

    def _stop(self, cell: Cell, strategy: SupervisorStrategy, failure: BaseException) -> None:
        if strategy.grouped:
            self._begin(cell, strategy, failure, end=True).next()
            return
        self._suspend(cell, failure)
        extra_of(cell).reason = reason_of(failure)
        cell.stop()

    def _escalate(self, cell: Cell, failure: BaseException) -> None:
        """The parent fails in turn; its own supervisor decides (SV-5).

        The child waits until its parent stops it, or goes on: as it is, or with a new instance that
        keeps its children.
        """
        self._suspend(cell, failure)
        parent = cell.parent
        if parent is not None and life_state_of(parent) == "stopping":  # it decides nothing more
            extra_of(cell).reason = reason_of(failure)
            cell.stop()
            return
        if parent is None or parent.cls.__actinium_guardian__:
            if self.on_fatal == "stop_branch" and parent is not None:
                extra_of(cell).reason = reason_of(failure)
                cell.stop()
            else:
                self.end_all(failure)
            return
        error = ChildFailed(f"{cell.path} failed: {failure}", failure)
        error.__cause__ = failure
        above = extra_of(parent)
        above.escalated = [*(above.escalated or ()), (cell, failure)]
        self.decide(parent, error)

    def end_all(self, failure: BaseException) -> None:
        """The failure has reached the root: the system ends."""
        if self.fatal is None:
            self.fatal = failure
            self.fatal_event.set()
            self.end()
