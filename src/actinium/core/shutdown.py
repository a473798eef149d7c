"""The orderly end of a system, in phases (LC-3).

    ingress        the hooks first (a ready probe turns), then messages from outside are refused
    drain_user     what is under way ends, then all actors below /user stop, leaves first
    drain_system   then the rest of the tree
    leave_cluster  hooks only
    flush          hooks only: journals, telemetry

Each phase has a limit, and what does not end within it is forced. A phase without work takes no
time.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, Literal, get_args

import msgspec

from actinium.errors import ConfigError, UsageError

from .events.kinds import PhaseEvent
from .remote import NOTHING, Ledger

if TYPE_CHECKING:
    from actinium import _native

    from .lifecycle import Lifecycle
    from .ref import LocalRef

_log = logging.getLogger("actinium.shutdown")

Phase = Literal["ingress", "drain_user", "drain_system", "leave_cluster", "flush"]
Policy = Literal["drain", "drop"]
Hook = Callable[[], Awaitable[object] | object]

PHASES: tuple[Phase, ...] = get_args(Phase)
POLICIES: tuple[Policy, ...] = get_args(Policy)

LAST_SECONDS = 2.0
"""How long handlers may take to end once they were cancelled by force."""


class PhaseLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds each phase of a shutdown may take; ``drain_user`` is ``Settings.drain_timeout``."""

    ingress: float = 5.0
    drain_system: float = 30.0
    leave_cluster: float = 10.0
    flush: float = 2.0

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            if getattr(self, name) < 0:
                raise ConfigError(f"phase {name} needs 0 or more seconds, got {self!r}")


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """How a shutdown went, summed over all processes of the system.

    ``lost`` counts accepted messages whose fate nobody can tell: 0, unless a worker process was
    killed; then those it had taken and not yet accounted for.
    ``forced`` are actors that did not end in time, ``phases`` the seconds each phase took,
    ``hooks_failed`` the hooks that raised or ran out of time, and ``cause`` is why it began.
    """

    accepted: int
    handled: int
    dead_lettered: int
    withdrawn: int
    forced: int
    seconds: float
    lost: int
    phases: dict[str, float] = {}
    hooks_failed: int = 0
    cause: str = ""


class Shutdown:
    """The end of one system: begun once, forced at will, awaited by many."""

    def __init__(
        self,
        core: _native.Core,
        life: Lifecycle,
        root: LocalRef[Any],
        user: LocalRef[Any],
        idle: Callable[[], Awaitable[None]],
        limits: dict[Phase, float],
    ) -> None:
        self._core = core
        self._life = life
        self._root = root
        self._user = user
        self._idle = idle
        self._limits = limits
        self._hooks: dict[Phase, list[tuple[Hook, float | None]]] = {p: [] for p in PHASES}
        self._force = asyncio.Event()
        self._forced = 0
        self._hooks_failed = 0
        self._seconds: dict[str, float] = {}
        self._policy: Policy = "drain"
        self._cause = ""
        self.workers: Any = None
        """What plays the part of worker processes: they end first, with a ledger of their own."""
        self._far: Ledger = NOTHING
        self.phase: Phase | None = None
        self.task: asyncio.Task[Report] | None = None

    # -- from outside

    def add_hook(self, phase: Phase, hook: Hook, limit: float | None) -> None:
        """Has ``hook`` called when a phase begins."""
        if phase not in PHASES:
            raise UsageError(f"unknown phase {phase!r}; use one of {', '.join(PHASES)}")
        if self.phase is not None and PHASES.index(phase) <= PHASES.index(self.phase):
            raise UsageError(f"the shutdown has reached {self.phase}: it is too late for {phase}")
        self._hooks[phase].append((hook, limit))

    def begin(self, cause: str, policy: Policy, drain: float | None) -> asyncio.Task[Report]:
        """Begins, if that has not happened yet; the task ends with the report."""
        if self.task is None:
            self._cause, self._policy = cause, policy
            if drain is not None:
                self._limits["drain_user"] = drain
            loop = asyncio.get_running_loop()
            self.task = loop.create_task(self._run(), name="actinium.shutdown")
        return self.task

    def force(self) -> None:
        """Ends every phase now: handlers are cancelled, what waits becomes dead letters."""
        self._force.set()

    # -- the phases

    async def _run(self) -> Report:
        began = time.monotonic()
        for phase in PHASES:
            self.phase = phase
            at = time.monotonic()
            if self._life.first is None:
                self._life.events.emit(PhaseEvent, phase)
            limit = self._limits[phase]
            work = {"drain_user": self._drain_user, "drain_system": self._drain_system}.get(phase)
            loop = asyncio.get_running_loop()
            until = loop.time() + limit
            if self._hooks[phase]:
                await self._within(self._run_hooks(phase, limit), limit)
            if phase == "drain_user" and self.workers is not None:
                drained = self._policy == "drain" and not self._force.is_set()
                self._far = await self.workers.end(
                    max(0.0, until - loop.time()) if drained else 0.0
                )
            if phase == "ingress":
                self._core.set_closing()
            elif work is not None and not await self._within(work(), max(0, until - loop.time())):
                await self._force_below(self._user if phase == "drain_user" else self._root)
            self._seconds[phase] = time.monotonic() - at
        return self._close(time.monotonic() - began)

    async def _within(self, work: Coroutine[Any, Any, None], limit: float) -> bool:
        """Whether work ended by itself; it is cancelled at its limit, or when all is forced."""
        task = asyncio.ensure_future(work)
        forced = asyncio.ensure_future(self._force.wait())
        try:
            await asyncio.wait((task, forced), timeout=limit, return_when="FIRST_COMPLETED")
            ended = task.done()
        finally:
            task.cancel()
            forced.cancel()
            await asyncio.gather(task, forced, return_exceptions=True)
        if ended:
            task.result()
        return ended

    async def _run_hooks(self, phase: Phase, limit: float) -> None:
        await asyncio.gather(*(self._run_hook(phase, h, s, limit) for h, s in self._hooks[phase]))

    async def _run_hook(
        self, phase: Phase, hook: Hook, own_limit: float | None, limit: float
    ) -> None:
        try:
            async with asyncio.timeout(limit if own_limit is None else min(limit, own_limit)):
                outcome = hook()
                if inspect.isawaitable(outcome):
                    await outcome
        except (Exception, asyncio.CancelledError):  # noqa: BLE001 - whatever a hook raises
            self._hooks_failed += 1
            _log.exception("the %s hook %r failed; the shutdown goes on", phase, hook)

    async def _drain_user(self) -> None:
        drain = self._policy == "drain"
        for cell in tuple(self._life.quarantines.cells):
            cell.stop()  # what waits in front of it cannot be drained
        if drain:
            await self._idle()
        self._user.stop(drain=drain)
        await self._user.stopped()

    async def _drain_system(self) -> None:
        self._root.stop(drain=self._policy == "drain")
        await self._root.stopped()

    # -- by force

    async def _force_below(self, top: LocalRef[Any]) -> None:
        """Kills what did not end in time; what ignores even that is left behind."""
        self._life.undelivered.forcing = True
        for cell in _tree(top):
            if cell.running or cell.depth:
                self._forced += 1
            cell.kill()
        try:
            async with asyncio.timeout(LAST_SECONDS):
                await top.stopped()
        except TimeoutError:
            for cell in reversed(_tree(top)):
                self._life.start_stop.finish(cell)

    def _close(self, seconds: float) -> Report:
        core = self._core
        core.want_idle(False)
        self._life.close()
        counts = core.statistics()
        undelivered = self._life.undelivered.count
        known = counts["handled"] + counts["withdrawn"] + undelivered
        return Report(
            accepted=counts["accepted"] + self._far.accepted,
            handled=counts["handled"] + self._far.handled,
            dead_lettered=undelivered + self._far.dead_lettered,
            withdrawn=counts["withdrawn"] + self._far.withdrawn,
            forced=self._forced + self._far.forced,
            seconds=seconds,
            lost=counts["accepted"] - known + self._far.lost,
            phases=self._seconds,
            hooks_failed=self._hooks_failed,
            cause=self._cause,
        )


def check_policy(policy: str) -> None:
    """Raises UsageError for what is no policy."""
    if policy not in POLICIES:
        raise UsageError(f"unknown policy {policy!r}; use one of {', '.join(POLICIES)}")


def _tree(top: LocalRef[Any]) -> list[LocalRef[Any]]:
    """All actors from here down, parents before their children."""
    found = [top]
    for cell in found:
        found.extend(cell.children())
    return found
