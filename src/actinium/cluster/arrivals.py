"""What comes in for the actors of this process."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from actinium import _native
from actinium.core.extra import extra_of
from actinium.core.priority import PRIORITIES
from actinium.core.put import Put
from actinium.errors import ActiniumError, ActorStopped, DecodeError, SpawnError
from actinium.wire import find_type

from . import entries as e
from .address import PLACED, origin_of
from .endings import end_cell
from .flow import Outflow
from .letter import NORMAL

if TYPE_CHECKING:
    from .link import Link
    from .node import Node

_log = logging.getLogger("actinium.cluster")

EARLY_SECONDS = 5.0
EARLY = 10_000
"""How long, and how many, messages wait for a placed actor whose order to start is on its way."""


class Arrivals:
    """Delivers to local actors and answers for them."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._seen: dict[tuple[int, int], int] = {}
        """The latest number each process placed here itself."""
        self._early: dict[int, list[tuple[Link, Any, Any]]] = {}
        self._offers: set[asyncio.Task[None]] = set()
        self.takers: dict[type, Callable[[Link, Any, Any], None]] = {
            e.Post: self._arrive,
            e.Ask: self._arrive,
            e.Open: self._arrive,
            e.Offer: self._arrive,
            e.Cancel: self._cancel,
            e.Credit: self._credit,
            e.Watch: self._watch,
            e.Stop: self._stop,
            e.Spawn: self._spawn,
        }

    def waiting(self) -> bool:
        """Whether messages wait for actors that are still to come, or offers for room."""
        return bool(self._early or self._offers)

    # -- messages

    def _arrive(self, link: Link, entry: Any, buffers: Any) -> None:
        node = self._node
        node.arrived += 1
        try:
            msg = node.unpack(link, entry, buffers)
        except DecodeError as error:
            self._undecodable(link, entry, error)
            return
        self._deliver(link, entry, msg)

    def _undecodable(self, link: Link, entry: Any, error: DecodeError) -> None:
        _log.error("%s: %s", self._node.name_of(link.index), error)
        if type(entry) is not e.Post:
            self._fail(link, entry.id, error)
            return
        self._node.refused_late += 1
        target = self._find(entry.to)
        if target is None or isinstance(target, BaseException):
            target = self._node.system._user
        body = bytes(memoryview(entry.body))
        self._node.life.dead_letters.record("undecodable", target, None, body, error)

    def _find(self, to: e.To) -> Any:
        """The local actor; None if it is still to come; the error if it is gone."""
        node = self._node
        if isinstance(to, tuple):
            try:
                cls = find_type(to[0])
                return node.system.entity(cls, to[1])._live()
            except ActiniumError as error:
                return error
        cell = node.known.here(to)
        if cell is not None:
            return cell
        if to >= PLACED and to not in node.known.past:
            index, incarnation, serial = origin_of(to)
            if serial > self._seen.get((index, incarnation), 0):
                return None
        failure = node.known.past.get(to)
        return (
            failure
            if failure is not None
            else ActorStopped(f"the actor {to:#x} of {node.name_of(node.index)} has stopped")
        )

    def _deliver(self, link: Link, entry: Any, msg: Any) -> None:
        cell = self._find(entry.to)
        if cell is None:
            self._wait(link, entry, msg)
            return
        node = self._node
        origin = entry.sender
        if origin == 0:
            sender = None
        elif type(origin) is int:
            sender = node.known.ref(link.index, link.incarnation, origin)
            link.known_sender(origin, sender)
        else:
            sender = node.known.ref(*origin)
        if isinstance(cell, BaseException):
            self._gone(link, entry, msg, sender, cell)
            return
        kind = type(entry)
        left = None if entry.due is None else max(0.0, entry.due - node.core.now())
        if kind is e.Post:
            if left is None and entry.lane == NORMAL:
                put = cell.tell(msg, sender=sender) if sender is not None else cell.tell(msg)
            else:
                priority = PRIORITIES[entry.lane]
                put = cell.tell(
                    msg, sender=sender, deadline=left, priority=priority, urgent=entry.urgent
                )
            if not put.ok:
                node.refused_late += 1
        elif kind is e.Ask:
            # No time limit was given: then the asker has none either.
            limit = left if left is not None else 1e10
            if entry.lane == NORMAL:
                reply = cell.ask(msg, limit, urgent=entry.urgent, sender=sender)
            else:
                priority = PRIORITIES[entry.lane]
                reply = cell.ask(msg, limit, urgent=entry.urgent, sender=sender, priority=priority)
            link.serving[entry.id] = reply
            reply.add_done_callback(functools.partial(self._answer, link, entry.id))
            if cell.blocked_on() is not None:
                node.circles.asked(link, entry.id, reply)
        elif kind is e.Open:
            flow = Outflow(entry.window, link, entry.id, cell)
            link.serving[entry.id] = flow
            cell.open_stream(msg, flow, left, entry.urgent)
        else:
            self._offer(link, entry.id, cell, msg, sender, left or 0.0)

    def _gone(self, link: Link, entry: Any, msg: Any, sender: Any, error: BaseException) -> None:
        if type(entry) is e.Watch:
            link.say(e.Gone(entry.to, "stopped"))
        elif type(entry) is e.Post:
            node = self._node
            node.refused_late += 1
            target = node.known.ref(node.index, node.incarnation, 0, f"/worker/{node.index}/$gone")
            node.life.dead_letters.record("actor_stopped", target, sender, msg, error)
        elif type(entry) is not e.Stop:
            self._fail(link, entry.id, error)

    def _wait(self, link: Link, entry: Any, msg: Any) -> None:
        early = self._early.get(entry.to)
        if early is None:
            early = self._early[entry.to] = []
            self._node.loop.call_later(EARLY_SECONDS, self._too_late, entry.to)
        if len(early) < EARLY:
            early.append((link, entry, msg))
        else:
            self._gone(link, entry, msg, None, ActorStopped("it was not started in time"))

    def _too_late(self, to: int) -> None:
        for link, entry, msg in self._early.pop(to, ()):
            self._gone(link, entry, msg, None, ActorStopped("it was not started in time"))

    def _release(self, key: int) -> None:
        for link, entry, msg in self._early.pop(key, ()):
            if isinstance(entry, e.Sent):
                self._deliver(link, entry, msg)
            else:
                self.takers[type(entry)](link, entry, ())

    # -- answers

    def _answer(self, link: Link, number: int, reply: _native.Reply) -> None:
        if link.serving.pop(number, None) is None or not link.up:
            return
        try:
            packed = self._node.codec.pack(reply.result())
        except asyncio.CancelledError:
            self._fail(link, number, ActorStopped("the ask was cancelled where it was handled"))
        except Exception as error:  # noqa: BLE001 - the asker gets it
            self._fail(link, number, error)
        else:
            link.say(
                e.Answer(number, link.number(packed.type), packed.raw(), packed.fields),  # type: ignore[arg-type]
                packed,
            )

    def _fail(self, link: Link, number: int, error: BaseException) -> None:
        link.serving.pop(number, None)
        if link.up:
            link.say(e.Failed(number, self._node.pack_failure(error)))

    def _offer(
        self, link: Link, number: int, cell: Any, msg: Any, sender: Any, left: float
    ) -> None:
        if cell.refusal(msg, sender) is None:
            self._taken(link, number, cell.tell(msg, sender=sender))
            return

        async def wait() -> None:
            try:
                self._taken(link, number, await cell.send(msg, timeout=left, sender=sender))
            except ActiniumError as error:
                self._fail(link, number, error)

        task = self._node.loop.create_task(wait(), name="actinium.cluster.offer")
        self._offers.add(task)
        task.add_done_callback(self._offers.discard)

    def _taken(self, link: Link, number: int, put: Put) -> None:
        if link.up:
            packed = self._node.codec.pack((put.ok, put.code))
            link.say(e.Answer(number, link.number(packed.type), packed.raw()))

    def _cancel(self, link: Link, entry: e.Cancel, _: Any) -> None:
        what = link.serving.pop(entry.id, None)
        if what is not None:
            self.cancel(what)

    def cancel(self, what: Any) -> None:
        """Takes an ask back, or ends a stream, whose asker is gone."""
        if isinstance(what, Outflow):
            what.stop()
        else:
            what.cancel()

    def _credit(self, link: Link, entry: e.Credit, _: Any) -> None:
        flow = link.serving.get(entry.id)
        if isinstance(flow, Outflow):
            flow.read(entry.items, entry.bytes)

    # -- life

    def _stop(self, link: Link, entry: e.Stop, _: Any) -> None:
        cell = self._living(entry.to)
        if cell is None and self._is_coming(entry.to):
            self._wait(link, entry, None)
        elif cell is not None and not isinstance(cell, BaseException):
            end_cell(cell, entry.how)

    def _watch(self, link: Link, entry: e.Watch, _: Any) -> None:
        cell = self._living(entry.to)
        if cell is None and self._is_coming(entry.to):
            self._wait(link, entry, None)
        elif cell is None or isinstance(cell, BaseException):
            link.say(e.Gone(entry.to, "stopped"))
        else:
            self.tell_end(cell, functools.partial(self._say_gone, link, entry.to))

    def _living(self, to: e.To) -> Any:
        """The actor if it lives now: unlike a message, this makes no entity."""
        if not isinstance(to, tuple):
            return self._find(to)
        try:
            cls = find_type(to[0])
            return self._node.system.entity(cls, to[1])._entities.find(cls, to[1])
        except ActiniumError as error:
            return error

    def _is_coming(self, to: e.To) -> bool:
        return isinstance(to, int) and self._find(to) is None

    def _say_gone(self, link: Link, to: e.To, reason: str) -> None:
        if link.up:
            link.say(e.Gone(to, reason))

    def tell_end(self, cell: Any, then: Callable[[str], None]) -> None:
        """Calls ``then`` with the reason once an actor has stopped."""
        if cell.stopped_flag:
            known = cell.extra
            then((known.reason if known is not None else None) or "stopped")
            return
        extra = extra_of(cell)
        if extra.on_stop is None:
            extra.on_stop = []
        extra.on_stop.append(lambda _, reason: then(reason))

    # -- placed actors

    def _spawn(self, link: Link, entry: e.Spawn, _: Any) -> None:
        if not entry.again:
            index, incarnation, serial = origin_of(entry.key)
            if (index, incarnation) != (link.index, link.incarnation):
                raise DecodeError("a placed key of another process than the one that places")
            self._seen[index, incarnation] = serial
        self.place(entry.key, entry.cls, entry.body, link)
        if entry.again:
            link.say(e.Spawned(entry.key))

    def place(self, key: int, cls_name: str, body: bytes, origin: Link | None) -> None:
        """Starts a placed actor in this process; those concerned learn when it ends."""
        node = self._node
        try:
            cls = find_type(cls_name)
            args, kwargs, options = node.codec.unpack("", body)
            cell = node.system._running().spawn(cls, *args, **kwargs, **options)
        except Exception as error:  # noqa: BLE001 - whoever asks the actor gets it
            failure = (
                error
                if isinstance(error, ActiniumError)
                else SpawnError(f"{cls_name} could not be made: {type(error).__name__}: {error}")
            )
            _log.error("%s could not be made: %s", cls_name, failure)
            node.known.unsettle(key, failure)
            self._end_placed(key, origin, failure, f"failed: {failure}")
        else:
            node.known.settle(key, cell)
            self.tell_end(cell, functools.partial(self._end_placed, key, origin, None))
        self._release(key)

    def _end_placed(
        self, key: int, origin: Link | None, failure: BaseException | None, reason: str
    ) -> None:
        node = self._node
        if failure is None:
            node.known.unsettle(key)
        packed = node.pack_failure(failure) if failure is not None else None
        first = node.links.get(0)
        for link in {first, origin}:
            if link is not None and link.up:
                link.say(e.Gone(key, reason, packed))
        node.placed_gone(key, node.index)
