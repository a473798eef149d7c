"""Circles of asks through several processes: found, and refused by name.

An actor that waits for the answer of an ask and takes no other message meanwhile is an edge to
the actor it asked. Who begins to wait, or gets an ask while it waits itself, has the edges
followed: here by looking, elsewhere by a probe that goes on from process to process (edge chasing:
Chandy, Misra, Haas 1983). A probe names the ask it goes along. Where that was answered
meanwhile it ends, and where it comes back to the ask it began with there is a circle: each edge
was there when the probe passed, and none can go away before the next one does.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from actinium import _native
from actinium.core.remote import RemoteRef
from actinium.core.undelivered import circle_of

from . import entries as e

if TYPE_CHECKING:
    from .link import Link
    from .node import Node

DEEPEST = 16
"""Actors in the longest circle that is found."""

WIDEST = 64
"""Edges to other processes that are followed from one process at most."""

Origin = tuple[int, int, int]
"""The ask a search began with: process, incarnation, number there."""


class Circles:
    """Finds circles of asks that lead through this process."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._local: dict[int, _native.Reply] = {}  # asks within this process, below 0
        self._next = itertools.count(-1, -1)
        node.life.led_away = self.waits  # type: ignore[method-assign]
        node.core.set_hooks(node.life)

    def waits(self, asker: Any, reply: _native.Reply) -> None:
        """An actor here begins to wait for what leads to another process."""
        node = self._node
        way = node.asked.way_of(reply)
        if way is None:  # of an actor here, which waits for another process itself
            number = next(self._next)
            self._local[number] = reply
            reply.add_done_callback(lambda _: self._local.pop(number, None))
            self._follow((node.index, node.incarnation, number), reply, [])
        elif way[2]:  # else the ask itself is the first step: see ``asked``
            self._follow((node.index, node.incarnation, way[0]), reply, [])

    def asked(self, link: Link, number: int, reply: _native.Reply) -> None:
        """An ask came for an actor here that waits itself."""
        self._follow((link.index, link.incarnation, number), reply, [])

    def probed(self, link: Link, entry: e.Probe, _: Any) -> None:
        """A search goes on here."""
        reply = link.serving.get(entry.edge)
        if isinstance(reply, _native.Reply) and not reply.done():
            origin = (entry.node, entry.incarnation, entry.ask)
            self._follow(origin, reply, entry.path)

    def _follow(self, origin: Origin, reply: _native.Reply, path: list[str]) -> None:
        seen = set()
        far = 0
        steps = [(reply, path)]
        while steps:
            reply, path = steps.pop()
            target = reply.target
            if len(path) >= DEEPEST or target in seen:
                continue
            if isinstance(target, RemoteRef):
                way = self._node.asked.way_of(reply)
                if way is not None and way[1].up and far < WIDEST:
                    far += 1
                    way[1].say(e.Probe(*origin, way[0], path))
                continue
            seen.add(target)
            path = [*path, f"{target.path} ({self._node.name_of(self._node.index)})"]
            for waited_for in target.blocked_on() or ():
                if self._is(origin, waited_for):
                    waited_for.reject(circle_of([path[-1], *path]))
                else:
                    steps.append((waited_for, path))

    def _is(self, origin: Origin, reply: _native.Reply) -> bool:
        node = self._node
        if origin[:2] != (node.index, node.incarnation):
            return False
        known = node.asked.reply_of(origin[2]) if origin[2] > 0 else self._local.get(origin[2])
        return known is reply
