"""Keyed actors: made by their first message, gone from memory when idle.

An entity is reached by class and key, whether it is in memory or not. Passivation happens in
one step, between two messages, so there is no moment at which a message could fall between the
old and the new instance (PS-4). Which ones are in memory, and for how long, is in
``activations``.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from actinium.errors import ActivationRefused

from .actor import Actor
from .put import Put
from .ref import LocalRef
from .stream import BYTES, Stream

if TYPE_CHECKING:
    from collections.abc import Iterable

    from actinium import _native

    from .activations import Entities
    from .system import System

A = TypeVar("A", bound=Actor)

LOOK_AGAIN = 0.01
"""Seconds between two looks for a free place, while ``send`` waits for one."""


class EntityRef(Generic[A]):
    """A ref to the entity of one key; its actor is made or woken by the next message.

    All calls belong to the thread of the system's event loop. While the system holds as many
    entities as it may, and none of them is idle, a message that needs a new one is refused: a
    ``tell`` with a dead letter ``activation_refused``, an ``ask`` with ActivationRefused.
    """

    __slots__ = ("_cls", "_entities", "_key")

    __actinium_message__ = True

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
        return self._entities.system

    @property
    def path(self) -> str:
        """``/entity/Class/key``, wherever and whether it runs."""
        return f"/entity/{self._cls.__qualname__}/{self._key}"

    @property
    def cell(self) -> LocalRef[A] | None:
        """Its actor, if it is in memory now. Keep the entity ref instead: this one may end."""
        return self._entities.find(self._cls, self._key)

    @property
    def active(self) -> bool:
        """Whether its actor is in memory now."""
        return self.cell is not None

    def _live(self) -> LocalRef[A]:
        return self._entities.activate(self)

    def tell(
        self,
        msg: Any,
        /,
        *,
        priority: str | None = None,
        deadline: float | None = None,
        sender: Any = None,
    ) -> Put:
        """See :meth:`LocalRef.tell`."""
        try:
            live = self._live()
        except ActivationRefused as refusal:
            self._entities.letters.record("activation_refused", self, sender, msg, refusal)
            return Put(ok=False, code="rejected")
        return live.tell(msg, priority=priority, deadline=deadline, sender=sender)

    def try_tell(self, msg: Any, *, sender: Any = None, deadline: float | None = None) -> Put:
        """See :meth:`LocalRef.try_tell`."""
        try:
            live = self._live()
        except ActivationRefused:
            return Put(ok=False, code="rejected")
        return live.try_tell(msg, sender=sender, deadline=deadline)

    def tell_many(self, messages: Iterable[Any], /) -> int:
        """See :meth:`Ref.tell_many`."""
        try:
            live = self._live()
        except ActivationRefused:
            return sum(self.tell(msg).ok for msg in messages)
        return live.tell_many(messages)

    def ask(self, msg: Any, timeout: float | None = None, /) -> _native.Reply:
        """See :meth:`Ref.ask`."""
        return self._live().ask(msg, timeout)

    async def send(self, msg: Any, *, timeout: float = 5.0, sender: Any = None) -> Put:
        """See :meth:`Ref.send`."""
        loop = asyncio.get_running_loop()
        give_up = loop.time() + timeout
        while True:
            try:
                live = self._live()
            except ActivationRefused:
                if loop.time() >= give_up:
                    raise
                await asyncio.sleep(LOOK_AGAIN)
                continue
            left = max(0.0, give_up - loop.time())
            return await live.send(msg, timeout=left, sender=sender)

    def stream(
        self,
        msg: Any,
        *,
        items: int = 64,
        timeout: float | None = None,
        max_bytes: int = BYTES,
        idle: float | None = None,
    ) -> Stream[Any]:
        """See :meth:`LocalRef.stream`."""
        return self._live().stream(
            msg, items=items, timeout=timeout, max_bytes=max_bytes, idle=idle
        )

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
        cell = self._entities.elsewhere(self._cls, self._key) or self.cell
        if cell is not None:
            cell.stop(drain=drain)
            await cell.stopped()

    def __repr__(self) -> str:
        return f"<EntityRef {self.path}{'' if self.active else ' (passive)'}>"
