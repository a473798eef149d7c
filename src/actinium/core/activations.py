"""Which entities are in memory: made on demand, held to a budget, let go when idle.

One key has one activation. Where the one before is still stopping, the new one is made at once
but starts, and handles messages, only after that has stopped. A budget lets go of the entity
used longest ago that is idle; one that has work is never touched, so under pressure newcomers
are refused rather than old ones thrown out and made again.
"""

from __future__ import annotations

import inspect
import threading
from collections import OrderedDict
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from actinium import _native
from actinium.errors import ActivationRefused, ActorNotFound, UsageError

from .actor import Actor
from .entity import EntityRef
from .extra import extra_of
from .ref import LocalRef

if TYPE_CHECKING:
    from .deadletters import DeadLetters
    from .system import System

A = TypeVar("A", bound=Actor)

CANDIDATES = 64
"""Entities looked at for one that is idle before a newcomer is refused."""

_Live = OrderedDict[str, tuple[LocalRef[Any], float]]


class Entities:
    """The entities of one system that are in memory, by class and key; last used, last listed."""

    def __init__(self, system: System) -> None:
        self.system = system
        self._live: dict[type[Actor], _Live] = {}
        self._sweeps: dict[type[Actor], _native.Timer] = {}
        self._thread = threading.get_ident()
        self.count = 0
        self.activations = 0
        self.passivations = 0
        self.refusals = 0

    @property
    def letters(self) -> DeadLetters:
        """Where refused messages go."""
        return self.system.dead_letters

    def ref(self, cls: type[A], key: str) -> EntityRef[A]:
        check_key(key)
        if not (isinstance(cls, type) and issubclass(cls, Actor)):
            raise UsageError(f"entity() takes an actor class (a subclass of ac.Actor), got {cls!r}")
        if cls._needs_store and self.system.store is None:
            raise UsageError(
                f"{cls.__qualname__} is durable and system {self.system.name!r} has no store; "
                'write ac.System(store=await ac.SqliteStore.open("state.db"))'
            )
        return EntityRef(self, cls, key)

    def elsewhere(self, cls: type[A], key: str) -> LocalRef[A] | None:
        """A ref to the entity where its place is another process; None where it is this one."""
        workers = self.system._workers
        return workers.entity(cls, key) if workers is not None else None

    def find(self, cls: type[Actor], key: str) -> LocalRef[Any] | None:
        """The actor of a key if it is in memory and takes messages."""
        live = self._live.get(cls)
        entry = live.get(key) if live is not None else None
        return entry[0] if entry is not None and entry[0].alive else None

    def lookup(self, path: str) -> EntityRef[Any]:
        """The ref for a path such as ``/entity/Session/anna``, of a class used before."""
        _, _, rest = path.partition("/entity/")
        for cls in self._live:
            name, _, key = rest.partition("/")
            if cls.__qualname__ == name and key:
                return self.ref(cls, key)
        raise ActorNotFound(f"no actor lives at {path!r}: no entity of that class was used yet")

    def activate(self, ref: EntityRef[A]) -> LocalRef[A]:
        """The actor of a key, made now if need be; it counts as used at this moment.

        Raises ActivationRefused when there are as many as there may be and none is idle, and
        while memory is critically short.
        """
        cls, key = ref._cls, ref._key
        elsewhere = self.elsewhere(cls, key)
        if elsewhere is not None:
            return elsewhere
        if threading.get_ident() != self._thread:
            raise UsageError(
                f"{ref.path} was used from another thread than its system's event loop; "
                "use ac.blocking(system) there"
            )
        live = self._live.get(cls)
        if live is None:
            live = self._live[cls] = OrderedDict()
        entry = live.get(key)
        cell = entry[0] if entry is not None else None
        if cell is None or not cell.alive:
            cell = self._make(ref, live, cell)
        live[key] = (cell, self.system.now())
        live.move_to_end(key)
        return cell

    def _make(
        self, ref: EntityRef[Any], live: _Live, before: LocalRef[Any] | None
    ) -> LocalRef[Any]:
        if before is None or before.stopped_flag:
            self._make_room(ref, live)
        cell: LocalRef[Any] = self.system._running().spawn(ref._cls, ref._key)
        self.activations += 1
        extra = extra_of(cell)
        extra.entity = ref
        extra.on_stop = [self._gone]
        if before is None:
            self.count += 1
        else:
            self._hold(cell, before)
        self._schedule_sweep(ref._cls)
        return cell

    def _hold(self, cell: LocalRef[Any], before: LocalRef[Any]) -> None:
        """Keeps the new actor from starting before the old one has stopped."""
        extra = extra_of(cell)
        gone = extra.after = self.system._running().loop.create_future()
        there = extra_of(before)
        if there.on_stop is None:
            there.on_stop = []
        there.on_stop.append(lambda ref, reason: gone.set_result(None))
        cell.pause()
        cell.signal(_native.SYS_START)

    def _gone(self, cell: LocalRef[Any], reason: str) -> None:
        ref = extra_of(cell).entity
        if ref is None:
            return
        live = self._live[ref._cls]
        entry = live.get(ref._key)
        if entry is not None and entry[0] is cell:
            del live[ref._key]
            self.count -= 1

    # -- the budget

    def _make_room(self, ref: EntityRef[Any], live: _Live) -> None:
        if self.system.memory.level == "critical":
            self.refusals += 1
            raise ActivationRefused(
                f"{ref.path} cannot come into memory: the system is near its memory limit "
                f"({self.system.settings.memory_limit} bytes); try again"
            )
        most = ref._cls._max_live
        if most is not None and len(live) >= self.system._part(most):
            self._let_one_go(ref, live, f"{ref._cls.__qualname__}(max_live={most})")
        total = self.system.settings.max_live
        if total is not None and self.count >= self.system._part(total):
            oldest = min(
                (known for known in self._live.values() if known),
                key=lambda known: next(iter(known.values()))[1],
            )
            self._let_one_go(ref, oldest, f"Settings(max_live={total})")

    def _let_one_go(self, ref: EntityRef[Any], live: _Live, limit: str) -> None:
        for _, (cell, _) in list(islice(live.items(), CANDIDATES)):
            if self._passivate(cell):
                return
        self.refusals += 1
        raise ActivationRefused(
            f"{ref.path} cannot come into memory: {limit} allows no more, and none that was "
            "used long ago is idle; try again, or raise the limit"
        )

    def _passivate(self, cell: LocalRef[Any]) -> bool:
        if cell.depth or cell.running or cell.sys or cell.paused_flag or cell.children():
            return False
        extra = extra_of(cell)
        if extra.stash or extra.pipes:  # messages it still owes something
            return False
        if inspect.iscoroutinefunction(cell.cls.stopping):  # it would not be one step
            return False
        self.system._life.start_stop.passivate(cell)
        self.passivations += 1
        return True

    def passivate_idle(self) -> None:
        """Lets go of all that may be passivated and have nothing to do: memory is short."""
        for cls, live in self._live.items():
            if cls._passivate is not None:
                for cell, _ in list(live.values()):
                    self._passivate(cell)

    # -- idle time

    def _schedule_sweep(self, cls: type[Actor]) -> None:
        idle = cls._passivate
        if idle is None or cls in self._sweeps:
            return
        core = self.system._running()
        self._sweeps[cls] = core.schedule(idle / 4, lambda: self._sweep(cls), None, idle / 4)

    def _sweep(self, cls: type[Actor]) -> None:
        """Lets go of the entities of a class that were idle for long enough."""
        assert cls._passivate is not None
        live = self._live[cls]
        before = self.system.now() - cls._passivate
        for key, (cell, used) in list(live.items()):
            if used > before:
                break  # the rest was used later
            if not self._passivate(cell) and key in live:  # still at work: look again later
                live[key] = (cell, self.system.now())
                live.move_to_end(key)
        if not live:
            self._sweeps.pop(cls).cancel()

    def statistics(self) -> dict[str, int]:
        """How many are in memory, and how many came, went and were refused."""
        return {
            "entities": self.count,
            "activations": self.activations,
            "passivations": self.passivations,
            "activations_refused": self.refusals,
        }


def check_key(key: object) -> None:
    """Raises UsageError unless ``key`` can be an entity's: text of 1-512 bytes in UTF-8."""
    try:
        good = isinstance(key, str) and 1 <= len(key.encode()) <= 512
    except UnicodeEncodeError:
        good = False
    if not good:
        raise UsageError(f"an entity's key is text of 1-512 bytes in UTF-8, got {key!r}")
