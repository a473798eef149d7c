"""What the core asks Python to decide: the hooks of one core, gathered from their modules.

The core calls them with the cell whose turn it is; none of them runs while a user message of
that actor is being handled. Slow paths only: a message that is handled without trouble never
comes here.
"""

from __future__ import annotations

import asyncio
from typing import Any

from actinium import _native
from actinium.errors import ActorNotFound

from . import deathwatch
from .budget import MemoryBudget
from .deadletters import DeadLetters, Limits
from .events.kinds import ActorStartedEvent, ActorStoppedEvent
from .events.stream import Events
from .extra import Extra
from .failure import OnFatal, Supervisor
from .join import Join
from .links import Links
from .message import is_message
from .names import Names
from .pressure import PressureHooks
from .put import ACCEPTED
from .quarantine import Quarantines
from .ref import LocalRef
from .registry.registry import Registry
from .room import wake_next
from .spawning import Spawner
from .startstop import StartStop
from .stream import drive
from .supervision import SupervisorStrategy
from .undelivered import Undelivered

Cell = LocalRef[Any]


class Lifecycle:
    """The hooks of one core."""

    accepted = ACCEPTED
    join_type = Join
    is_message = staticmethod(is_message)
    stream = staticmethod(drive)
    watch = staticmethod(deathwatch.watch)
    unwatch = staticmethod(deathwatch.unwatch)
    noticed = staticmethod(deathwatch.noticed)
    room = staticmethod(wake_next)

    def __init__(
        self,
        core: _native.Core,
        supervise: SupervisorStrategy,
        on_fatal: OnFatal,
        hook_timeout: float,
        dead_letters: Limits,
        seed: int,
        first: Lifecycle | None = None,
    ) -> None:
        self.core = core
        self.first = first
        """That of the system's first shard, with which this one shares what is the system's."""
        self.names = Names()
        if first is None:
            self.events = Events(core.loop, core.observe)
            self.registry = Registry()
            self.dead_letters = DeadLetters(core.tick, dead_letters, self.events)
        else:
            self.events = first.events
            self.registry = first.registry
            self.dead_letters = first.dead_letters
        self.memory_use = MemoryBudget(core)
        pressure = PressureHooks(self.events, self.memory_use)
        self.quarantines = Quarantines(core)
        self.undelivered = Undelivered(self.dead_letters, pressure, self.quarantines)
        self.supervisor = Supervisor(
            core, self.undelivered, self.quarantines, self.events, supervise, on_fatal, seed
        )
        self.links = Links(self.supervisor.decide)
        self.start_stop = StartStop(self.supervisor, self.links, self.names, hook_timeout)
        self.idle_waiters: list[asyncio.Future[None]] = []
        self.refused = self.undelivered.refused
        self.unhandled = self.undelivered.unhandled
        self.expired = self.undelivered.expired
        self.closed = self.undelivered.closed
        self.timeout = self.undelivered.timeout
        self.cycle = self.undelivered.cycle
        self.spawn = Spawner(core, self.names).spawn
        self.failed = self.supervisor.failed
        self.system = self.start_stop.system
        self.orphans = self.start_stop.orphans
        self.pressed = pressure.pressed
        self.shifted = pressure.shifted
        self.memory = pressure.memory
        core.set_hooks(self)

    def led_away(self, asker: Cell, reply: _native.Reply) -> None:
        """An actor begins to wait for what leads to another process: who knows the others looks
        for circles through them."""

    def spawned(self, cell: Cell) -> None:
        self.events.emit(ActorStartedEvent, cell)

    def ended(self, cell: Cell) -> None:
        known: Extra | None = cell.extra
        reason = (known.reason if known is not None else None) or "stopped"
        self.events.emit(ActorStoppedEvent, cell, reason)

    def settle(
        self, parent: Cell, cell: Cell, cls: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        """Makes an actor whose ref another shard has given out; raises as a spawn does."""
        self.spawn(parent, cls, args, kwargs, None, cell)

    def close(self) -> None:
        """Ends what belongs to the system as a whole."""
        if self.first is None:
            self.events.close()
            self.registry.close()

    def idle(self) -> None:
        waiters, self.idle_waiters = self.idle_waiters, []
        self.core.want_idle(False)
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def lookup(self, root: Cell, path: str) -> Cell:
        """The living actor at a path; raises ActorNotFound."""
        cell = root
        for name in [part for part in path.split("/") if part]:
            found = self.names.get(cell, name)
            if found is None and name.startswith("$"):
                found = next((k for k in cell.children() if f"${k.uid}" == name), None)
            if found is None:
                raise ActorNotFound(f"no actor lives at {path!r}: {cell.path!r} has no {name!r}")
            cell = found
        return cell
