"""Failures: whose they are, and what the supervisor decides (SV-4, SV-5)."""

from __future__ import annotations

import asyncio
import logging
import random
from typing import Any

from actinium import _native
from actinium.errors import ActorRestarted, ActorStopped, ChildFailed, HandlerError

from .events.kinds import ActorFailedEvent
from .events.stream import Events
from .extra import Extra, extra_of
from .pipe import cancel_pipes
from .ref import LocalRef
from .signals import Stop
from .stream import Channel
from .supervision import OneForOne, RestartWindow
from .undelivered import Undelivered, messages_of, tell_asker

Cell = LocalRef[Any]

_log = logging.getLogger("actinium.supervision")


class Supervisor:
    """Decides about every failure of one system.

    ``fatal`` is the failure that reached the root; ``restarts`` counts instances replaced.
    """

    def __init__(
        self,
        core: _native.Core,
        undelivered: Undelivered,
        events: Events,
        default: OneForOne,
        seed: int,
    ) -> None:
        self.core = core
        self.events = events
        self.undelivered = undelivered
        self.default = default
        self.random = random.Random(seed or None)
        self.fatal: BaseException | None = None
        self.fatal_event = asyncio.Event()
        self.restarts = 0

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
            known: Extra | None = cell.extra
            stopping = cell.closed_flag or known is None or known.failure is None
            tell_asker(
                extra,
                ActorStopped(f"{cell.path} was stopped")
                if stopping
                else ActorRestarted(f"{cell.path} was restarted while it handled the ask"),
            )
            return True
        if isinstance(failure, Stop):
            tell_asker(extra, ActorStopped(f"{cell.path} has stopped"))
            cell.stop()
            return True
        if msg is not None:
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
        if cell.paused_flag and extra_of(cell).failure is not None:
            _log.error("%s failed again while it fails", cell.path, exc_info=failure)
        else:
            self.decide(cell, failure)

    def _asked_for(self, cell: Cell, extra: Any) -> bool:
        known: Extra | None = cell.extra
        if known is not None and (known.killed or known.failure is not None):
            return True
        if isinstance(extra, _native.Reply):
            return extra.done()
        stream = extra.stream if isinstance(extra, _native.Envelope) else None
        return isinstance(stream, Channel) and stream.cancelled

    def _policy(self, cell: Cell) -> OneForOne:
        extra: Extra | None = cell.extra
        if extra is not None and extra.supervise is not None:
            return extra.supervise
        parent = cell.parent
        own: OneForOne | None = parent.cls._supervise if parent is not None else None
        return own if own is not None else self.default

    def decide(self, cell: Cell, failure: BaseException) -> None:
        if isinstance(failure, (KeyboardInterrupt, SystemExit)):
            self.end_all(failure)
            return
        if cell.stopped_flag:
            return
        policy = self._policy(cell)
        directive = policy.directive(failure)
        _log.log(
            logging.WARNING if directive != "resume" else logging.INFO,
            "%s failed (%s: %s): %s", cell.path, type(failure).__name__, failure, directive,
            exc_info=failure,
        )  # fmt: skip
        self.events.emit(ActorFailedEvent, cell, failure, directive)
        if directive == "resume":
            if cell.instance is not None:
                cell.unpause()
                return
            directive = "restart"
        extra = extra_of(cell)
        extra.failure = failure
        if directive == "restart":
            if extra.window is None:
                extra.window = RestartWindow(self.random)
            delay = extra.window.next_delay(policy, self.core.now())
            if delay is not None:
                self._restart_after(cell, delay)
                return
            directive = policy.on_limit
        cell.pause()
        if directive == "stop":
            extra.reason = f"failed: {type(failure).__name__}: {failure}"
            cell.cancel_running()
            cell.stop()
        else:
            self._escalate(cell, failure)

    def _restart_after(self, cell: Cell, delay: float) -> None:
        cell.pause()
        cell.cancel_running()
        cancel_pipes(extra_of(cell))
        if delay == 0:
            cell.signal(_native.SYS_RESTART)
        else:
            self.core.schedule(delay, lambda: cell.signal(_native.SYS_RESTART))

    def _escalate(self, cell: Cell, failure: BaseException) -> None:
        """The parent fails in turn; its own supervisor decides (SV-5)."""
        parent = cell.parent
        if parent is None or parent.cls.__actinium_guardian__:
            self.end_all(failure)
            return
        error = ChildFailed(f"{cell.path} failed: {failure}", failure)
        error.__cause__ = failure
        before = self.restarts
        self.decide(parent, error)
        kept = not parent.paused_flag and not parent.closed_flag and before == self.restarts
        if kept:  # the parent goes on as it is, and so does the child, as a new instance
            self._restart_after(cell, 0.0)

    def end_all(self, failure: BaseException) -> None:
        if self.fatal is None:
            self.fatal = failure
        self.fatal_event.set()
