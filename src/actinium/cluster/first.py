"""The node of the first process: it knows where every placed actor is, and moves them."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from actinium.errors import NameTaken, WorkerDied

from . import entries as e
from .address import origin_of
from .endings import end_cell
from .link import Link
from .place import Place, check_place
from .placing import PlacingNode
from .registry import Placed, Registry

if TYPE_CHECKING:
    from actinium.core import System


class FirstNode(PlacingNode):
    """Keeps the registry of placed actors, and asks the workers when all is quiet."""

    def __init__(self, system: System, workers: int) -> None:
        super().__init__(system, 0, 0, workers)
        self.registry = Registry()
        self.tallies: dict[tuple[int, int], e.Tally] = {}
        """The latest of each worker process there ever was."""
        self.ready: Callable[[int, int], None] = lambda index, incarnation: None
        self.kill: Callable[[int, int, str], None] = lambda index, incarnation, why: None
        """Ends a worker process, for a reason."""
        self._condemned: set[tuple[int, int]] = set()
        self.incarnation_of: Callable[[int], int] = lambda index: 0
        """The process of a worker's number that is alive, or was last."""
        self._round = 0
        self._answers: dict[tuple[int, int], asyncio.Future[e.Tally | None]] = {}
        self.takers |= {
            e.Register: self._on_register,
            e.Locate: self._on_locate,
            e.Spawned: self._on_spawned,
            e.Ready: self._on_ready,
            e.Tally: self._on_tally,
            e.Stop: self._on_stop,
            e.Fatal: self._on_fatal,
            e.Unreachable: self._on_unreachable,
        }

    # -- the registry

    def check_free(self, name: str) -> None:
        if self.registry.named(name) or self.life.names.get(self.system._user, name) is not None:
            raise NameTaken(f"/user has a child named {name!r} already")

    def register(
        self, key: int, cls: str, body: bytes, node: int, place: Place, name: str | None
    ) -> None:
        link = self.links.get(node)
        incarnation = link.incarnation if link is not None else -1
        self._add(key, Placed(cls, body, node, incarnation, place, name or ""))

    def _on_register(self, link: Link, entry: e.Register, _: Any) -> None:
        node = entry.node if self._is_up(entry.node, entry.incarnation) else 0
        place = check_place(entry.place, self.workers)
        self._add(
            entry.key, Placed(entry.cls, entry.body, node, entry.incarnation, place, entry.name)
        )

    def _add(self, key: int, placed: Placed) -> None:
        self.registry.add(key, placed)
        if placed.settled:
            placed.answer(placed)
        else:
            self.place_homeless()

    def _is_up(self, index: int, incarnation: int) -> bool:
        link = self.links.get(index)
        return link is not None and link.up and link.incarnation == incarnation

    def place_homeless(self) -> None:
        """Starts actors that have no process on the workers that are up."""
        for key, placed, node in self.registry.homeless(self.workers_up(), self.load):
            link = self.links[node]
            placed.node, placed.incarnation = node, link.incarnation
            link.say(e.Spawn(key, placed.cls, placed.body, True))

    def _on_spawned(self, link: Link, entry: e.Spawned, _: Any) -> None:
        placed = self.registry.get(entry.key)
        if placed is None or placed.node != link.index:
            return
        placed.settled = True
        placed.answer(placed)
        if placed.stop:
            link.say(e.Stop(entry.key, placed.stop))

    def placed_gone(self, key: int, index: int) -> None:
        placed = self.registry.remove(key, index)
        if placed is not None:
            placed.answer(None)

    # -- where is it

    def locate(self, key: int) -> None:
        self.sought.add(key)
        self._ask(key, functools.partial(self._locate_here, key))

    def _locate_here(self, key: int, placed: Placed | None) -> None:
        if placed is None:
            self.located(key, 0, -1, self.known.past.get(key))
        else:
            self.located(key, placed.node, placed.incarnation, None)

    def _on_locate(self, link: Link, entry: e.Locate, _: Any) -> None:
        def answer(placed: Placed | None) -> None:
            if not link.up:
                return
            if placed is not None:
                link.say(e.Located(entry.key, placed.node, placed.incarnation))
                return
            failure = self.known.past.get(entry.key)
            packed = self.pack_failure(failure) if failure is not None else None
            link.say(e.Located(entry.key, 0, -1, packed))

        self._ask(entry.key, answer)

    def _ask(self, key: int, asker: Callable[[Placed | None], None]) -> None:
        index, incarnation, _ = origin_of(key)
        self.registry.ask(key, asker, index > 0 and self._is_up(index, incarnation))

    def _on_stop(self, link: Link, entry: e.Stop, _: Any) -> None:
        if isinstance(entry.to, int) and self.registry.get(entry.to) is not None:
            self.stop_unplaced(entry.to, entry.how)
            return
        cell = self.known.here(entry.to) if isinstance(entry.to, int) else None
        if cell is not None:
            end_cell(cell, entry.how)

    def stop_unplaced(self, key: int, how: str) -> None:
        placed = self.registry.get(key)
        if placed is None:
            return
        link = self.links.get(placed.node)
        if placed.settled and link is not None and link.up:
            link.say(e.Stop(key, how))
        else:
            placed.stop = how

    # -- workers come and go

    def _on_ready(self, link: Link, entry: e.Ready, _: Any) -> None:
        self.load[link.index] = 0.0
        self.ready(link.index, link.incarnation)
        self.place_homeless()

    def worker_died(self, index: int, incarnation: int, error: WorkerDied, final: bool) -> None:
        """Tells all processes, and starts the actors of a dead worker elsewhere."""
        self.load.pop(index, None)
        self.registry.unsettle(index)
        self.registry.origin_died(index, incarnation)
        packed = self.pack_failure(error)
        for link in self.links.values():
            if link.up and link.index != index:
                link.say(e.Down(index, incarnation, packed, final))
        for key in [k for k in self._answers if k[0] == index]:
            self._answers.pop(key).set_result(None)
        self.down(index, incarnation, error, final)
        if final:
            alive = [n for n in range(1, self.workers + 1) if n not in self.given_up]
            for number in self.registry.hopeless(alive):
                self._give_up(number, error)
        self.place_homeless()

    def _give_up(self, key: int, error: WorkerDied) -> None:
        placed = self.registry.remove(key)
        self.known.past[key] = error
        ref = self.known.refs.get(key)
        if ref is not None:
            self.endings.retire(ref, f"failed: WorkerDied: {error}", error)
        if placed is not None:
            placed.answer(None)

    def _on_fatal(self, link: Link, entry: e.Fatal, _: Any) -> None:
        self.life.supervisor.end_all(self.unpack_failure(link, entry.failure))

    def expects(self, index: int, incarnation: int) -> bool:
        return (
            incarnation == self.incarnation_of(index)
            and (index, incarnation) not in self._condemned
            and super().expects(index, incarnation)
        )

    def condemn(self, index: int, incarnation: int, why: str) -> None:
        """Has a worker process ended that cannot be talked to any more."""
        if (index, incarnation) not in self._condemned:
            self._condemned.add((index, incarnation))
            self.kill(index, incarnation, why)

    def _on_unreachable(self, link: Link, entry: e.Unreachable, _: Any) -> None:
        # Of two that accuse each other the one that was accused first goes.
        if entry.node > 0 and (link.index, link.incarnation) not in self._condemned:
            why = f"{self.name_of(link.index)} cannot talk to it: {entry.why}"
            self.condemn(entry.node, entry.incarnation, why)

    # -- quiet

    def _on_tally(self, link: Link, entry: e.Tally, _: Any) -> None:
        self.tallies[link.index, link.incarnation] = entry
        self.load[link.index] = float(entry.actors)
        waiter = self._answers.pop((link.index, entry.round), None)
        if waiter is not None and not waiter.done():
            waiter.set_result(entry)

    async def gather(self, order: Callable[[int], Any], round: int) -> list[e.Tally | None]:
        """Sends an order to every worker and waits for their tallies of that round."""
        waiters = []
        for link in list(self.links.values()):
            if link.up:
                waiter: asyncio.Future[e.Tally | None] = self.loop.create_future()
                self._answers[link.index, round] = waiter
                link.say(order(round))
                waiters.append(waiter)
        return list(await asyncio.gather(*waiters))

    async def quiet(self) -> None:
        """Waits until no message is under way in any process or between two of them.

        Two rounds of counting that agree, with as much received as sent, show it (Mattern 1987).
        """
        before: tuple[int, int] | None = None
        while True:
            round = self._round = self._round + 1
            await self.tally(round)
            tallies = await self.gather(e.Quiet, round)
            own = await self.tally(round)
            if None in tallies:
                before = None
                continue
            known = [own, *(t for t in tallies if t is not None)]
            sums = sum(t.sent for t in known), sum(t.received for t in known)
            if sums == before and sums[0] == sums[1]:
                return
            before = sums
