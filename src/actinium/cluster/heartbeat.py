"""Who has been silent for too long: a pure decision over what was heard when."""

from __future__ import annotations

from collections.abc import Mapping


class Silence:
    """Counts how long each process has not shown that its event loop turns.

    Looked at every ``period`` seconds. Time in which the looking process itself stood still
    counts as one period at most, since it could not hear anything either.
    """

    def __init__(self, period: float, limit: float) -> None:
        self._period = period
        self._limit = limit
        self._silent: dict[int, float] = {}
        self._looked = float("-inf")

    def look(self, now: float, heard: Mapping[int, float]) -> list[int]:
        """Those of ``heard`` (when each was last heard) that were silent for the limit."""
        passed = min(now - self._looked, self._period)
        before, self._looked = self._looked, now
        self._silent = {
            index: 0.0 if at > before else self._silent.get(index, 0.0) + passed
            for index, at in heard.items()
        }
        if not self._limit:
            return []
        return [index for index, seconds in self._silent.items() if seconds >= self._limit]
