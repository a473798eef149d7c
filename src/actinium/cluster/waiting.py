"""Messages that wait for credit of a link, by priority."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from actinium.wire import Packed

from .letter import Letter

WEIGHTS = (8, 4, 2, 1)
"""Messages of each priority that leave in one round, as in a shard's order."""


class Waiting(NamedTuple):
    """A message without credit.

    ``make`` is called when it leaves, and says None if nobody wants it any more.
    """

    make: Callable[[], Any]
    packed: Packed
    letter: Letter

    @property
    def weight(self) -> int:
        """Bytes of it, the buffers beside it included."""
        return weight(self.packed)


def weight(packed: Packed) -> int:
    """Bytes of a message, the buffers beside it included."""
    return len(packed.body) + sum(len(b) for b in packed.buffers)


class Queue:
    """Four lanes, each first in, first out; in one round each may send its weight's worth.

    An ``end`` (the order to stop an actor) leaves after everything that waited before it,
    whatever its lane.
    """

    def __init__(self) -> None:
        self._lanes: tuple[deque[tuple[int, Waiting]], ...] = (deque(), deque(), deque(), deque())
        self._left = list(WEIGHTS)
        self._ends: deque[tuple[int, Callable[[], None]]] = deque()
        self._count = 0
        self._serial = 0
        self.bytes = 0

    def __len__(self) -> int:
        return self._count

    def put(self, message: Waiting) -> None:
        """Takes a message."""
        self._serial += 1
        self._count += 1
        self.bytes += message.weight
        self._lanes[message.letter.lane].append((self._serial, message))

    def pop(self) -> Waiting:
        """The message that leaves next; raises IndexError if none waits."""
        for _ in range(2):
            for rank, lane in enumerate(self._lanes):
                if lane and self._left[rank] > 0:
                    self._left[rank] -= 1
                    return self._take(lane)
            self._left = list(WEIGHTS)
        raise IndexError("nothing waits")

    def _take(self, lane: deque[tuple[int, Waiting]]) -> Waiting:
        _, message = lane.popleft()
        self._count -= 1
        self.bytes -= message.weight
        return message

    def after_all(self, end: Callable[[], None]) -> None:
        """Calls ``end`` once everything that waits now has left."""
        self._serial += 1
        self._ends.append((self._serial, end))

    def ends_due(self) -> None:
        """Calls the ends for which nothing waits any more."""
        while self._ends:
            oldest = min((lane[0][0] for lane in self._lanes if lane), default=self._serial + 1)
            if oldest < self._ends[0][0]:
                return
            self._ends.popleft()[1]()

    def drain(self) -> list[Letter]:
        """Takes all messages out; the ends are dropped."""
        self._ends.clear()
        letters = [message.letter for lane in self._lanes for _, message in lane]
        for lane in self._lanes:
            lane.clear()
        self._count = self.bytes = 0
        return letters
