"""The ends of actors elsewhere: asked for, watched, and told here once."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from actinium.core.signals import Terminated
from actinium.errors import WorkerDied

from . import entries as e
from .address import PLACED, is_placed
from .link import Link
from .way import Way

if TYPE_CHECKING:
    from .node import Node


class Endings:
    """Stops actors of other processes, and tells those who watch here when they have ended."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._later: list[Callable[[], None]] = []  # for processes that are not connected yet
        self.takers: dict[type, Callable[[Link, Any, Any], None]] = {e.Gone: self._gone}

    def stop(self, way: Way, how: str) -> None:
        """Stops an actor elsewhere, after the messages sent before."""
        if way.reason is not None:
            return
        way.stopping = how
        link = self._node.link_for(way)
        if link is None:
            if isinstance(way.to, int) and way.to in self._node.cells:
                end_cell(self._node.cells[way.to], how)
            elif isinstance(way.to, int) and way.to >= PLACED:
                self._node.stop_unplaced(way.to, how)
            else:
                self._once_joined(way, functools.partial(self.stop, way, how))
            return
        if link.waiting:
            link.waiting.after_all(functools.partial(link.say, e.Stop(way.to, how)))
        else:
            link.say(e.Stop(way.to, how))

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
        link = self._node.link_for(way)
        if link is not None:
            link.say(e.Watch(way.to))
        elif isinstance(way.known, tuple):
            self._once_joined(way, functools.partial(self._want_again, way))
        elif isinstance(way.to, int) and way.to in self._node.cells:
            then = functools.partial(self.ended_here, way.to)
            self._node.arrivals.tell_end(self._node.cells[way.to], then)
        elif isinstance(way.to, int):
            self._node.locate(way.to)

    def _want_again(self, way: Way) -> None:
        way.asked_gone = False
        self.want_gone(way)

    def _once_joined(self, way: Way, what: Callable[[], None]) -> None:
        """Does it when the process of an actor is connected, unless that has ended."""
        if (way.node_index, way.node_incarnation) not in self._node.gone_nodes:
            self._later.append(what)
            return
        ref = self._node.known.refs.get(way.known)
        if ref is not None:
            self.retire_with_process(ref)

    def waits(self) -> bool:
        """Whether something waits for a process to be connected."""
        return bool(self._later)

    def joined(self) -> None:
        """A process came or went: what waited for it is tried again."""
        later, self._later = self._later, []
        for what in later:
            what()

    def ended_here(self, to: int, reason: str) -> None:
        """A placed actor this process holds a remote ref to has ended in this process."""
        ref = self._node.known.refs.get(to)
        if ref is not None:
            self.retire(ref, reason, None)

    def _gone(self, link: Link, entry: e.Gone, _: Any) -> None:
        movable = isinstance(entry.id, tuple) or entry.id >= PLACED
        known: Any = entry.id if movable else (link.index, link.incarnation, entry.id)
        failure = self._node.failure_of(link, entry.failure)
        ref = self._node.known.refs.get(known)
        if ref is not None:
            if isinstance(entry.id, tuple):  # an entity comes back with its next message
                self._entity_gone(ref, entry.reason)
            else:
                self.retire(ref, entry.reason, failure)
        if isinstance(entry.id, int) and entry.id >= PLACED:
            self._node.where.pop(entry.id, None)
            self._node.sending.release(entry.id)
            self._node.placed_gone(entry.id, link.index)

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

    def retire_with_process(self, ref: Any) -> None:
        """An actor that cannot move is gone with its process."""
        way: Way = ref.extra
        ended = self._node.gone_nodes.get((way.node_index, way.node_incarnation))
        self.retire(ref, "failed: WorkerDied", ended[0] if ended is not None else None)

    def _notice(self, ref: Any, way: Way) -> None:
        reason = way.reason or "stopped"
        watchers, way.watchers = way.watchers, None
        for watcher in watchers or ():
            watcher.deliver(Terminated(ref, reason))
        waiting, way.waiting_for_end = way.waiting_for_end, []
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(reason)

    def down(self, index: int, incarnation: int, error: WorkerDied) -> None:
        """A process has ended, and with it the actors that cannot move."""
        for known, ref in list(self._node.known.refs.items()):
            way: Way = ref.extra
            if way.node_index != index or way.node_incarnation != incarnation:
                continue
            if isinstance(known, tuple) and len(known) == 3:
                self.retire(ref, f"failed: WorkerDied: {error}", error)
            elif is_placed(known):
                if way.stopping:  # perhaps it died before it got the order
                    self.stop(way, way.stopping)
                if way.asked_gone:
                    way.asked_gone = False
                    self.want_gone(way)


def end_cell(cell: Any, how: str) -> None:
    """Stops a local actor as asked from elsewhere."""
    if how == "kill":
        cell.kill()
    else:
        cell.stop(drain=how == "drain")
