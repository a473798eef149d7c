"""Placing actors: what ``system.spawn`` and ``system.entity`` do in every process of a system."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from actinium.core import Actor
from actinium.wire import name_of

from . import entries as e
from .address import placed_key
from .node import Node
from .place import Place, check_place, choose
from .spec import encode_spawn

if TYPE_CHECKING:
    from actinium.core import System


class PlacingNode(Node):
    """A node that places actors on the workers it knows of."""

    def __init__(self, system: System, index: int, incarnation: int, workers: int) -> None:
        super().__init__(system, index, incarnation, workers)
        self._serials = itertools.count(1)
        self._entity_names: dict[type, str] = {}
        self.load: dict[int, float] = {}
        """Actors per worker: what it reported last, and those placed since."""

    def workers_up(self) -> list[int]:
        """Workers an actor can be placed on now."""
        here = [self.index] if self.index else []
        return here + [n for n, link in self.links.items() if n and link.up]

    def spawn(self, cls: type[Any], /, *args: Any, **kwargs: Any) -> Any:
        """Starts an actor at ``place`` (default: the least loaded worker)."""
        place: Place = check_place(kwargs.pop("place", "any"), self.workers)
        if place == "local":
            return self.core.spawn(cls, *args, **kwargs)
        cls_name, body, name = encode_spawn(self.codec, cls, args, kwargs)
        if name is not None:
            self.check_free(name)
        key = placed_key(self.index, self.incarnation, next(self._serials))
        target = choose(place, self.workers_up(), self.load)
        path = f"/user/{name}" if name is not None else ""
        link = self.links.get(target) if target is not None else None
        if target is not None:
            self.load[target] = self.load.get(target, 0.0) + 1.0
        if target == self.index:
            self.register(key, cls_name, body, target, place, name)
            self.arrivals.place(key, cls_name, body, None)
            return self.known.ref(target, self.incarnation, key, path)
        self.register(key, cls_name, body, target or 0, place, name)
        if link is None:  # no worker for it is up now: it waits, and so do its messages
            return self.known.ref(0, -1, key, path)
        link.say(e.Spawn(key, cls_name, body))
        return self.known.ref(link.index, link.incarnation, key, path)

    def check_free(self, name: str) -> None:
        """Raises NameTaken if a placed actor of that name is alive, as far as is known here."""

    def register(
        self, key: int, cls: str, body: bytes, node: int, place: Place, name: str | None
    ) -> None:
        """Tells the first process where an actor was placed."""
        first = self.links.get(0)
        if first is not None:
            link = self.links.get(node)
            incarnation = (
                self.incarnation
                if node == self.index
                else (link.incarnation if link is not None else -1)
            )
            first.say(e.Register(key, cls, body, node, incarnation, place, name or ""))

    def entity(self, cls: type[Actor], key: str) -> Any:
        """A ref to the entity of a key; None where its place is this process."""
        name = self._entity_names.get(cls)
        if name is None:
            name = self._entity_names[cls] = name_of(cls)
        owner = self.owner(name, key)
        if owner == self.index:
            return None
        return self.known.ref(owner, 0, (name, key))

    def lookup(self, path: str) -> Any:
        """Placed actors by path are known to the first process only."""
        return None

    def states(self) -> tuple[Any, ...]:
        """Known to the first process only."""
        return ()
