"""One actor's start, restart and stop, with its hooks."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Coroutine
from typing import Any

from actinium import _native
from actinium.errors import HandlerError, UsageError

from . import deathwatch, interrupt
from .events.kinds import ActorRestartedEvent
from .extra import Extra, extra_of
from .failure import Supervisor
from .group import round_of
from .lifestate import enter
from .links import Links
from .names import Names
from .pipe import cancel_pipes
from .ref import LocalRef
from .stash import drop_stash, unstash
from .states import reset

Cell = LocalRef[Any]

_log = logging.getLogger("actinium.supervision")


class StartStop:
    """The hook for the runtime's own work on an actor: what its flags ask for.

    A life-cycle hook that is ``async`` may take ``hook_timeout`` seconds.
    """

    def __init__(
        self, supervisor: Supervisor, links: Links, names: Names, hook_timeout: float
    ) -> None:
        self.supervisor = supervisor
        self.links = links
        self.names = names
        self.hook_timeout = hook_timeout

    def system(self, cell: Cell, flags: int) -> Coroutine[Any, Any, None] | None:
        due = _native.SYS_START | _native.SYS_RESTART | _native.SYS_PROBE
        if flags & _native.SYS_DRAIN and flags & due and not flags & _native.SYS_STOP:
            # What waits shall still be handled, and for that the actor has to start first.
            flags &= ~_native.SYS_DRAIN
            cell.signal(_native.SYS_DRAIN)
        if flags & (_native.SYS_STOP | _native.SYS_DRAIN):
            return self._stop(cell, drain=not flags & _native.SYS_STOP)
        if flags & _native.SYS_RESTART:
            return self._restart(cell)
        if flags & _native.SYS_PROBE:
            self.supervisor.quarantines.probe(cell)
            return None
        known: Extra | None = cell.extra
        if known is not None and known.after is not None:
            return self._start_after(cell, known)
        outcome = cell.instance.started()
        if inspect.isawaitable(outcome):
            return self._finish_start(cell, outcome)
        self._in_service(cell)
        return None

    async def _bounded(self, hook: Any) -> None:
        if inspect.isawaitable(hook):
            async with asyncio.timeout(self.hook_timeout):
                await hook

    # -- start and restart

    async def _start_after(self, cell: Cell, extra: Extra) -> None:
        """An entity's actor starts once the one before it has stopped."""
        if extra.after is not None:
            await extra.after
            extra.after = None
        await self._bounded(cell.instance.started())
        self._in_service(cell)

    async def _finish_start(self, cell: Cell, hook: Any) -> None:
        await self._bounded(hook)
        self._in_service(cell)

    def _in_service(self, cell: Cell) -> None:
        extra: Extra | None = cell.extra
        if extra is None or extra.failure is None:  # else it will be treated for that first
            self.supervisor.goes_on(cell)

    async def _restart(self, cell: Cell) -> None:
        extra = extra_of(cell)
        round_ = round_of(cell)
        failure = extra.failure
        if failure is not None:
            extra.failure = None
            await self._take_down(cell, extra, failure)
            if cell.stopped_flag:  # by force, while it waited for its children
                return
        now = round_of(cell)
        if now is not None and now.waits_for_its_end(cell):
            if now is round_:  # else it is not this one's turn in the new round
                now.step_done(cell)
            return
        await self._bring_up(cell, extra)

    async def _take_down(self, cell: Cell, extra: Extra, failure: BaseException) -> None:
        interrupt.ended(extra)
        enter(cell, "restarting")
        if extra.fallen is not None:  # it is down already, from a round that began anew
            return
        extra.fallen = failure
        self.supervisor.restarts += 1
        if cell.instance is not None:
            try:
                await self._bounded(cell.instance.restarting(failure))
            except BaseException as e:  # noqa: BLE001 - nor may a hook keep it from restarting
                self.hook_failed(cell, "restarting", e)
        _cancel_timers(extra)
        cancel_pipes(extra)
        if not self.supervisor.strategy(cell).keep_children:
            await self._stop_children(cell, drain=False)

    async def _bring_up(self, cell: Cell, extra: Extra) -> None:
        enter(cell, "restarting")
        failure = extra.fallen or HandlerError("restart was asked for")
        extra.fallen = None
        reset(cell, extra)
        unstash(cell)
        cell.rebuild()
        await self._bounded(cell.instance.started())
        await self._bounded(cell.instance.restarted())
        deathwatch.restarted(cell, extra, failure)
        self.supervisor.events.emit(ActorRestartedEvent, cell, cell.incarnation, failure)
        if extra.quarantine is not None:
            self.supervisor.quarantines.ready(cell)
        else:
            self._in_service(cell)

    # -- stop

    def _stop(self, cell: Cell, *, drain: bool) -> Coroutine[Any, Any, None] | None:
        """Children first (LC-2), then the hook, then the cell itself."""
        if cell.extra is not None:
            enter(cell, "stopping")
        if cell.children():
            return self._stop_slowly(cell, drain=drain)
        hook = self.call_stopping(cell)
        if inspect.isawaitable(hook):
            return self._stop_slowly(cell, drain=drain, hook=hook)
        self.finish(cell)
        return None

    def passivate(self, cell: Cell) -> None:
        """Stops an actor that is idle and has no children, in one step."""
        extra_of(cell).reason = "passivated"
        hook = self.call_stopping(cell)
        if inspect.isawaitable(hook):
            if inspect.iscoroutine(hook):
                hook.close()
            where = f"{cell.cls.__qualname__}.stopping"
            error = UsageError(f"{where} returned an awaitable, and passivation cannot wait")
            self.hook_failed(cell, "stopping", error)
        self.finish(cell)

    def call_stopping(self, cell: Cell) -> Any:
        known: Extra | None = cell.extra
        if cell.instance is None or (known is not None and known.fallen is not None):
            return None  # its last instance was told `restarting`, and no new one was made
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

    async def _stop_slowly(self, cell: Cell, *, drain: bool, hook: Any = None) -> None:
        try:
            enter(cell, "stopping")
            await self._stop_children(cell, drain=drain)
            await self._bounded(hook if hook is not None else self.call_stopping(cell))
        except BaseException as e:  # noqa: BLE001 - as above
            self.hook_failed(cell, "stopping", e)
        finally:
            self.finish(cell)

    async def _stop_children(self, cell: Cell, *, drain: bool) -> None:
        known: Extra | None = cell.extra
        if known is not None and known.killed:
            for child in cell.children():
                child.kill()
        else:
            cell.signal_children(_native.SYS_DRAIN if drain else _native.SYS_STOP)
        if not cell.await_orphans():
            extra = extra_of(cell)
            extra.orphans = asyncio.get_running_loop().create_future()
            await extra.orphans

    def orphans(self, cell: Cell) -> None:
        waiter = extra_of(cell).orphans
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def finish(self, cell: Cell) -> None:
        """The end of an actor: whoever waits for it or is bound to it hears of it."""
        if cell.stopped_flag:  # by force, while its own end was under way
            return
        extra: Extra | None = cell.extra
        self.supervisor.quarantines.leave(cell)
        if extra is None:
            cell.finish()
            return
        reason = extra.reason = extra.reason or "stopped"
        drop_stash(cell, self.supervisor.undelivered)
        cell.finish()
        interrupt.ended(extra)
        _cancel_timers(extra)
        cancel_pipes(extra)
        if extra.name is not None:
            self.names.remove(cell.parent, extra.name)
        deathwatch.ended(cell, extra)
        self.links.ended(cell, extra)
        for waiter in extra.senders or ():
            if not waiter.done():
                waiter.set_result(None)  # it looks again and finds the actor closed
        for done in extra.stopped or ():
            if not done.done():
                done.set_result(reason)
        for tell in tuple(extra.on_stop or ()):
            tell(cell, reason)
        round_ = round_of(cell)
        extra.stopped = extra.senders = extra.on_stop = extra.round = extra.groups = None
        # A failure keeps its traceback, and that the instance: it would outlive its cell.
        extra.failure = extra.fallen = extra.retries = extra.escalated = None
        if round_ is not None:
            round_.step_done(cell)


def _cancel_timers(extra: Extra) -> None:
    for timer in (extra.timers or {}).values():
        timer.cancel()
    extra.timers = None
