"""What has a share of a limit beside meters: places of requests at once, and money."""

from __future__ import annotations

from collections.abc import Callable

from .budget import Period
from .limiter import Limiter
from .shares import Shares


class Places:
    """The places of a limiter: a right is one request at once."""

    def __init__(self, limiter: Limiter) -> None:
        self._limiter = limiter
        self.shares: Shares | None = None

    def share(self, shares: Shares) -> None:
        """From now on these are its rights."""
        self.shares = shares

    def used(self, now: float) -> int:
        return self._limiter.running


class Money:
    """One period of a purse: a right is a nano-USD. ``clock`` is Unix time."""

    def __init__(self, period: Period, clock: Callable[[], float]) -> None:
        self._period = period
        self._clock = clock
        self.shares: Shares | None = None

    def share(self, shares: Shares) -> None:
        """From now on these are its rights."""
        self.shares = shares

    def used(self, now: float) -> int:
        self._period.used(self._clock())
        return self._period.counters.own

    def gone(self, amount: int) -> bool:
        """Whether so much is not there in all processes together, as far as is known."""
        return self._period.used(self._clock()) + amount > self._period.limit
