"""How many of a deployment's requests may be retries."""

from __future__ import annotations

from typing import Final

from .counters import Counters

SECONDS: Final = 10
ALWAYS: Final = 3


class RetryBudget:
    """At most ``share`` of the calls of 10 s, and 3, are retries (RT-1).

    Without it every client's retries meet an upstream that is failing already, several fold. The
    10 s are counted in steps of one.
    """

    __slots__ = ("_calls", "_retries", "share")

    def __init__(self, share: float) -> None:
        self.share = share
        self._calls = Counters()
        self._retries = Counters()

    def called(self, now: float) -> None:
        """A request that is no retry was sent."""
        second = int(now)
        self._calls.advance(second - SECONDS + 1)
        self._calls.charge(second, 1)

    def try_retry(self, now: float) -> bool:
        """Whether one more retry is within the budget; counts it if so."""
        second = int(now)
        for counters in (self._calls, self._retries):
            counters.advance(second - SECONDS + 1)
        if self._retries.used >= ALWAYS + self.share * self._calls.used:
            return False
        self._retries.charge(second, 1)
        return True
