"""Sending to actors of other processes, and holding what has nowhere to go yet."""

from __future__ import annotations

import asyncio
import functools
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from actinium import _native
from actinium.core.deadletters import Reason
from actinium.core.put import ACCEPTED, Put
from actinium.core.remote import RemoteRef
from actinium.core.stream import Channel
from actinium.core.undelivered import tell_asker
from actinium.errors import ActorStopped, MailboxFull, WorkerDied
from actinium.wire import Packed

from . import entries as e
from .link import Link, Waiting
from .way import Way

if TYPE_CHECKING:
    from .node import Node

HELD = 100_000
"""Messages for actors on their way to another process that are kept, over all of them."""


class Sending:
    """What leaves a process, or waits in it until its actor is somewhere."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._held: dict[Any, deque[tuple[Any, ...]]] = {}  # by what ``Way.known`` says
        self._held_count = 0

    def send(
        self,
        way: Way,
        cell: Any,
        msg: Any,
        sender: Any,
        extra: Any,
        offer: asyncio.Future[Put] | None,
    ) -> Put:
        """Sends a message to where its actor is; holds it while the actor is on its way."""
        packed = self._node.codec.pack(msg)
        if way.reason is not None:
            return self._refuse(way, cell, msg, sender, extra, offer)
        link = self._node.link_for(way)
        if link is None or way.known in self._held:  # what was held goes first (MS-2)
            return self._hold(way, cell, msg, sender, extra, offer)
        if self._depart(link, way, cell, msg, sender, extra, offer, packed):
            way.link = link
            if not packed.fields and not packed.buffers and self._node.codec.is_simple(type(msg)):
                link.type_bytes[type(msg)] = msgspec.msgpack.encode(link.number(packed.type))
            return ACCEPTED
        return Put(ok=False, code="rejected")

    def _depart(
        self, link: Link, way: Way, cell: Any, msg: Any, sender: Any, extra: Any,
        offer: asyncio.Future[Put] | None, packed: Packed,
    ) -> bool:  # fmt: skip
        number = link.number(packed.type)
        fields = list(packed.fields)
        if sender is None:
            origin: Any = 0
        elif isinstance(sender, RemoteRef):
            origin = tuple(self._node.known.pack_ref(sender))
        else:
            origin = self._node.known.id_of(sender)
        if extra is None and offer is None:
            if link.has_credit():
                link.post(e.Post(way.to, origin, number, packed.raw(), fields), packed)
                return True
            make: Callable[[], Any] = functools.partial(
                e.Post,
                way.to,
                origin,
                number,
                packed.raw(),
                fields,
            )
        else:
            make = self._node.asked.request(link, way.to, origin, number, packed, extra, offer)
            if link.has_credit():
                entry = make()
                if entry is not None:
                    link.post(entry, packed)
                return True
        if link.wait(Waiting(make, packed, cell, msg, sender, (extra, offer))):
            return True
        self._refuse_full(way, cell, msg, sender, extra, offer)
        return False

    def _hold(self, way: Way, cell: Any, msg: Any, sender: Any, extra: Any, offer: Any) -> Put:
        """Keeps a message until its actor is somewhere, or refuses it if it will be nowhere."""
        to, known = way.to, way.known
        if isinstance(known, tuple) and len(known) == 3:
            if known[:2] in self._node.gone_nodes:
                self._node.endings.retire_with_process(cell)
                return self._refuse(way, cell, msg, sender, extra, offer, unreachable=True)
        elif isinstance(to, tuple):
            if self._node.owner(*to) == 0:
                return self._refuse(way, cell, msg, sender, extra, offer, unreachable=True)
        elif to in self._node.cells:
            self._deliver_here(self._node.cells[to], msg, sender, extra, offer)
            return ACCEPTED
        if self._held_count >= HELD:
            self._refuse_full(way, cell, msg, sender, extra, offer)
            return Put(ok=False, code="rejected")
        new = known not in self._held
        self._held.setdefault(known, deque()).append((way, cell, msg, sender, extra, offer))
        self._held_count += 1
        if new and isinstance(known, int):
            self._node.locate(known)  # may answer at once, and then what is held leaves
        return ACCEPTED

    def release(self, known: Any) -> None:
        """Sends on what was held for an actor."""
        for way, cell, msg, sender, extra, offer in self._held.pop(known, ()):
            self._held_count -= 1
            if isinstance(extra, _native.Reply) and extra.done():
                continue
            put = self.send(way, cell, msg, sender, extra, offer)
            if not put.ok:
                self._node.refused_late += 1

    def holds(self) -> bool:
        """Whether messages are held."""
        return bool(self._held)

    def release_waiting(self, wanted: Callable[[Any], bool]) -> None:
        """Sends on what was held for actors that do not move by themselves."""
        for known in [k for k in self._held if isinstance(k, tuple) and wanted(k)]:
            self.release(known)

    def _deliver_here(self, cell: Any, msg: Any, sender: Any, extra: Any, offer: Any) -> None:
        """An actor turned out to be in this very process."""
        now = self._node.core.now()
        deadline = getattr(extra, "deadline", None)
        left = None if deadline is None else max(0.0, deadline - now)
        if isinstance(extra, _native.Reply):
            inner = cell.ask(msg, left, sender=sender)
            inner.add_done_callback(functools.partial(_pass_on, extra))
        elif isinstance(getattr(extra, "stream", None), Channel):
            cell.open_stream(msg, extra.stream, left)
        else:
            put = cell.tell(msg, sender=sender, deadline=left)
            if offer is not None and not offer.done():
                offer.set_result(put)

    # -- refusing

    def _refuse(
        self, way: Way, cell: Any, msg: Any, sender: Any, extra: Any, offer: Any,
        unreachable: bool = False,
    ) -> Put:  # fmt: skip
        self._undeliverable(
            "node_unreachable" if unreachable or isinstance(way.failure, WorkerDied)
            else "actor_stopped",
            cell, msg, sender, extra, offer, way.error(),
        )  # fmt: skip
        return Put(ok=False, code="closed")

    def _refuse_full(
        self, way: Way, cell: Any, msg: Any, sender: Any, extra: Any, offer: Any
    ) -> None:
        error = MailboxFull(f"the link to {way.path()} is full: its process is too slow")
        self._undeliverable("link_full", cell, msg, sender, extra, offer, error)

    def _undeliverable(
        self, reason: Reason, cell: Any, msg: Any, sender: Any, extra: Any, offer: Any,
        error: BaseException,
    ) -> None:  # fmt: skip
        if offer is not None:
            if not offer.done():
                offer.set_exception(error)
        elif not tell_asker(extra, error):
            self._node.life.dead_letters.record(reason, cell, sender, msg, error)


def _pass_on(outer: _native.Reply, inner: _native.Reply) -> None:
    if outer.done():
        return
    try:
        outer.resolve(inner.result())
    except asyncio.CancelledError:
        outer.reject(ActorStopped("the ask was cancelled"))
    except Exception as error:  # noqa: BLE001 - the asker gets it
        outer.reject(error)
