"""Money that may be spent: reserved before, settled after, given back where nothing was used."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from actinium._native import Bound, Charge
from actinium.errors import BudgetExceeded

from .counters import Counters
from .policy import Budget
from .prices import NANO
from .shares import Shares

if TYPE_CHECKING:
    from .sharing import Group

_MINUTES: Final = 60

_log = logging.getLogger("actinium.budget")


class Period:
    """What was spent in an hour, a day or a month; windows are minutes or the period itself.

    ``window`` is that of the time given to :meth:`turn` last; it lasts from ``since`` to ``until``.
    """

    __slots__ = ("_grain", "counters", "kind", "limit", "shares", "since", "until", "window")

    def __init__(self, kind: str, limit: float, node: str) -> None:
        self.kind = kind
        self.limit = round(limit * NANO)
        self.counters = Counters(node)
        self.shares: Shares | None = None
        self._grain = 60 if kind == "hour" else 86400  # of Unix time, which has no leap seconds
        self.since = self.until = 0.0
        self.window = -1

    def turn(self, now: float) -> None:
        """Goes on to the window of a time."""
        begin = int(now // self._grain)
        self.since = float(begin * self._grain)
        self.until = self.since + self._grain
        self.window, first = windows_of(self.kind, now)
        self.counters.advance(first)

    def used(self, now: float) -> int:
        if not self.since <= now < self.until:
            self.turn(now)
        return self.counters.used

    def lacks(self, now: float, amount: int) -> bool:
        """Whether an amount does not fit: into the limit, or where several have it into the share
        of this one."""
        used, shares = self.used(now), self.shares
        if shares is None:
            return used + amount > self.limit
        return self.counters.own + amount > shares.usable

    def resets_in(self, now: float, amount: int) -> float:
        """Seconds until an amount fits, as far as is known now."""
        if self.kind == "hour":
            missing = self.used(now) + amount - self.limit
            for window, total in self.counters.totals():
                missing -= total
                if missing <= 0:
                    return max(1.0, (window + _MINUTES) * 60 - now)
            return 3600.0
        at = datetime.fromtimestamp(now, UTC)
        day = at.replace(hour=0, minute=0, second=0, microsecond=0)
        if self.kind == "day":
            end = day + timedelta(days=1)
        else:
            end = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
        return max(1.0, (end - at).total_seconds())


def windows_of(kind: str, now: float) -> tuple[int, int]:
    """The window of a time, and the first one that counts then: minutes for an ``hour``, else the
    ``day`` or the ``month``."""
    if kind == "hour":
        return (minute := int(now // 60)), minute - _MINUTES + 1
    if kind == "month":
        at = datetime.fromtimestamp(now, UTC)
        return (month := at.year * 12 + at.month - 1), month
    return (day := int(now // 86400)), day


Reservation = Charge
"""reserved -> settled | released, once; what comes later means nothing (BG-1).

``settle(now, cost)`` says what it cost in nano-USD, whatever the time, ``release()`` that it cost
nothing; both are False where it has ended before. ``amount`` is what was reserved.
"""


class Purse:
    """The budget of one scope, such as ``deployment:chat`` or ``tenant:acme``.

    BG-1: reserved and settled together stay within the limits, but for answers that turn out
    dearer than the estimate they were reserved with. ``clock`` is Unix time in seconds.
    ``state`` and ``merge`` are those of :class:`Counters`, by period. ``group`` are its shares,
    where several processes have this budget together.
    """

    def __init__(
        self, scope: str, budget: Budget, *, node: str = "local",
        clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self.scope = scope
        self.budget = budget
        self.clock = clock
        self._warned = False
        self._group: Group | None = None
        self._bound = Bound()
        self._since = self._until = 0.0
        named = {"hour": budget.per_hour, "day": budget.per_day, "month": budget.per_month}
        self.periods = [Period(k, v, node) for k, v in named.items() if v is not None]

    @property
    def reserved(self) -> int:
        """Nano-USD set aside for what has not ended."""
        return self._bound.held(0)

    @property
    def settled(self) -> int:
        """Nano-USD that were spent here."""
        return self._bound.settled

    @property
    def group(self) -> Group | None:
        """Its shares."""
        return self._group

    @group.setter
    def group(self, group: Group) -> None:
        self._group = group
        self._bound.touched = group.touch

    def check(self, amount: int) -> BudgetExceeded | None:
        """Why so many nano-USD cannot be reserved now, if so."""
        return self._check(amount, self.clock())

    def _check(self, amount: int, now: float) -> BudgetExceeded | None:
        for period in self.periods:
            if period.lacks(now, amount):
                return BudgetExceeded(
                    self.scope, period.used(now) / NANO, period.limit / NANO, period.kind,
                    period.resets_in(now, amount),
                )  # fmt: skip
        return None

    def reserve(self, amount: int, now: float | None = None) -> Reservation:
        """Sets nano-USD aside; ``now`` is the clock's time, for who knows it. Raises BudgetExceeded
        unless the budget only warns."""
        if now is None:
            now = self.clock()
        if not self._since <= now < self._until:
            self._turn(now)
        if self._group is None:
            made = self._bound.take(now, amount)
            if made is not None:
                self._warned = False
                return made
        beyond = any(period.lacks(now, amount) for period in self.periods)
        if beyond:
            self._go_beyond(amount, now)
        self._warned = beyond
        return self._bound.force(now, amount)

    def _turn(self, now: float) -> None:
        """Goes on to the windows of a time."""
        for period in self.periods:
            period.turn(now)
        self._since = max(period.since for period in self.periods)
        self._until = min(period.until for period in self.periods)
        self._bound.arm([(p.counters, 0, p.limit, p.window) for p in self.periods])

    def _go_beyond(self, amount: int, now: float) -> None:
        """More than there is: raises, or warns once until it fits again."""
        error = self._check(amount, now)
        assert error is not None
        if self.budget.on_exceeded != "warn":
            raise error
        if not self._warned:
            _log.warning("%s", error)

    def state(self) -> dict[str, list[tuple[str, int, int, int]]]:
        """What was spent, by period, as (node, window, charged, given back): for :meth:`merge`."""
        return {
            period.kind: [(node, window, *entry)
                          for (node, window), entry in period.counters.state().items()]
            for period in self.periods
        }  # fmt: skip

    def merge(self, state: Mapping[str, Sequence[tuple[str, int, int, int]]]) -> None:
        """Takes in what another purse of this scope knows, of any node and any time (LM-1)."""
        now = self.clock()
        for period in self.periods:
            period.used(now)  # forgets the windows that are over, so that they stay so
            rows = state.get(period.kind, ())
            period.counters.merge({(node, w): (a, b) for node, w, a, b in rows})

    def go_on(self, before: Purse) -> None:
        """Goes on with what another purse of this scope counts: what that one has reserved is
        settled for both."""
        counters = {period.kind: period.counters for period in before.periods}
        for period in self.periods:
            period.counters = counters.get(period.kind, period.counters)
        self._until = 0.0

    def used_ratio(self) -> float:
        """The used part of the tightest limit."""
        now = self.clock()
        return max(period.used(now) / period.limit for period in self.periods)
