"""One actor's start, restart and stop, with its hooks."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Coroutine
from typing import Any

from actinium import _native
from actinium.errors import HandlerError, UsageError

from . import deathwatch
from .events.kinds import ActorRestartedEvent
from .extra import Extra, extra_of
from .failure import Supervisor
from .names import Names
from .pipe import cancel_pipes
from .ref import LocalRef
from .stash import drop_stash, unstash
from .states import reset

Cell = LocalRef[Any]

_log = logging.getLogger("actinium.supervision")

HOOK_SECONDS = 5.0
"""How long ``started``, ``stopping`` and ``restarting`` may take."""


class StartStop:
    """The hook for the runtime's own work on an actor: what its flags ask for."""

    def __init__(self, supervisor: Supervisor, names: Names) -> None:
        self.supervisor = supervisor
        self.names = names

    def system(self, cell: Cell, flags: int) -> Coroutine[Any, Any, None] | None:
        due = _native.SYS_START | _native.SYS_RESTART
        if flags & _native.SYS_DRAIN and flags & due and not flags & _native.SYS_STOP:
            # What waits shall still be handled, and for that the actor has to start first.
            flags &= ~_native.SYS_DRAIN
            cell.signal(_native.SYS_DRAIN)
        if flags & (_native.SYS_STOP | _native.SYS_DRAIN):
            return self._stop(cell, drain=not flags & _native.SYS_STOP)
        if flags & _native.SYS_RESTART:
            return self._restart(cell)
        known: Extra | None = cell.extra
        if known is not None and known.after is not None:
            return self._start_after(cell, known)
        outcome = cell.instance.started()
        if inspect.isawaitable(outcome):
            return self._finish_start(cell, outcome)
        cell.unpause()
        return None

    async def _start_after(self, cell: Cell, extra: Extra) -> None:
        """An entity's actor starts once the one before it has stopped."""
        if extra.after is not None:
            await extra.after
            extra.after = None
        await _bounded(cell.instance.started())
        cell.unpause()

    async def _finish_start(self, cell: Cell, hook: Any) -> None:
        await _bounded(hook)
        cell.unpause()

    async def _restart(self, cell: Cell) -> None:
        extra = extra_of(cell)
        failure = extra.failure or HandlerError("restart was asked for")
        extra.failure = None
        self.supervisor.restarts += 1
        instance = cell.instance
        if instance is not None:
            try:
                await _bounded(instance.restarting(failure))
            except BaseException as e:  # noqa: BLE001 - nor may a hook keep it from restarting
                self.hook_failed(cell, "restarting", e)
        self._cancel_timers(extra)
        cancel_pipes(extra)
        await self._stop_children(cell, drain=False)
        del instance
        if cell.stopped_flag:  # by force, while it waited for the above
            return
        reset(cell, extra)
        unstash(cell)
        cell.rebuild()
        await _bounded(cell.instance.started())
        cell.unpause()
        self.supervisor.events.emit(ActorRestartedEvent, cell, cell.incarnation, failure)

    def _stop(self, cell: Cell, *, drain: bool) -> Coroutine[Any, Any, None] | None:
        """Children first (LC-2), then the hook, then the cell itself."""
        if cell.children() or inspect.iscoroutinefunction(cell.cls.stopping):
            return self._stop_slowly(cell, drain=drain)
        self.finish(cell, self.call_stopping(cell))
        return None

    def call_stopping(self, cell: Cell) -> Any:
        if cell.instance is None:
            return None
        known: Extra | None = cell.extra
        reason = (known.reason if known is not None else None) or "stopped"
        try:
            return cell.instance.stopping(reason)
        except BaseException as e:  # noqa: BLE001 - a hook must not keep its actor from stopping
            self.hook_failed(cell, "stopping", e)
            return None

    def hook_failed(self, cell: Cell, hook: str, failure: BaseException) -> None:
        _log.error("%s: the %s hook failed", cell.path, hook, exc_info=failure)
        if isinstance(failure, (KeyboardInterrupt, SystemExit)):
            self.supervisor.end_all(failure)

    async def _stop_slowly(self, cell: Cell, *, drain: bool) -> None:
        try:
            await self._stop_children(cell, drain=drain)
            await _bounded(self.call_stopping(cell))
        except BaseException as e:  # noqa: BLE001 - as above
            self.hook_failed(cell, "stopping", e)
        finally:
            self.finish(cell, None)

    async def _stop_children(self, cell: Cell, *, drain: bool) -> None:
        cell.signal_children(_native.SYS_DRAIN if drain else _native.SYS_STOP)
        if not cell.await_orphans():
            extra = extra_of(cell)
            extra.orphans = asyncio.get_running_loop().create_future()
            await extra.orphans

    def orphans(self, cell: Cell) -> None:
        waiter = extra_of(cell).orphans
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _cancel_timers(self, extra: Extra) -> None:
        for timer in (extra.timers or {}).values():
            timer.cancel()
        extra.timers = None

    def finish(self, cell: Cell, late: Any) -> None:
        if inspect.isawaitable(late):
            raise UsageError(
                f"{cell.cls.__qualname__}.stopping returned an awaitable; use async def"
            )
        extra: Extra | None = cell.extra
        if extra is None:
            cell.finish()
            return
        reason = extra.reason = extra.reason or "stopped"
        drop_stash(cell, self.supervisor.undelivered)
        cell.finish()
        self._cancel_timers(extra)
        cancel_pipes(extra)
        if extra.name is not None:
            self.names.remove(cell.parent, extra.name)
        deathwatch.notify(cell, extra)
        for waiter in extra.senders or ():
            if not waiter.done():
                waiter.set_result(None)  # it looks again and finds the actor closed
        for done in extra.stopped or ():
            if not done.done():
                done.set_result(reason)
        for tell in tuple(extra.on_stop or ()):
            tell(cell, reason)
        # A failure keeps its traceback, and that the instance: it would outlive its cell.
        extra.stopped = extra.senders = extra.on_stop = extra.failure = None


async def _bounded(hook: Any) -> None:
    if inspect.isawaitable(hook):
        async with asyncio.timeout(HOOK_SECONDS):
            await hook
