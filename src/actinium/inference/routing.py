"""Which replicas there are, as any number of nodes can tell each other in any order.

One entry per replica, written by the node it runs on; others may only remove it. Entries are
ordered by generation, then removal, then version, and the larger one holds: a join semilattice, so
copies that have heard the same are equal whatever was lost, late or doubled (Shapiro et al., *A
comprehensive study of convergent and commutative replicated data types*, 2011).

The interface that a cluster's nodes will stand on. Within one gateway nothing has to be replicated:
its first process alone says what is served, and each worker serves all of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

import msgspec

ReplicaState = Literal["loading", "serving", "draining", "stopped"]

Key = tuple[str, str]
"""Deployment and replica."""


class Load(msgspec.Struct, frozen=True, order=True):
    """What a replica's node last told of its load; the later ``stamp`` holds."""

    stamp: int
    inflight: int = 0
    queued: int = 0


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one replica.

    ``generation`` is new with each start of the replica; ``version`` counts its node's changes.
    ``capacity`` is how many requests it takes at once, ``weight`` its share among its like.
    """

    node: str
    generation: int
    version: int = 0
    removed: bool = False
    state: ReplicaState = "loading"
    capacity: int = 1
    weight: float = 1.0

    def rank(self) -> tuple[int, bool, int, bytes]:
        """The order of entries of one replica; bytes decide where a node wrote a version twice."""
        return self.generation, self.removed, self.version, msgspec.json.encode(self)


Table = Mapping[Key, tuple[Entry, Load]]
"""All there is to send to another node."""


def merged_tables(left: Table, right: Table) -> dict[Key, tuple[Entry, Load]]:
    """Both tables as one (RO-1): commutative, associative and idempotent, since ``max`` is."""
    whole = dict(left)
    for key, (entry, load) in right.items():
        mine = whole.get(key)
        if mine is not None:
            entry = max(mine[0], entry, key=Entry.rank)
            load = max(mine[1], load)
        whole[key] = entry, load
    return whole


class RoutingTable:
    """One node's copy.

    RO-1: a removed replica comes back with a new generation only. RO-2: between two reports of a
    replica's load, what this node sent there counts as well, and is counted back at its end.
    """

    def __init__(self, node: str) -> None:
        self.node = node
        self._table: dict[Key, tuple[Entry, Load]] = {}
        self._sent: dict[Key, tuple[int, int]] = {}  # stamp of the report, sent since

    def put(
        self, key: Key, *, generation: int, state: ReplicaState, capacity: int = 1,
        weight: float = 1.0,
    ) -> bool:  # fmt: skip
        """Writes a replica of this node; False where a newer generation is there, or this one was
        removed. Raises ValueError for a replica of another node."""
        known = self._table.get(key)
        version, load = 0, Load(0)
        if known is not None:
            before, load = known
            if before.generation > generation or (
                before.generation == generation and before.removed
            ):
                return False
            if before.generation == generation:
                if before.node != self.node:
                    raise ValueError(
                        f"replica {key[1]!r} of {key[0]!r} runs on {before.node!r}; "
                        f"{self.node!r} may only remove it"
                    )
                version = before.version + 1
        entry = Entry(
            node=self.node, generation=generation, version=version, state=state,
            capacity=capacity, weight=weight,
        )  # fmt: skip
        self._table[key] = entry, load
        return True

    def remove(self, key: Key) -> None:
        """The replica is gone, or its node is: what its node says of this generation means nothing
        from now on."""
        known = self._table.get(key)
        if known is not None:
            entry = msgspec.structs.replace(known[0], removed=True)
            self._table[key] = entry, known[1]
            self._sent.pop(key, None)

    def report(self, key: Key, load: Load) -> None:
        """The load of a replica of this node."""
        entry, before = self._table[key]
        self._table[key] = entry, max(before, load)

    def serving(self, deployment: str) -> Iterator[tuple[Key, Entry]]:
        """The replicas of a deployment that take requests, in a fixed order."""
        for key in sorted(self._table):
            entry = self._table[key][0]
            if key[0] == deployment and not entry.removed and entry.state == "serving":
                yield key, entry

    def sent(self, key: Key) -> None:
        """This node sent a request there."""
        stamp, number = self._since(key)
        self._sent[key] = stamp, number + 1

    def ended(self, key: Key) -> None:
        """One of them has ended. What a report has counted since is not counted back."""
        stamp, number = self._since(key)
        if number:
            self._sent[key] = stamp, number - 1

    def load(self, key: Key) -> int:
        """Requests at a replica as far as is known: those reported, and those sent since."""
        _, load = self._table[key]
        return load.inflight + load.queued + self._since(key)[1]

    def state(self) -> Table:
        """What to send to other nodes."""
        return dict(self._table)

    def merge(self, table: Table) -> None:
        """Takes in what another node knows."""
        self._table = merged_tables(self._table, table)

    def forget(self, keys: Iterable[Key]) -> None:
        """Drops removed replicas that every node has heard of."""
        for key in keys:
            known = self._table.get(key)
            if known is not None and known[0].removed:
                del self._table[key]

    def _since(self, key: Key) -> tuple[int, int]:
        known = self._table.get(key)
        stamp = known[1].stamp if known is not None else 0
        sent = self._sent.get(key)
        return sent if sent is not None and sent[0] == stamp else (stamp, 0)
