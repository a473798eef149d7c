"""Which replica of several: the one that knows the prompt's beginning, unless it is too busy."""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Final

from ..request import Message

BLOCK: Final = 64
"""Characters of a block of the prompt; about 16 tokens."""

BLOCKS: Final = 100_000
"""Blocks remembered per replica; the least recently used go first."""

_LEAST: Final = 4
"""Blocks that must be known for it to matter."""


def blocks_of(tenant: str, messages: Iterable[Message], prompt: str | None) -> tuple[int, ...]:
    """The prompt as a chain of hashes: equal beginnings have equal first elements.

    Keyed by tenant, so that one tenant's timing tells nothing of another's prompts.
    """
    text = [tenant, "\0"]
    for message in messages:
        text += (message.role, "\0", message.text(), "\0")
    if prompt is not None:
        text.append(prompt)
    whole = "".join(text)
    chain = 0
    found = []
    for at in range(0, len(whole) - BLOCK + 1, BLOCK):
        chain = hash((chain, whole[at : at + BLOCK]))
        found.append(chain)
    return tuple(found)


class PrefixIndex:
    """Which blocks a replica has seen."""

    __slots__ = ("_known", "_size")

    def __init__(self, size: int = BLOCKS) -> None:
        self._size = size
        self._known: OrderedDict[int, None] = OrderedDict()

    def matched(self, blocks: Sequence[int]) -> int:
        """How many of the first blocks are known."""
        count = 0
        for block in blocks:
            if block not in self._known:
                break
            count += 1
        return count

    def add(self, blocks: Sequence[int]) -> None:
        """The replica gets a request with these."""
        known = self._known
        # From the end: the beginning, shared by the most, is the most recent.
        for block in reversed(blocks):
            known[block] = None
            known.move_to_end(block)
        while len(known) > self._size:
            known.popitem(last=False)


class Chooser:
    """Chooses among replicas by score = known part of the prompt - relative load.

    Prompts that nobody knows go to the less loaded of two drawn at random (Mitzenmacher, *The
    power of two choices*, 2001): such load spreads evenly, and no replica gets more because it
    got more before. A replica well over the others' load loses what it is known for.
    """

    def __init__(self, replicas: int, rng: random.Random | None = None) -> None:
        self._indexes = [PrefixIndex() for _ in range(replicas)]
        self._random = rng or random.Random()

    def choose(
        self, blocks: Sequence[int], loads: Sequence[int], among: Sequence[int] | None = None
    ) -> int:
        """The place of the replica to take; ``loads`` are requests on each, by place.

        ``among`` names the places that can serve at all (None: all).
        """
        places = range(len(self._indexes)) if among is None else among
        best = self._best(blocks, loads, places)
        if best is None:
            best = self._of_two(loads, places)
        self._indexes[best].add(blocks)
        return best

    def _best(
        self, blocks: Sequence[int], loads: Sequence[int], places: Sequence[int]
    ) -> int | None:
        mean = sum(loads[place] for place in places) / len(places)
        top: list[int] = []
        top_score = 0.0
        for place in places:
            load = loads[place]
            if load > 1.5 * mean and load > mean + 8:
                continue
            known = self._indexes[place].matched(blocks)
            if known < _LEAST or known < 0.1 * len(blocks):
                continue
            score = known / len(blocks) - (load - mean) / max(1.0, mean)
            if not top or score > top_score:
                top, top_score = [place], score
            elif score == top_score:
                top.append(place)
        # One that is so busy that an idle replica is the better choice has no advantage.
        idle = (mean - min(loads[place] for place in places)) / max(1.0, mean)
        if not top or top_score < idle:
            return None
        return self._of_two(loads, top)

    def _of_two(self, loads: Sequence[int], places: Sequence[int]) -> int:
        if len(places) == 1:
            return places[0]
        one, two = self._random.sample(list(places), 2)
        return one if loads[one] <= loads[two] else two
