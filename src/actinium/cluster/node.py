"""One process of a system: its actors as others see them, and its refs to theirs.

Every process of a system runs one node. The node knows a link to each other process, gives actors
numbers that hold outside, and turns what comes in into tells and asks of the local core.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import logging
import sys
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from actinium import _native
from actinium.core.deadletters import Reason
from actinium.core.put import ACCEPTED, Put
from actinium.core.remote import Elsewhere, RemoteRef
from actinium.core.signals import Terminated
from actinium.core.stream import Channel
from actinium.core.undelivered import tell_asker
from actinium.errors import ActorStopped, DecodeError, MailboxFull, UsageError, WorkerDied
from actinium.wire import Codec, Failure, Packed, find_type, name_of, pack_failure, unpack_failure

from . import entries as e
from .address import PLACED, is_placed
from .arrivals import Arrivals
from .flow import Reader
from .link import Link, Waiting
from .place import rendezvous
from .way import Way

if TYPE_CHECKING:
    from actinium.core import System

_log = logging.getLogger("actinium.cluster")

OVERFULL = 65_536
"""Messages waiting in a process from which on it takes no more from other processes."""

HELD = 100_000
"""Messages for actors on their way to another process that are kept, over all of them."""


class Node:
    """The process's part of a system."""

    def __init__(self, system: System, index: int, incarnation: int, workers: int) -> None:
        self.system = system
        self.core = system._running()
        self.life = system._life
        self.index = index
        self.incarnation = incarnation
        self.workers = workers
        self.loop = asyncio.get_running_loop()
        self.thread = threading.get_ident()
        self.codec = Codec(self.pack_ref, self.unpack_ref)
        self.encode = self.codec.encode
        self.links: dict[int, Link] = {}
        self.gone_nodes: dict[tuple[int, int], tuple[WorkerDied, bool]] = {}
        """Processes that ended, why, and whether for good."""
        self._broken: dict[tuple[int, int], Link] = {}
        self.given_up: set[int] = set()
        """Workers that will not be started again."""
        self.arrived = 0
        """Messages that ever came for actors of this process."""
        self.refused_late = 0
        """Messages accepted in one process and refused in another: dead letters."""
        self.sent_dead: list[tuple[int, int, int]] = []
        self.arrivals = Arrivals(self)
        self.takers: dict[type, Callable[[Link, Any, Any], None]] = {
            e.TypeName: self._type_name,
            e.Answer: self._answer,
            e.Failed: self._failed,
            e.Item: self._item,
            e.End: self._end,
            e.Grant: lambda link, entry, _: link.granted(entry.frames),
            e.Gone: self._gone,
            e.Located: self._located,
            **self.arrivals.takers,
        }
        self._ids: dict[Any, int] = {}
        self.cells: dict[Any, Any] = {}
        """Actors of this process that others know, by number or placed key."""
        self.id_bytes: dict[Any, bytes] = {None: b"\0"}
        """Encoded numbers of actors of this process, for their messages' senders."""
        self._sweep_at = 1024
        self._refs: dict[Any, Any] = {}
        self._refs_sweep_at = 1024
        self._next = itertools.count(1)
        self._asked: dict[int, tuple[_native.Reply, Link]] = {}
        self._offers: dict[int, tuple[asyncio.Future[Put], Link]] = {}
        self._readers: dict[int, tuple[Reader, Channel]] = {}
        self._where: dict[int, tuple[int, int]] = {}
        """Placed actors that are not where they were placed first."""
        self._held: dict[int | tuple[str, str], deque[tuple[Any, ...]]] = {}
        self._held_count = 0
        self.past: OrderedDict[int, BaseException | None] = OrderedDict()
        """Placed actors that lived here and are gone, the latest ones."""

    def name_of(self, index: int) -> str:
        """A process in words."""
        if index < 0:
            return "a process that has not said who it is"
        return "the first process" if index == 0 else f"worker {index}"

    # -- numbers and refs

    def id_of(self, cell: Any) -> int:
        """The number by which others know an actor of this process."""
        found = self._ids.get(cell)
        if found is None:
            found = cell.uid
            if len(self._ids) >= self._sweep_at:
                self._forget_stopped()
            self._know(found, cell)
        return found

    def _know(self, number: int, cell: Any) -> None:
        self._ids[cell] = number
        self.cells[number] = cell
        self.id_bytes[cell] = msgspec.msgpack.encode(number)

    def _forget(self, number: int, cell: Any) -> None:
        del self._ids[cell], self.cells[number], self.id_bytes[cell]

    def _forget_stopped(self) -> None:
        for cell, number in list(self._ids.items()):
            if cell.stopped_flag:
                self._forget(number, cell)
        self._sweep_at = max(1024, 2 * len(self._ids))

    def settle(self, key: int, cell: Any) -> None:
        """An actor with a placed key lives here from now on."""
        self._know(key, cell)

    def unsettle(self, key: int, failure: BaseException | None = None) -> None:
        """An actor with a placed key has stopped, or could not be made."""
        cell = self.cells.get(key)
        if cell is not None:
            self._forget(key, cell)
        self.past[key] = failure
        if len(self.past) > 65_536:
            self.past.popitem(last=False)

    def here(self, number: int) -> Any:
        """The actor of this process with that number, or None."""
        return self.cells.get(number)

    def pack_ref(self, ref: Any) -> Any:
        """The address of a ref as plain data."""
        if not isinstance(ref, _native.Cell):  # an EntityRef
            return [0, 0, [name_of(ref._cls), ref.key], ref.path]
        if ref.core is not self.core:
            raise UsageError(f"{ref!r} belongs to another system and cannot be sent in this one")
        if isinstance(ref, RemoteRef):
            way: Way = ref.extra
            return [way.node_index, way.node_incarnation, way.to, way.known_path]
        cell: Any = ref
        return [self.index, self.incarnation, self.id_of(cell), cell.path]

    def unpack_ref(self, data: Any) -> Any:
        """The ref of an address; raises DecodeError for what is none."""
        try:
            index, incarnation, to, path = data
            if isinstance(to, list):
                name, key = to
                return self.system.entity(find_type(name), key)
            if not all(isinstance(n, int) and n >= 0 for n in (index, incarnation, to)):
                raise ValueError("numbers expected")
            return self.ref(index, incarnation, to, str(path))
        except (TypeError, ValueError) as error:
            raise DecodeError(f"no address of an actor: {str(data)[:100]} ({error})") from None

    def ref(self, index: int, incarnation: int, to: e.To, path: str = "") -> Any:
        """The ref to an actor, the same object for the same actor while anybody holds it."""
        movable = isinstance(to, tuple) or to >= PLACED
        known: Any = to if movable else (index, incarnation, to)
        found = self._refs.get(known)
        if found is not None:
            if path and not found.extra.known_path:
                found.extra.known_path = path
            return found
        at_home = index == self.index and incarnation == self.incarnation
        if isinstance(to, int) and (movable or at_home):
            cell = self.cells.get(to)
            if cell is not None:
                return cell
        if len(self._refs) >= self._refs_sweep_at:
            self._forget_refs()
        ref = self.core.foreign(RemoteRef, Elsewhere)
        way = ref.extra = Way(self, index, incarnation, to, path)
        if not movable and at_home:
            way.reason = "stopped"
        self._refs[known] = ref
        return ref

    def _forget_refs(self) -> None:
        """Lets go of refs that nobody else holds."""
        for link in self.links.values():
            link.forget_senders()
        for known, ref in list(self._refs.items()):
            way: Way = ref.extra
            # The table, the list, the loop's variable and the call's argument hold it.
            if sys.getrefcount(ref) <= 4 and not way.watchers and not way.waiting_for_end:
                del self._refs[known]
        self._refs_sweep_at = max(1024, 2 * len(self._refs))

    def overfull(self) -> bool:
        """Whether more waits in this process than it should take on."""
        counts = self.core.statistics()
        done = counts["handled"] + counts["withdrawn"] + self.life.undelivered.count
        return counts["accepted"] - done > OVERFULL

    def way_changed(self) -> None:
        """Links came or went, or actors moved: the shortcuts of refs no longer hold."""
        for ref in self._refs.values():
            ref.extra.link = None

    # -- where an actor is

    def link_for(self, way: Way) -> Link | None:
        """The link to where an actor is; None while that is not known, or if it is nowhere."""
        to = way.to
        if isinstance(to, tuple):
            link = self.links.get(self.owner(*to))
            return link if link is not None and link.up else None
        if to >= PLACED:
            moved = self._where.get(to)
            if moved is not None:
                way.node_index, way.node_incarnation = moved
        link = self.links.get(way.node_index)
        if link is not None and link.up and link.incarnation == way.node_incarnation:
            return link
        return None

    def owner(self, cls: str, key: str) -> int:
        """The worker an entity belongs to."""
        alive = [n for n in range(1, self.workers + 1) if n not in self.given_up]
        return rendezvous(f"{cls}/{key}", alive) if alive else 0

    # -- sending

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
        packed = self.codec.pack(msg)
        if way.reason is not None:
            return self._refuse(way, cell, msg, sender, extra, offer)
        link = self.link_for(way)
        if link is None or way.to in self._held:  # what was held goes first (MS-2)
            return self._hold(way, cell, msg, sender, extra, offer)
        if self._depart(link, way, cell, msg, sender, extra, offer, packed):
            way.link = link
            if not packed.fields and not packed.buffers and self.codec.is_simple(type(msg)):
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
            origin = tuple(self.pack_ref(sender))
        else:
            origin = self.id_of(sender)
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
            make = self._request(link, way.to, origin, number, packed, extra, offer)
            if link.has_credit():
                entry = make()
                if entry is not None:
                    link.post(entry, packed)
                return True
        if link.wait(Waiting(make, packed, cell, msg, sender, (extra, offer))):
            return True
        self._refuse_full(way, cell, msg, sender, extra, offer)
        return False

    def _request(
        self, link: Link, to: e.To, origin: Any, number: int, packed: Packed, extra: Any,
        offer: asyncio.Future[Put] | None,
    ) -> Callable[[], Any]:  # fmt: skip
        """What makes the entry of an ask, a stream, an offer, or a tell with a deadline."""
        body = packed.raw()
        fields: Any = packed.fields
        deadline = getattr(extra, "deadline", None)

        def left() -> float | None:
            return None if deadline is None else deadline - self.core.now()

        own = next(self._next)
        if isinstance(extra, _native.Reply):
            self._asked[own] = (extra, link)
            extra.add_done_callback(functools.partial(self._ask_done, own))

            def ask() -> Any:
                if extra.done():
                    return None
                return e.Ask(to, origin, number, body, fields, left(), own)

            return ask
        if offer is not None:
            self._offers[own] = (offer, link)
            return lambda: e.Offer(to, origin, number, body, fields, left(), own)
        channel = getattr(extra, "stream", None)
        if isinstance(channel, Channel):
            self._readers[own] = (Reader(link, own, channel), channel)

            def stream() -> Any:
                if channel.ended:
                    self._readers.pop(own, None)
                    return None
                return e.Open(to, origin, number, body, fields, left(), own, channel.window)

            return stream
        return lambda: e.Post(to, origin, number, body, fields, left())

    def _hold(self, way: Way, cell: Any, msg: Any, sender: Any, extra: Any, offer: Any) -> Put:
        """Keeps a message until its actor is somewhere, or refuses it if it will be nowhere."""
        to = way.to
        if isinstance(to, int) and to < PLACED:
            ended = self.gone_nodes.get((way.node_index, way.node_incarnation))
            self.retire(cell, "failed: WorkerDied", ended[0] if ended is not None else None)
            return self._refuse(way, cell, msg, sender, extra, offer, unreachable=True)
        if isinstance(to, tuple) and self.owner(*to) == 0:
            return self._refuse(way, cell, msg, sender, extra, offer, unreachable=True)
        if isinstance(to, int) and to in self.cells:
            self._deliver_here(self.cells[to], msg, sender, extra, offer)
            return ACCEPTED
        if self._held_count >= HELD:
            self._refuse_full(way, cell, msg, sender, extra, offer)
            return Put(ok=False, code="rejected")
        known = to in self._held
        self._held.setdefault(to, deque()).append((way, cell, msg, sender, extra, offer))
        self._held_count += 1
        if not known and isinstance(to, int):
            self.locate(to)  # may answer at once, and then what is held leaves
        return ACCEPTED

    def locate(self, key: int) -> None:
        """Asks where a placed actor is; ``located`` is called with the answer."""
        first = self.links.get(0)
        if first is not None:
            first.say(e.Locate(key))

    def located(
        self, key: int, index: int, incarnation: int, failure: BaseException | None
    ) -> None:
        """A placed actor is at that process (or nowhere: incarnation < 0)."""
        ref = self._refs.get(key)
        if incarnation < 0:
            if ref is not None:
                self.retire(ref, f"failed: {failure}" if failure else "stopped", failure)
            self.release(key)
            return
        link = self.links.get(index)
        reached = link is not None and link.up and link.incarnation == incarnation
        if index != self.index and not reached:  # the first process has not noticed it yet
            self.loop.call_later(0.02, self.locate, key)
            return
        self._where[key] = (index, incarnation)
        if ref is not None:
            way: Way = ref.extra
            way.link = None
            way.node_index, way.node_incarnation = index, incarnation
            if way.asked_gone:
                way.asked_gone = False
                self.want_gone(way)
        self.release(key)

    def release(self, to: int | tuple[str, str]) -> None:
        """Sends on what was held for an actor."""
        for way, cell, msg, sender, extra, offer in self._held.pop(to, ()):
            self._held_count -= 1
            if isinstance(extra, _native.Reply) and extra.done():
                continue
            put = self.send(way, cell, msg, sender, extra, offer)
            if not put.ok:
                self.refused_late += 1

    def holds(self) -> bool:
        """Whether messages are held."""
        return bool(self._held)

    def held_entities(self) -> list[tuple[str, str]]:
        """Entities that messages are held for."""
        return [to for to in self._held if isinstance(to, tuple)]

    def _deliver_here(self, cell: Any, msg: Any, sender: Any, extra: Any, offer: Any) -> None:
        """An actor turned out to be in this very process."""
        now = self.core.now()
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
            self.life.dead_letters.record(reason, cell, sender, msg, error)

    # -- what comes back

    def take(self, link: Link, entry: Any, buffers: Any) -> None:
        """Takes one entry of a batch."""
        taker = self.takers.get(type(entry))
        if taker is None:
            raise DecodeError(
                f"{self.name_of(link.index)} sent {type(entry).__name__}, "
                f"which is nothing for {self.name_of(self.index)}"
            )
        taker(link, entry, buffers)

    def _type_name(self, link: Link, entry: e.TypeName, _: Any) -> None:
        if entry.number != len(link.types):
            raise DecodeError(f"type number {entry.number} out of turn")
        link.types[entry.number] = entry.name
        decode = self.codec.simple_decoder(entry.name)
        if decode is not None:
            link.known_type(entry.number, decode)

    def unpack(self, link: Link, entry: Any, buffers: Any) -> Any:
        """The value an entry carries; raises DecodeError."""
        name = link.types.get(entry.type)
        if name is None:
            raise DecodeError(f"type number {entry.type} was never announced")
        return self.codec.unpack(name, entry.body, entry.fields, buffers)

    def pack_failure(self, error: BaseException) -> Failure:
        """An exception as data."""
        return pack_failure(self.codec, error)

    def unpack_failure(self, link: Link, failure: Failure) -> BaseException:
        """An exception of another process."""
        return unpack_failure(self.codec, failure, self.name_of(link.index))

    def _ask_done(self, number: int, reply: _native.Reply) -> None:
        found = self._asked.pop(number, None)
        if found is not None and found[1].up:  # cancelled or out of time here
            found[1].say(e.Cancel(number))

    def _answer(self, link: Link, entry: e.Answer, buffers: Any) -> None:
        asked = self._asked.get(entry.id)
        offer = self._offers.get(entry.id)
        try:
            value = self.unpack(link, entry, buffers)
        except DecodeError as error:
            self._fail(link, entry.id, error)
            return
        if asked is not None and asked[1] is link:
            del self._asked[entry.id]
            if not asked[0].done():
                asked[0].resolve(value)
        elif offer is not None and offer[1] is link:
            del self._offers[entry.id]
            if not offer[0].done():
                offer[0].set_result(ACCEPTED)

    def _failed(self, link: Link, entry: e.Failed, _: Any) -> None:
        self._fail(link, entry.id, self.unpack_failure(link, entry.failure))

    def _fail(self, link: Link, number: int, error: BaseException) -> None:
        asked = self._asked.get(number)
        offer = self._offers.get(number)
        reader = self._readers.get(number)
        if asked is not None and asked[1] is link:
            del self._asked[number]
            if not asked[0].done():
                asked[0].reject(error)
        elif offer is not None and offer[1] is link:
            del self._offers[number]
            if not offer[0].done():
                offer[0].set_exception(error)
        elif reader is not None and reader[0].link is link:
            del self._readers[number]
            reader[1].fail(error)

    def _item(self, link: Link, entry: e.Item, buffers: Any) -> None:
        found = self._readers.get(entry.id)
        if found is None or found[0].link is not link:
            return  # its reader has left meanwhile
        reader, channel = found
        if not channel.ended:
            try:
                reader.took(self.unpack(link, entry, buffers))
            except DecodeError as error:
                self._fail(link, entry.id, error)
                link.say(e.Cancel(entry.id))

    def _end(self, link: Link, entry: e.End, _: Any) -> None:
        found = self._readers.get(entry.id)
        if found is not None and found[0].link is link:
            del self._readers[entry.id]
            found[1].end()

    def cancel_stream(self, channel: Channel) -> bool:
        """The reader of a stream here has left."""
        for number, (reader, known) in self._readers.items():
            if known is channel:
                del self._readers[number]
                if reader.link.up:
                    reader.link.say(e.Cancel(number))
                return True
        return False

    # -- stopping and watching

    def stop(self, way: Way, how: str) -> None:
        """Stops an actor elsewhere, after the messages sent before."""
        if way.reason is not None:
            return
        link = self.link_for(way)
        if link is None:
            if isinstance(way.to, int) and way.to in self.cells:
                end_cell(self.cells[way.to], how)
            elif isinstance(way.to, int) and way.to >= PLACED:
                self.stop_unplaced(way.to, how)
            return
        if link.waiting:
            packed = Packed("", b"")
            link.wait(Waiting(lambda: e.Stop(way.to, how), packed, None, None, None, (None, None)))
        else:
            link.say(e.Stop(way.to, how))

    def stop_unplaced(self, key: int, how: str) -> None:
        """Stops a placed actor that is nowhere just now: the first process sees to it."""
        first = self.links.get(0)
        if first is not None:
            first.say(e.Stop(key, how))

    def watch(self, way: Way, cell: Any) -> None:
        """Somebody here watches; ``Terminated`` comes at once if it has stopped (WD-1)."""
        if way.reason is not None:
            self._notice(cell, way)
        else:
            self.want_gone(way)

    def want_gone(self, way: Way) -> None:
        """Sees to it that the end of an actor is told here."""
        if way.asked_gone:
            return
        way.asked_gone = True
        link = self.link_for(way)
        if link is not None:
            link.say(e.Watch(way.to))
        elif isinstance(way.to, int) and way.to < PLACED:
            ended = self.gone_nodes.get((way.node_index, way.node_incarnation))
            ref = self._refs.get((way.node_index, way.node_incarnation, way.to))
            if ref is not None:
                self.retire(ref, "failed: WorkerDied", ended[0] if ended is not None else None)
        elif isinstance(way.to, int) and way.to in self.cells:
            self.arrivals.tell_end(self.cells[way.to], functools.partial(self.ended_here, way.to))
        elif isinstance(way.to, int):
            self.locate(way.to)

    def ended_here(self, to: int, reason: str) -> None:
        """A placed actor this process holds a remote ref to has ended in this process."""
        ref = self._refs.get(to)
        if ref is not None:
            self.retire(ref, reason, None)

    def _gone(self, link: Link, entry: e.Gone, _: Any) -> None:
        movable = isinstance(entry.id, tuple) or entry.id >= PLACED
        known: Any = entry.id if movable else (link.index, link.incarnation, entry.id)
        failure = self.unpack_failure(link, entry.failure) if entry.failure is not None else None
        ref = self._refs.get(known)
        if ref is not None:
            if isinstance(entry.id, tuple):  # an entity comes back with its next message
                self._entity_gone(ref, entry.reason)
            else:
                self.retire(ref, entry.reason, failure)
        if isinstance(entry.id, int) and entry.id >= PLACED:
            self._where.pop(entry.id, None)
            self.release(entry.id)
            self.placed_gone(entry.id, link.index)

    def placed_gone(self, key: int, index: int) -> None:
        """A placed actor has stopped for good; the first process strikes it off its list."""

    def _entity_gone(self, ref: Any, reason: str) -> None:
        way: Way = ref.extra
        way.asked_gone = False
        way.reason = reason
        self._notice(ref, way)
        way.reason = None

    def retire(self, ref: Any, reason: str, failure: BaseException | None) -> None:
        """An actor elsewhere is gone for good: whoever watches or waits learns it, once."""
        way: Way = ref.extra
        if way.reason is None:
            way.link = None
            way.reason = reason
            way.failure = failure
            self._notice(ref, way)

    def _notice(self, ref: Any, way: Way) -> None:
        reason = way.reason or "stopped"
        watchers, way.watchers = way.watchers, None
        for watcher in watchers or ():
            watcher.deliver(Terminated(ref, reason))
        waiting, way.waiting_for_end = way.waiting_for_end, []
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(reason)

    def _located(self, link: Link, entry: e.Located, _: Any) -> None:
        failure = self.unpack_failure(link, entry.failure) if entry.failure is not None else None
        self.located(entry.key, entry.node, entry.incarnation, failure)

    # -- other processes come and go

    def joined(self, link: Link) -> None:
        """A link is up."""
        self.way_changed()
        self.links[link.index] = link
        for to in self.held_entities():
            if self.owner(*to) == link.index:
                self.release(to)

    def lost(self, link: Link) -> None:
        """A link broke. What it carried is settled once ``down`` says why."""
        self.way_changed()
        if self.links.get(link.index) is link:
            del self.links[link.index]
        self._broken[link.index, link.incarnation] = link
        self.sent_dead.append((link.index, link.incarnation, link.posts))
        for what in list(link.serving.values()):
            self.arrivals.cancel(what)
        link.serving.clear()

    def down(self, index: int, incarnation: int, error: WorkerDied, final: bool) -> None:
        """A process has ended: whoever waits for it learns why."""
        self.gone_nodes[index, incarnation] = (error, final)
        if final:
            self.given_up.add(index)
        link = self.links.get(index)
        if link is not None and link.incarnation == incarnation is not None:
            link.up = False
            link.abort()
            self.lost(link)
        for number, (reply, old) in list(self._asked.items()):
            if old.index == index and old.incarnation == incarnation:
                del self._asked[number]
                if not reply.done():
                    reply.reject(error)
        for number, (offer, old) in list(self._offers.items()):
            if old.index == index and old.incarnation == incarnation:
                del self._offers[number]
                if not offer.done():
                    offer.set_exception(error)
        for number, (reader, channel) in list(self._readers.items()):
            if reader.link.index == index and reader.link.incarnation == incarnation:
                del self._readers[number]
                channel.fail(error)
        for known, ref in list(self._refs.items()):
            way: Way = ref.extra
            if way.node_index != index or way.node_incarnation != incarnation:
                continue
            if isinstance(known, tuple) and len(known) == 3:
                self.retire(ref, f"failed: WorkerDied: {error}", error)
            elif way.asked_gone and is_placed(known):
                way.asked_gone = False
                self.want_gone(way)
        broken = self._broken.pop((index, incarnation), None)
        if broken is not None:
            self._take_back(broken)
        if final:
            for to in self.held_entities():
                self.release(to)

    def _take_back(self, link: Link) -> None:
        """Gives back the messages that still waited for credit of a link that broke."""
        waiting, link.waiting = link.waiting, deque()
        for message in waiting:
            if message.cell is None:
                continue
            extra, offer = message.extra
            way: Way = message.cell.extra
            put = self.send(way, message.cell, message.msg, message.sender, extra, offer)
            if not put.ok:
                self.refused_late += 1

    # -- quiet, and counting

    async def tally(self, round: int) -> e.Tally:
        """What this process did, once no message is under way in it."""
        while True:
            await self.system._idle_here()
            if not self._held and not self.arrivals.waiting() and not self._unsent():
                return self.counts(round)
            await asyncio.sleep(0.001)

    def _unsent(self) -> bool:
        return any(link.waiting for link in self.links.values())

    def counts(self, round: int = 0, forced: int = 0) -> e.Tally:
        """What this process did so far."""
        counts = self.core.statistics()
        return e.Tally(
            round=round,
            accepted=counts["accepted"] + self.refused_late,
            handled=counts["handled"],
            dead_lettered=self.life.undelivered.count + self.refused_late,
            withdrawn=counts["withdrawn"],
            forced=forced,
            sent=sum(link.said for link in self.links.values()),
            received=sum(link.heard for link in self.links.values()),
            posts=self.arrived,
            actors=counts["actors"],
            sent_dead=self.sent_dead,
        )

    def note_unhandled(self, error: BaseException) -> None:
        """Logs what went wrong in the node's own work."""
        _log.error("%s: %s", self.name_of(self.index), error, exc_info=error)


def end_cell(cell: Any, how: str) -> None:
    """Stops a local actor as asked from elsewhere."""
    if how == "kill":
        cell.kill()
    else:
        cell.stop(drain=how == "drain")


def _pass_on(outer: _native.Reply, inner: _native.Reply) -> None:
    if outer.done():
        return
    try:
        outer.resolve(inner.result())
    except asyncio.CancelledError:
        outer.reject(ActorStopped("the ask was cancelled"))
    except Exception as error:  # noqa: BLE001 - the asker gets it
        outer.reject(error)
