"""Keyed actors: made by their first message, gone from memory when idle.

An entity is reached by class and key, whether it is in memory or not. Passivation happens in
one step, between two messages, so there is no moment at which a message could fall between the
old and the new instance (PS-4).
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from actinium.errors import UsageError

from .actor import Actor
from .extra import extra_of
from .put import Put
from .ref import LocalRef
from .stream import Stream

if TYPE_CHECKING:
    from collections.abc import Iterable

    from actinium import _native

    from .system import System

A = TypeVar("A", bound=Actor)


class EntityRef(Generic[A]):
    """A ref to the entity of one key; its actor is made or woken by the next message."""

    __slots__ = ("_cls", "_entities", "_key")

    def __init__(self, entities: Entities, cls: type[A], key: str) -> None:
        self._entities = entities
        self._cls = cls
        self._key = key

    @property
    def key(self) -> str:
        """What it is known by."""
        return self._key

    @property
    def cls(self) -> type[A]:
        """Its actor class."""
        return self._cls

    @property
    def system(self) -> System:
        """The system it lives in."""
        return self._entities._system

    @property
    def path(self) -> str:
        """``/entity/Class/key``, wherever and whether it runs."""
        return f"/entity/{self._cls.__qualname__}/{self._key}"

    @property
    def active(self) -> bool:
        """Whether its actor is in memory now."""
        return self._entities.find(self._cls, self._key) is not None

    def _live(self) -> LocalRef[A]:
        return self._entities.activate(self._cls, self._key)

    def tell(self, msg: Any, /) -> Put:
        """See :meth:`Ref.tell`."""
        return self._live().tell(msg)

    def tell_many(self, messages: Iterable[Any], /) -> int:
        """See :meth:`Ref.tell_many`."""
        return self._live().tell_many(messages)

    def ask(self, msg: Any, timeout: float | None = None, /) -> _native.Reply:
        """See :meth:`Ref.ask`."""
        return self._live().ask(msg, timeout)

    def forward(self, msg: Any = None, /) -> Put:
        """See :meth:`LocalRef.forward`."""
        put: Put = self._live().forward(msg)
        return put

    async def send(self, msg: Any, *, timeout: float = 5.0) -> Put:
        """See :meth:`Ref.send`."""
        return await self._live().send(msg, timeout=timeout)

    def stream(self, msg: Any, *, items: int = 64, timeout: float | None = None) -> Stream[Any]:
        """See :meth:`Ref.stream`."""
        return self._live().stream(msg, items=items, timeout=timeout)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, EntityRef)
            and self._entities is other._entities
            and (self._cls, self._key) == (other._cls, other._key)
        )

    def __hash__(self) -> int:
        return hash((self._cls, self._key))

    async def stop(self, *, drain: bool = True) -> None:
        """Takes the actor out of memory and waits until it is; its stored state stays."""
        cell = self._entities.find(self._cls, self._key)
        if cell is not None:
            cell.stop(drain=drain)
            await cell.stopped()

    def __repr__(self) -> str:
        return f"<EntityRef {self.path}{'' if self.active else ' (passive)'}>"


class Entities:
    """The entities of one system that are in memory, by class and key."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._live: dict[type[Actor], OrderedDict[str, tuple[LocalRef[Any], float]]] = {}
        self._sweeps: dict[type[Actor], _native.Timer] = {}
        self.passivations = 0

    def ref(self, cls: type[A], key: str) -> EntityRef[A]:
        if not isinstance(key, str) or not 1 <= len(key.encode()) <= 512:
            raise UsageError(f"an entity's key is text of 1-512 bytes in UTF-8, got {key!r}")
        if cls._needs_store and self._system.store is None:
            raise UsageError(
                f"{cls.__qualname__} is durable and system {self._system.name!r} has no store; "
                'write ac.System(store=await ac.SqliteStore.open("state.db"))'
            )
        return EntityRef(self, cls, key)

    def find(self, cls: type[Actor], key: str) -> LocalRef[Any] | None:
        """The actor of a key if it is in memory."""
        live = self._live.get(cls)
        entry = live.get(key) if live is not None else None
        return entry[0] if entry is not None and entry[0].alive else None

    def activate(self, cls: type[A], key: str) -> LocalRef[A]:
        """The actor of a key, made now if need be; it counts as used at this moment."""
        live = self._live.setdefault(cls, OrderedDict())
        cell = self.find(cls, key)
        if cell is None:
            cell = self._system.spawn(cls, key)
            self._schedule_sweep(cls)
        live[key] = (cell, self._system.now())
        live.move_to_end(key)
        return cell

    def _schedule_sweep(self, cls: type[Actor]) -> None:
        idle = cls._passivate
        if idle is None or cls in self._sweeps:
            return
        core = self._system._running()
        self._sweeps[cls] = core.schedule(idle / 4, lambda: self._sweep(cls), None, idle / 4)

    def _sweep(self, cls: type[Actor]) -> None:
        """Lets go of the entities of a class that were idle for long enough."""
        assert cls._passivate is not None
        live = self._live[cls]
        before = self._system.now() - cls._passivate
        for key, (cell, used) in list(live.items()):
            if used > before:
                break  # the rest was used later
            if cell.stopped_flag:
                del live[key]
            elif self._passivate(cell):
                del live[key]
                self.passivations += 1
            else:  # still at work: look again after another idle time
                live[key] = (cell, self._system.now())
                live.move_to_end(key)
        if not live:
            self._sweeps.pop(cls).cancel()

    def passivate_idle(self) -> None:
        """Lets go of all that may be passivated and have nothing to do: memory is short."""
        for cls, live in self._live.items():
            if cls._passivate is None:
                continue
            for key, (cell, _) in list(live.items()):
                if not cell.stopped_flag and self._passivate(cell):
                    del live[key]
                    self.passivations += 1

    def _passivate(self, cell: LocalRef[Any]) -> bool:
        if cell.depth or cell.running or cell.sys or cell.paused_flag or cell.children():
            return False
        extra = extra_of(cell)
        if extra.stash or extra.pipes:  # messages it still owes something
            return False
        extra.reason = "passivated"
        start_stop = self._system._life.start_stop
        start_stop.finish(cell, start_stop.call_stopping(cell))
        return True
