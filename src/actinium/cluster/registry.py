"""Which placed actor is where: kept by the first process, so that it can place them again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from .address import origin_of
from .place import Place, choose


class Placed:
    """One placed actor: what it is made from, where it is, and who asks for it meanwhile."""

    __slots__ = ("askers", "body", "cls", "incarnation", "name", "node", "place", "settled", "stop")

    def __init__(
        self, cls: str, body: bytes, node: int, incarnation: int, place: Place, name: str
    ) -> None:
        self.cls = cls
        self.body = body
        self.node = node
        self.incarnation = incarnation
        self.place = place
        self.name = name
        self.settled = node > 0
        self.stop = ""
        self.askers: list[Callable[[Placed | None], None]] = []

    def answer(self, placed: Placed | None) -> None:
        """Tells all who asked where it is; None: it is gone."""
        askers, self.askers = self.askers, []
        for asker in askers:
            asker(placed)


class Registry:
    """All placed actors of a system that are alive."""

    def __init__(self) -> None:
        self._placed: dict[int, Placed] = {}
        self._names: dict[str, int] = {}
        self._seen: dict[tuple[int, int], int] = {}
        self._early: dict[int, list[Callable[[Placed | None], None]]] = {}

    def __len__(self) -> int:
        return len(self._placed)

    def get(self, key: int) -> Placed | None:
        """The entry of a placed actor."""
        return self._placed.get(key)

    def named(self, name: str) -> tuple[int, Placed] | None:
        """The placed actor of that name."""
        key = self._names.get(name)
        return None if key is None else (key, self._placed[key])

    def add(self, key: int, placed: Placed) -> None:
        """Takes note of a new placed actor."""
        index, incarnation, serial = origin_of(key)
        self._seen[index, incarnation] = max(serial, self._seen.get((index, incarnation), 0))
        self._placed[key] = placed
        if placed.name:
            self._names.setdefault(placed.name, key)
        placed.askers.extend(self._early.pop(key, ()))

    def remove(self, key: int, node: int | None = None) -> Placed | None:
        """Strikes off an actor that has stopped at ``node``; None if it is elsewhere by now."""
        placed = self._placed.get(key)
        if placed is None or (node is not None and placed.node != node):
            return None
        del self._placed[key]
        if placed.name and self._names.get(placed.name) == key:
            del self._names[placed.name]
        return placed

    def ask(self, key: int, asker: Callable[[Placed | None], None], origin_alive: bool) -> None:
        """Calls ``asker`` with the entry once the actor is settled, with None once it is gone."""
        placed = self._placed.get(key)
        if placed is not None:
            if placed.settled:
                asker(placed)
            else:
                placed.askers.append(asker)
            return
        index, incarnation, serial = origin_of(key)
        if origin_alive and serial > self._seen.get((index, incarnation), 0):
            self._early.setdefault(key, []).append(asker)  # its registration is on its way
        else:
            asker(None)

    def origin_died(self, index: int, incarnation: int) -> None:
        """Registrations of that process that have not come by now will not come."""
        for key in [k for k in self._early if origin_of(k)[:2] == (index, incarnation)]:
            for asker in self._early.pop(key):
                asker(None)

    def unsettle(self, node: int) -> None:
        """All actors of a process have lost it."""
        for placed in self._placed.values():
            if placed.node == node:
                placed.node, placed.settled = 0, False

    def homeless(self, up: Iterable[int], load: dict[int, float]) -> list[tuple[int, Placed, int]]:
        """Actors that have no process, with the one of ``up`` each shall get."""
        nodes = list(up)
        found = []
        for key, placed in self._placed.items():
            if placed.node == 0:
                node = choose(placed.place, nodes, load)
                if node is not None:
                    load[node] = load.get(node, 0.0) + 1.0
                    found.append((key, placed, node))
        return found

    def hopeless(self, alive: Any) -> list[int]:
        """Keys of actors without a process whose place none of the ``alive`` workers can be."""
        return [
            key
            for key, placed in self._placed.items()
            if placed.node == 0 and choose(placed.place, alive, {}) is None
        ]
