"""Refs to entities whose key belongs to another shard of the same system.

Whether such an actor is in memory is known to its own shard alone, so each message asks there, on
its way.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from actinium import _native
from actinium.core import Actor, Put, RemoteRef, System, Terminated
from actinium.core.away import across
from actinium.core.extra import on_stop
from actinium.core.outflow import Outflow, cross
from actinium.core.put import ACCEPTED
from actinium.core.remote import Elsewhere, Remote
from actinium.core.room import wake_next
from actinium.core.shardcore import post
from actinium.core.stream import Channel
from actinium.core.undelivered import messages_of, tell_asker
from actinium.errors import ActivationRefused, ActorStopped

if TYPE_CHECKING:
    from actinium.core import EntityRef, LocalRef


class EntityWay(Remote):
    """Where a ref to an entity of another shard leads."""

    __slots__ = ("_cls", "_here", "_key", "_owner")

    def __init__(self, owner: System, here: _native.Core, cls: type[Actor], key: str) -> None:
        super().__init__()
        self._owner = owner
        self._here = here
        self._cls = cls
        self._key = key

    def _entity(self) -> EntityRef[Any]:
        """On the owner's thread."""
        return self._owner.entity(self._cls, self._key)

    @property
    def _core(self) -> _native.Core:
        return self._owner._running()

    def path(self) -> str:
        return f"/entity/{self._cls.__qualname__}/{self._key}"

    def forward(self, cell: Any, msg: Any, sender: Any, extra: Any, lane: int) -> Put:
        outflow = None
        channel = getattr(extra, "stream", None)
        if isinstance(channel, Channel):
            outflow = cross(channel, self._here, self._core)
        if post(self._core, partial(self._arrive, msg, sender, extra, lane, outflow)):
            return ACCEPTED
        tell_asker(extra, ActorStopped(f"{self.path()} has stopped: its system has ended"))
        return Put(ok=False, code="closed")

    def _arrive(
        self, msg: Any, sender: Any, extra: Any, lane: int, outflow: Outflow | None
    ) -> None:
        entity = self._entity()
        try:
            live = entity._live()
        except ActivationRefused as refusal:
            if not tell_asker(extra, refusal):
                for one in messages_of(msg, extra):
                    self._owner.dead_letters.record(
                        "activation_refused", entity, sender, one, refusal
                    )
            return
        if outflow is None:
            self._core.offer(live, msg, sender, extra, lane)
        else:
            outflow.cell = live
            left = extra.deadline - self._owner.now() if extra.deadline is not None else None
            limit = max(0.0, left) if left is not None else None
            live.open_stream(msg, outflow, limit, extra.urgent)

    def refusal(self) -> int | None:
        return _native.CLOSED if self._core.closed else None

    def want_room(self, cell: Any) -> None:
        self._here.loop.call_soon(wake_next, cell)

    async def send(self, cell: Any, msg: Any, timeout: float, sender: Any) -> Put:
        return await across(
            self._core, lambda: self._entity().send(msg, timeout=timeout, sender=sender)
        )

    def end(self, how: str) -> None:
        def end_there() -> None:
            live = self._entity().cell
            if live is not None:
                live.kill() if how == "kill" else live.stop(drain=how == "drain")

        post(self._core, end_there)

    async def ended(self) -> str:
        async def wait() -> str:
            live = self._entity().cell
            return await live.stopped() if live is not None else "stopped"

        return await across(self._core, wait, lambda: "stopped")

    def is_alive(self) -> bool:
        return not self._core.closed

    def watched(self, cell: Any) -> None:
        def watch_there() -> None:
            live = self._entity().cell
            if live is None:
                self._gone(cell, "stopped")
            else:
                on_stop(live, lambda _, reason: self._gone(cell, reason))

        if not post(self._core, watch_there):
            self._here.loop.call_soon(self._gone, cell, "stopped")

    def _gone(self, cell: Any, reason: str) -> None:
        """Tells those who watch, on the thread of this ref's shard."""

        def tell() -> None:
            watchers, self.watchers = self.watchers, None
            for watcher in watchers or ():
                watcher.deliver(Terminated(cell, reason, 0))

        post(self._here, tell)

    def cancel_stream(self, channel: Channel) -> bool:
        stop = getattr(channel.room, "stop", None)
        if stop is None:
            return False
        stop()
        return True


def entity_on(owner: System, here: _native.Core, cls: type[Actor], key: str) -> LocalRef[Any]:
    """A ref, for the shard ``here``, to the entity of a key that belongs to another shard."""
    cell: LocalRef[Any] = here.foreign(RemoteRef, Elsewhere)
    way: Any = EntityWay(owner, here, cls, key)
    cell.extra = way
    return cell
