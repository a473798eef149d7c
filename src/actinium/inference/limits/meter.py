"""How much of one per-minute limit is used."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from typing import Final

from .counters import Counters
from .shares import Shares

SPAN: Final = 61
"""Windows of one second that count: any 60 seconds lie within 61 of them."""

REGAIN_SECONDS: Final = 60.0
REGAIN: Final = 0.05


class Meter:
    """One limit per minute over a sliding span. No clock of its own: ``now`` in seconds.

    What is used never exceeds the limit in any 60 s, but for what :meth:`correct` finds out
    later; that is paid by later charges. ``limit`` None counts and never refuses. With
    ``shares`` this node uses no more than its own share of the limit.
    """

    __slots__ = ("_lowered", "_lowered_at", "_plain", "_told", "configured", "counters", "shares")

    def __init__(
        self, limit: int | None, node: str = "local", shares: Shares | None = None
    ) -> None:
        self.configured = limit
        self.counters = Counters(node)
        self.shares = shares
        self._plain = shares is None  # nothing but the configured limit holds
        self._told: int | None = None
        self._lowered: float | None = None
        self._lowered_at = 0.0

    def limit(self, now: float) -> int | None:
        """What holds now: the configured limit, or less as the upstream taught (LM-5)."""
        whole = self.whole(now)
        shares = self.shares
        if shares is None or whole is None:
            return whole
        if whole >= shares.limit:
            return shares.usable
        return shares.usable * whole // shares.limit

    def whole(self, now: float) -> int | None:
        """The same for all nodes together."""
        limit = self.configured
        if self._plain:
            return limit
        if self._told is not None:
            limit = self._told if limit is None else min(limit, self._told)
        if limit is not None and self._lowered is not None:
            clean = (now - self._lowered_at) // REGAIN_SECONDS
            part = self._lowered + REGAIN * clean
            if part >= 1:
                self._lowered = None
            else:
                limit = max(1, int(limit * part))
        return limit

    def share(self, shares: Shares) -> None:
        """From now on this node uses no more than its share."""
        self.shares = shares
        self._plain = False

    def used(self, now: float) -> int:
        """What counts now: of this node where it has a share, else of all."""
        used = self.total(now)
        return used if self.shares is None else self.counters.own

    def total(self, now: float) -> int:
        """What counts now, of all nodes as far as is known."""
        counters = self.counters
        first = int(now) - SPAN + 1
        if first > counters.first:
            counters.advance(first)
        return counters.own + counters.others

    def wait(self, now: float, amount: int, back: int = 0) -> float:
        """Seconds until an amount fits; 0 when it does. More than the limit fits when nothing
        else is used, but never more than a share, since others have the rest; ``inf`` where it
        cannot. ``back`` of what is used is taken as given back by then."""
        counters = self.counters
        first = int(now) - SPAN + 1
        if first > counters.first:
            counters.advance(first)
        limit = self.configured
        if not self._plain:
            limit = self.limit(now)
        elif limit is not None and counters.own + counters.others - back + amount <= limit:
            return 0.0  # the usual case
        if limit is None:
            return 0.0
        if self.shares is None:
            missing = counters.used - back + min(amount, limit) - limit
            return _until(now, missing, limit, counters.totals())
        wanted = min(amount, self.whole(now) or 0)
        return _until(now, counters.own - back + wanted - limit, limit, counters.own_totals())

    def hope(self, now: float, amount: int, back: int = 0) -> float:
        """Seconds until an amount fits into what all nodes together leave, as far as is known:
        if their rights came here."""
        used, limit = self.total(now), self.whole(now)
        if limit is None:
            return 0.0
        return _until(now, used - back + min(amount, limit) - limit, limit, self.counters.totals())

    def free_in(self, second: int) -> int:
        """Seconds, at most, until nothing of what is used counts any more."""
        latest = self.counters.latest
        return latest + SPAN - second if latest >= 0 else 0

    def charge(self, now: float, amount: int) -> int:
        """Counts an amount; returns its window, for :meth:`correct`."""
        window = int(now)
        self.counters.charge(window, amount)
        return window

    def correct(self, now: float, window: int, change: int) -> None:
        """An earlier charge was too small (above 0) or too large."""
        if change < 0:
            self.counters.refund(window, -change)
        else:
            # What a window that is over cannot take is paid now.
            self.counters.charge(max(window, int(now) - SPAN + 1), change)

    def told(self, now: float, limit: int | None, remaining: int | None) -> int:
        """What the upstream says; returns how much others have used with the same key."""
        if limit is not None and limit > 0:
            self._told = limit
            self._plain = False
        if limit is None or remaining is None:
            return 0
        outside = limit - remaining - self.total(now)
        if outside > 0:
            self.charge(now, outside)
            return outside
        return 0

    def configure(self, limit: int | None) -> None:
        """Another limit holds from now on, for this node alone; what was used counts."""
        self.configured = limit
        self.shares = None

    def unlearn(self) -> None:
        """Forgets what the upstream said of its limit."""
        self._told = self._lowered = None
        self._plain = self.shares is None

    def lower(self, now: float) -> None:
        """The upstream refused within our limit: half of it, then 5 % more per clean minute."""
        clean = (now - self._lowered_at) // REGAIN_SECONDS
        part = 1.0 if self._lowered is None else min(1.0, self._lowered + REGAIN * clean)
        self._lowered = max(0.25, part / 2)
        self._plain = False
        self._lowered_at = now


def _until(now: float, missing: int, limit: int, totals: Iterable[tuple[int, int]]) -> float:
    """Seconds until so much of what is used counts no more."""
    if missing <= 0 and limit > 0:
        return 0.0
    for window, total in totals:
        missing -= total
        if missing <= 0:
            return max(0.001, window + SPAN - now)
    return inf
