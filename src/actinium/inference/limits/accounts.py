"""Who used what: money and tokens by tenant, key and deployment."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping

import msgspec

from actinium.errors import ConfigError

from ..chunk import Usage
from .budget import Purse
from .policy import Budget

DAY = 86_400
"""Seconds; a day of Unix time is one of UTC."""


Spent = dict[str, dict[str, list[tuple[str, int, int, int]]]]
"""By scope and kind of period: (node, window, charged, given back)."""


class Totals(msgspec.Struct):
    """Sums over answers. ``cost`` is in nano-USD; ``estimated`` answers were counted here, since
    their wire told no usage."""

    requests: int = 0
    input: int = 0
    cached: int = 0
    output: int = 0
    cost: int = 0
    estimated: int = 0

    def add(self, other: Totals) -> None:
        """Adds all of another one's sums."""
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


class Line(msgspec.Struct, frozen=True):
    """What the totals are of; ``day`` counts from 1970-01-01, an empty text is nobody's."""

    day: int
    tenant: str
    key: str
    deployment: str


class Accounts:
    """The purses of tenants and keys by scope (``tenant:acme``, ``key:web``), the weights of
    tenants in fair queues, and what was used. ``clock`` is Unix time in seconds.

    Raises ConfigError for a budget's scope that cannot be one.
    """

    def __init__(
        self, budgets: Mapping[str, Budget] | None = None, *,
        clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self.clock = clock
        self.purses: dict[str, Purse] = {}
        self.weights: dict[str, float] = {}
        self._usage: dict[tuple[int, str, str, str], Totals] = {}
        for scope, budget in (budgets or {}).items():
            self.open(scope, budget)

    def open(self, scope: str, budget: Budget) -> Purse:
        """Makes the purse of a scope; one that is there already stays, with its budget."""
        kind, _, name = scope.partition(":")
        if kind not in ("tenant", "key") or not name:
            raise ConfigError(
                f"budgets: the scope {scope!r} is neither 'tenant:NAME' nor 'key:NAME'; the budget "
                "of a deployment is its own field"
            )
        purse = self.purses.get(scope)
        if purse is None:
            purse = self.purses[scope] = Purse(scope, budget, clock=self.clock)
        return purse

    def used(
        self, tenant: str | None, key: str | None, deployment: str, usage: Usage, cost: int
    ) -> None:
        """Counts one answer, of ``cost`` nano-USD."""
        at = (int(self.clock()) // DAY, tenant or "", key or "", deployment)
        totals = self._usage.get(at)
        if totals is None:
            totals = self._usage[at] = Totals()
        totals.requests += 1
        totals.input += usage.input
        totals.cached += usage.cached
        totals.output += usage.output
        totals.cost += cost
        if usage.source == "estimated":
            totals.estimated += 1

    def usage(self, day: int | None = None) -> Iterator[tuple[Line, Totals]]:
        """All that was used, or that of one day."""
        for at, totals in self._usage.items():
            if day is None or at[0] == day:
                yield Line(*at), totals

    def take(self) -> list[tuple[Line, Totals]]:
        """All that was used, which is another one's to keep from now on."""
        taken = list(self.usage())
        self._usage = {}
        return taken

    def spent(self) -> Spent:
        """What was spent of all purses."""
        return {scope: purse.state() for scope, purse in self.purses.items()}

    def restore(self, spent: Spent) -> None:
        """Takes in what was spent of the purses that are there."""
        for scope, state in spent.items():
            if scope in self.purses:
                self.purses[scope].merge(state)

    def put(self, line: Line, totals: Totals) -> None:
        """Adds what an earlier process counted."""
        at = (line.day, line.tenant, line.key, line.deployment)
        self._usage.setdefault(at, Totals()).add(totals)

    def forget(self, before: int) -> None:
        """Drops the days before one."""
        self._usage = {at: totals for at, totals in self._usage.items() if at[0] >= before}
