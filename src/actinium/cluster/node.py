"""One process of a system: its actors as others see them, and its refs to theirs.

Every process of a system runs one node. It knows a link to each other process, and gives every
entry that comes in to the part it is for: ``known`` gives actors numbers that hold outside,
``sending`` lets messages out, ``asked`` waits for what comes back, ``endings`` tells who has
stopped, ``arrivals`` turns what others send into tells and asks of the local core.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from actinium.errors import DecodeError, WorkerDied
from actinium.wire import Codec, Failure, pack_failure, unpack_failure

from . import entries as e
from .address import PLACED
from .arrivals import Arrivals
from .asked import Asked
from .circles import Circles
from .endings import Endings
from .known import Known
from .link import Link
from .place import rendezvous
from .sending import Sending
from .way import Way

if TYPE_CHECKING:
    from actinium.core import System

    from .repair import Repair

_log = logging.getLogger("actinium.cluster")

OVERFULL = 65_536
"""Messages waiting in a process from which on it takes no more from other processes."""


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
        self.known = Known(self)
        self.cells = self.known.cells
        self.id_bytes = self.known.id_bytes
        self.codec = Codec(self.known.pack_ref, self.known.unpack_ref)
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
        self.where: dict[int, tuple[int, int]] = {}
        """Placed actors that are not where they were placed first."""
        self.repair: Repair
        self.sending = Sending(self)
        self.asked = Asked(self)
        self.endings = Endings(self)
        self.sought: set[int] = set()
        """Placed actors that this process has asked the whereabouts of."""
        self.circles = Circles(self)
        self.arrivals = Arrivals(self)
        self.takers: dict[type, Callable[[Link, Any, Any], None]] = {
            e.TypeName: self._type_name,
            e.Grant: lambda link, entry, _: link.granted(entry.frames),
            e.Located: self._located,
            e.Probe: self.circles.probed,
            **self.asked.takers,
            **self.endings.takers,
            **self.arrivals.takers,
        }

    def name_of(self, index: int) -> str:
        """A process in words."""
        if index < 0:
            return "a process that has not said who it is"
        return "the first process" if index == 0 else f"worker {index}"

    def overfull(self) -> bool:
        """Whether more waits in this process than it should take on."""
        counts = self.core.statistics()
        done = counts["handled"] + counts["withdrawn"] + self.life.undelivered.count
        return counts["accepted"] - done > OVERFULL

    # -- where an actor is

    def link_for(self, way: Way) -> Link | None:
        """The link to where an actor is; None while that is not known, or if it is nowhere."""
        to = way.to
        if isinstance(to, tuple):
            link = self.links.get(self.owner(*to))
            return link if link is not None and link.up else None
        if to >= PLACED:
            moved = self.where.get(to)
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

    def locate(self, key: int) -> None:
        """Asks where a placed actor is; ``located`` is called with the answer."""
        self.sought.add(key)
        first = self.links.get(0)
        if first is not None:
            first.say(e.Locate(key))

    def located(
        self, key: int, index: int, incarnation: int, failure: BaseException | None
    ) -> None:
        """A placed actor is at that process (or nowhere: incarnation < 0)."""
        ref = self.known.refs.get(key)
        if incarnation < 0:
            self.sought.discard(key)
            if ref is not None:
                self.endings.retire(ref, f"failed: {failure}" if failure else "stopped", failure)
            self.sending.release(key)
            return
        link = self.links.get(index)
        reached = link is not None and link.up and link.incarnation == incarnation
        if index != self.index and not reached:  # the first process has not noticed it yet
            self.loop.call_later(0.02, self.locate, key)
            return
        self.sought.discard(key)
        self.where[key] = (index, incarnation)
        if ref is not None:
            way: Way = ref.extra
            way.link = None
            way.node_index, way.node_incarnation = index, incarnation
            if way.asked_gone:
                way.asked_gone = False
                self.endings.want_gone(way)
        self.sending.release(key)

    # -- what comes in

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

    def failure_of(self, link: Link, failure: Failure | None) -> BaseException | None:
        """The exception that came along, if one did."""
        return self.unpack_failure(link, failure) if failure is not None else None

    def stop_unplaced(self, key: int, how: str) -> None:
        """Stops a placed actor that is nowhere just now: the first process sees to it."""
        first = self.links.get(0)
        if first is not None:
            first.say(e.Stop(key, how))

    def placed_gone(self, key: int, index: int) -> None:
        """A placed actor has stopped for good; the first process strikes it off its list."""

    def _located(self, link: Link, entry: e.Located, _: Any) -> None:
        failure = self.failure_of(link, entry.failure)
        self.located(entry.key, entry.node, entry.incarnation, failure)

    # -- other processes come and go

    def joined(self, link: Link) -> None:
        """A link is there, for the first time or again."""
        self.known.way_changed()
        self.links[link.index] = link
        self.sending.release_waiting(
            lambda known: (
                self.owner(*known) == link.index if len(known) == 2 else known[0] == link.index
            )
        )
        self.endings.joined()

    def expects(self, index: int, incarnation: int) -> bool:
        """Whether a process may say that it is this one."""
        known = self.links.get(index)
        latest = known.incarnation if known is not None else 0
        return incarnation >= latest and (index, incarnation) not in self.gone_nodes

    def cut(self, link: Link) -> None:
        """A connection broke though nobody ended it."""
        self.repair.cut(link)

    def nonsense(self, link: Link, error: Exception) -> None:
        """A process sent what no process of this system says."""
        why = f"it sent what no process of this system says: {error}"
        _log.error("%s is cut off: %s", self.name_of(link.index), why)
        self.repair.give_up(link, why)

    def pulse(self, always: bool) -> None:
        """Tells the others what was taken of what they sent, and the first process that this
        event loop turns (``always``)."""
        for index, link in self.links.items():
            link.pulse(always and index == 0)

    def drop(self, link: Link) -> None:
        """A process has ended. What its link carried is settled once ``down`` says why."""
        self.known.way_changed()
        if self.links.get(link.index) is link:
            del self.links[link.index]
        link.end()
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
        if link is not None and link.incarnation == incarnation:
            self.drop(link)
        self.asked.down(index, incarnation, error)
        self.endings.down(index, incarnation, error)
        broken = self._broken.pop((index, incarnation), None)
        if broken is not None:
            self._take_back(broken)
        self.sending.release_waiting(
            lambda known: final if len(known) == 2 else known[:2] == (index, incarnation)
        )
        self.endings.joined()

    def _take_back(self, link: Link) -> None:
        """Sends again what still waited for credit of a link that ended."""
        for letter in link.waiting.drain():
            self.sending.send_again(letter)

    # -- quiet, and counting

    async def tally(self, round: int) -> e.Tally:
        """What this process did, once no message is under way in it."""
        while True:
            await self.system._idle_here()
            if not (
                self.sought
                or self.sending.holds()
                or self.endings.waits()
                or self.arrivals.waiting()
                or self._unsent()
            ):
                return self.counts(round)
            await asyncio.sleep(0.001)

    def _unsent(self) -> bool:
        return any(link.waiting for link in self.links.values())

    def counts(self, round: int = 0) -> e.Tally:
        """What this process did so far."""
        counts = self.core.statistics()
        return e.Tally(
            round=round,
            accepted=counts["accepted"] + self.refused_late,
            handled=counts["handled"],
            dead_lettered=self.life.undelivered.count + self.refused_late,
            withdrawn=counts["withdrawn"],
            forced=0,
            sent=sum(link.said for link in self.links.values()),
            received=sum(link.heard for link in self.links.values()),
            posts=self.arrived,
            actors=counts["actors"],
            sent_dead=self.sent_dead,
        )
