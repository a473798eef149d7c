"""Where an actor shall live: pure decisions over what is known of the workers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

import msgspec

from actinium.errors import UsageError


class ByKey(msgspec.Struct, frozen=True, tag="key"):
    """Places equal keys on one worker, and moves few of them when workers come and go."""

    key: str


Place = int | str | ByKey
"""``"any"`` (the least loaded worker), ``"local"`` (this process), a worker's number from 1 on,
or ``ByKey(...)``; the same of shards, with ``"local"`` for the shard whose thread it is."""


def check_place(place: object, workers: int, what: str = "a worker") -> Place:
    """The place if it is one; raises UsageError."""
    if isinstance(place, ByKey) or place in ("any", "local"):
        return place
    if isinstance(place, int) and not isinstance(place, bool) and 1 <= place <= workers:
        return place
    raise UsageError(
        f'place={place!r}: expected "any", "local", the number of {what} (1 to {workers}) or '
        "ac.ByKey(...)"
    )


def rendezvous(key: str, nodes: Iterable[int]) -> int:
    """The node of a key: the one whose hash with it is highest (Thaler, Ravishankar 1996)."""
    raw = key.encode()
    return max(
        nodes,
        key=lambda node: hashlib.blake2b(raw, digest_size=8, salt=node.to_bytes(4, "big")).digest(),
    )


def choose(place: Place, up: Iterable[int], load: Mapping[int, float]) -> int | None:
    """The worker for a place among those that are up; None if it has to wait for one."""
    nodes = sorted(up)
    if isinstance(place, int):
        return place if place in nodes else None
    if not nodes:
        return None
    if isinstance(place, ByKey):
        return rendezvous(place.key, nodes)
    return min(nodes, key=lambda node: (load.get(node, 0.0), node))
