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
from actinium.core.priority import PRIORITIES
from actinium.core.put import ACCEPTED, Put
from actinium.core.remote import RemoteRef
from actinium.core.stream import Channel
from actinium.core.undelivered import tell_asker
from actinium.errors import ActorStopped, MailboxFull, WorkerDied
from actinium.wire import Packed

from . import entries as e
from .letter import Letter
from .link import Link
from .waiting import Waiting

if TYPE_CHECKING:
    from .node import Node

HELD = 100_000
"""Messages for actors on their way to another process that are kept, over all of them."""


class Sending:
    """What leaves a process, or waits in it until its actor is somewhere."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._held: dict[Any, deque[Letter]] = {}  # by what ``Way.known`` says
        self._held_count = 0

    def send(self, letter: Letter) -> Put:
        """Sends a message to where its actor is; holds it while the actor is on its way."""
        node, way = self._node, letter.way
        packed = node.codec.pack(letter.msg)
        if way.reason is not None:
            return self._refuse(letter)
        link = node.link_for(way)
        if link is None or (
            self._held and way.known in self._held
        ):  # what was held goes first (MS-2)
            return self._hold(letter)
        if not self._depart(link, letter, packed):
            return self._refuse_full(letter)
        way.link = link
        kind = type(letter.msg)
        if kind not in link.type_bytes and node.codec.is_simple(kind):
            link.type_bytes[kind] = msgspec.msgpack.encode(link.number(packed.type))
        return ACCEPTED

    def _depart(self, link: Link, letter: Letter, packed: Packed) -> bool:
        """Sends a message over a link, or lets it wait there; False if too many wait."""
        sender = letter.sender
        if sender is None:
            origin: Any = 0
        elif isinstance(sender, RemoteRef):
            origin = tuple(self._node.known.pack_ref(sender))
        else:
            origin = self._node.known.id_of(sender)
        credit = link.has_credit()
        if not credit and not link.has_room_for(packed):
            return False
        number = link.number(packed.type)
        head: Any = (letter.way.to, origin, number, packed.raw(), list(packed.fields))
        make = self._maker(link, letter, head)
        if credit:
            entry = make()
            if entry is not None:
                link.post(entry, packed)
        else:
            link.wait(Waiting(make, packed, letter))
        return True

    def _maker(self, link: Link, letter: Letter, head: Any) -> Callable[[], Any]:
        extra, lane = letter.extra, letter.lane
        if extra is None and letter.offer is None:
            head += (None, lane)
            return functools.partial(e.Post, *head)
        plain = letter.offer is None and not isinstance(extra, _native.Reply)
        if plain and not isinstance(extra.stream, Channel):
            head += (extra.deadline, lane, extra.urgent)
            return functools.partial(e.Post, *head)
        return self._node.asked.request(link, letter, head)

    def _hold(self, letter: Letter) -> Put:
        """Keeps a message until its actor is somewhere, or refuses it if it will be nowhere."""
        way = letter.way
        to, known = way.to, way.known
        if isinstance(known, tuple) and len(known) == 3:
            if known[:2] in self._node.gone_nodes:
                self._node.endings.retire_with_process(letter.cell)
                return self._refuse(letter, unreachable=True)
        elif isinstance(to, tuple):
            if self._node.owner(*to) == 0:
                return self._refuse(letter, unreachable=True)
        elif to in self._node.cells:
            self._deliver_here(self._node.cells[to], letter)
            return ACCEPTED
        if self._held_count >= HELD:
            return self._refuse_full(letter)
        new = known not in self._held
        self._held.setdefault(known, deque()).append(letter)
        self._held_count += 1
        if new and isinstance(known, int):
            self._node.locate(known)  # may answer at once, and then what is held leaves
        return ACCEPTED

    def release(self, known: Any) -> None:
        """Sends on what was held for an actor."""
        for letter in self._held.pop(known, ()):
            self._held_count -= 1
            self.send_again(letter)

    def send_again(self, letter: Letter) -> None:
        """Sends a message that was accepted before; refused now, it is a dead letter."""
        extra = letter.extra
        if isinstance(extra, _native.Reply) and extra.done():
            return
        if not self.send(letter).ok:
            self._node.refused_late += 1

    def holds(self) -> bool:
        """Whether messages are held."""
        return bool(self._held)

    def release_waiting(self, wanted: Callable[[Any], bool]) -> None:
        """Sends on what was held for actors that do not move by themselves."""
        for known in [k for k in self._held if isinstance(k, tuple) and wanted(k)]:
            self.release(known)

    def _deliver_here(self, cell: Any, letter: Letter) -> None:
        """An actor turned out to be in this very process."""
        msg, sender, extra = letter.msg, letter.sender, letter.extra
        deadline = getattr(extra, "deadline", None)
        left = None if deadline is None else max(0.0, deadline - self._node.core.now())
        if isinstance(extra, _native.Reply):
            inner = cell.ask(msg, left, sender=sender, urgent=extra.urgent)
            inner.add_done_callback(functools.partial(_pass_on, extra))
        elif isinstance(getattr(extra, "stream", None), Channel):
            cell.open_stream(msg, extra.stream, left, extra.urgent)
        else:
            put = cell.tell(msg, sender=sender, deadline=left, priority=PRIORITIES[letter.lane])
            if letter.offer is not None and not letter.offer.done():
                letter.offer.set_result(put)

    # -- refusing

    def _refuse(self, letter: Letter, unreachable: bool = False) -> Put:
        way = letter.way
        gone = unreachable or isinstance(way.failure, WorkerDied)
        self._undeliverable("node_unreachable" if gone else "actor_stopped", letter, way.error())
        return Put(ok=False, code="closed")

    def _refuse_full(self, letter: Letter) -> Put:
        error = MailboxFull(f"the link to {letter.way.path()} is full: its process is too slow")
        self._undeliverable("link_full", letter, error)
        return Put(ok=False, code="rejected")

    def _undeliverable(self, reason: Reason, letter: Letter, error: BaseException) -> None:
        offer = letter.offer
        if offer is not None:
            if not offer.done():
                offer.set_exception(error)
        elif not tell_asker(letter.extra, error):
            self._node.life.dead_letters.record(
                reason, letter.cell, letter.sender, letter.msg, error
            )


def _pass_on(outer: _native.Reply, inner: _native.Reply) -> None:
    if outer.done():
        return
    try:
        outer.resolve(inner.result())
    except asyncio.CancelledError:
        outer.reject(ActorStopped("the ask was cancelled"))
    except Exception as error:  # noqa: BLE001 - the asker gets it
        outer.reject(error)
