"""How many of a deployment's requests may be retries."""

from __future__ import annotations

from collections import deque
from typing import Final

WINDOW_SECONDS: Final = 10.0
ALWAYS: Final = 3


class RetryBudget:
    """At most ``share`` of the calls of 10 s, and 3, are retries (RT-1).

    Without it every client's retries meet an upstream that is failing already, several fold.
    """

    __slots__ = ("_calls", "_retries", "share")

    def __init__(self, share: float) -> None:
        self.share = share
        self._calls: deque[float] = deque()
        self._retries: deque[float] = deque()

    def called(self, now: float) -> None:
        """A request that is no retry was sent."""
        self._calls.append(now)
        self._trim(now)

    def try_retry(self, now: float) -> bool:
        """Whether one more retry is within the budget; counts it if so."""
        self._trim(now)
        if len(self._retries) >= ALWAYS + self.share * len(self._calls):
            return False
        self._retries.append(now)
        return True

    def _trim(self, now: float) -> None:
        for times in (self._calls, self._retries):
            while times and times[0] <= now - WINDOW_SECONDS:
                times.popleft()
