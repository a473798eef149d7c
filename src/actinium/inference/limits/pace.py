"""How fast a line moves, learned from those who were let in."""

from __future__ import annotations

from math import exp
from typing import Final

_MEMORY: Final = 10.0
"""Seconds after which what was seen counts a third."""

_SAMPLES: Final = 8
"""Who was let in before the pace is believed."""


class Pace:
    """Cost per second, as an exponential mean over the time in which somebody waited."""

    __slots__ = ("_cost", "_last", "_rate", "_seen")

    def __init__(self) -> None:
        self._rate = 0.0
        self._cost = 0.0
        self._last = 0.0
        self._seen = 0

    def begin(self, now: float) -> None:
        """The first one waits; the time before says nothing."""
        self._last = now
        self._cost = 0.0

    def let_in(self, now: float, cost: float) -> None:
        """One that waited was let in."""
        self._seen += 1
        passed = now - self._last
        if passed > 0:
            if self._cost:  # let in at the moment before, for all the time since
                weight = 1.0 - exp(-passed / _MEMORY) if self._rate else 1.0
                self._rate += weight * (self._cost / passed - self._rate)
            self._last = now
            self._cost = 0.0
        self._cost += cost

    def seconds(self, cost: float) -> float | None:
        """How long so much takes; None where that is not known yet."""
        if self._seen < _SAMPLES or self._rate <= 0:
            return None
        return cost / self._rate
