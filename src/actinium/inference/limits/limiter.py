"""All limits of one deployment together: what a request needs of each, or how long to wait."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import msgspec

from actinium._native import Bound, Charge

from .headers import Told
from .meter import SPAN, Meter
from .policy import RateLimits

if TYPE_CHECKING:
    from .sharing import Group

KINDS: Final = ("rpm", "tpm", "input_tpm", "output_tpm")


class Need(msgspec.Struct, frozen=True, gc=False):
    """What a request uses, estimated or real: tokens in and out."""

    input: int
    output: int

    @property
    def amounts(self) -> tuple[int, int, int, int]:
        """What it is of each of ``KINDS``."""
        taken, given = self.input, self.output
        return 1, taken + given, taken, given

    @property
    def cost(self) -> int:
        """For fair shares: a token out takes about as long as two in."""
        return self.input + 2 * self.output


class Demand(NamedTuple):
    """What several requests need together."""

    requests: int
    input: int
    output: int

    def plus(self, need: Need, requests: int = 1) -> Demand:
        """With one more."""
        return Demand(self.requests + requests, self.input + need.input, self.output + need.output)

    def less(self, need: Need) -> Demand:
        """Without one."""
        return self.plus(Need(-need.input, -need.output), -1)

    def of(self, kind: str) -> int:
        """How much that is of a limit."""
        match kind:
            case "tpm":
                return self.input + self.output
            case "input_tpm":
                return self.input
            case "output_tpm":
                return self.output
        return self.requests


class Held(Protocol):
    """What one request was charged; settled or released once, then it means nothing."""

    @property
    def open(self) -> bool:
        """Whether it has not ended."""

    def settle(self, now: float, /, *amounts: int) -> bool:
        """It has used so much, as ``Need.amounts``; False where it has ended before."""

    def release(self) -> bool:
        """It never reached the upstream; False where it has ended before."""


class Allowance(Protocol):
    """What a gate asks: :class:`Limiter` within a process, and for limits that several share
    :class:`actinium.inference.limits.shared.SharedLimiter`."""

    @property
    def running(self) -> int: ...

    @property
    def concurrent(self) -> int | None: ...

    def wait(self, now: float, need: Need) -> float: ...

    def least_wait(self, now: float, need: Need) -> float: ...

    def due(self, now: float, need: Need) -> float: ...

    def seek(self, need: Need) -> None: ...

    def try_take(self, now: float, need: Need) -> Held | None: ...

    def take(self, now: float, need: Need) -> Held: ...

    def learn(self, now: float, told: Mapping[str, Told]) -> float: ...

    def refused(self, now: float) -> None: ...

    def used_ratio(self, now: float) -> dict[str, float]: ...


class Limiter:
    """Limits within one process (LM-4: every charge is settled or given back).

    Nothing waits here: :meth:`wait` says for how long, :meth:`take` charges. ``most`` bounds
    requests at once from another side. ``used_elsewhere`` counts what the upstream says others
    have used with the same key. ``group`` are its shares, where several processes have these limits
    together. ``bound`` does the counting, for the usual case in one call.
    """

    def __init__(self, limits: RateLimits, *, node: str = "local", most: int | None = None) -> None:
        self._most = most
        self.places = limits.concurrent
        self.bound = Bound(_least(limits.concurrent, most), SPAN)
        self._group: Group | None = None
        self.used_elsewhere = 0
        self._node = node
        self.meters: dict[str, Meter] = {
            kind: Meter(limit, node)
            for kind in KINDS
            if (limit := getattr(limits, kind)) is not None
        }
        self._arm()

    @property
    def running(self) -> int:
        """Requests under way."""
        return self.bound.running

    @property
    def concurrent(self) -> int | None:
        """How many there may be."""
        return self.bound.most

    @property
    def group(self) -> Group | None:
        """Its shares."""
        return self._group

    @group.setter
    def group(self, group: Group) -> None:
        self._group = group
        self.bound.touched = group.touch

    def wait(self, now: float, need: Need) -> float:
        """Seconds until ``need`` fits: 0 now, ``inf`` when something else must end first."""
        if self.concurrent is not None and self.running >= self.concurrent:
            return inf
        longest = 0.0
        amounts = need.amounts
        for place, meter in self._metered():
            wait = meter.wait(now, amounts[place])
            if wait > longest:
                longest = wait
        return longest

    def least_wait(self, now: float, need: Need) -> float:
        """Seconds to wait even if all requests under way give their tokens back: for less nobody
        needs to queue up."""
        longest = 0.0
        amounts = need.amounts
        back = (0, *map(self.bound.held, (1, 2, 3)))  # reserved by requests under way
        for place, meter in self._metered():
            longest = max(longest, meter.hope(now, amounts[place], back[place]))
        return longest

    def due(self, now: float, need: Need) -> float:
        """The same as :meth:`wait`, if all that others leave of a shared limit came here."""
        if self.group is None:
            return self.wait(now, need)
        if self.concurrent is not None and self.running >= self.concurrent:
            return inf
        amounts = need.amounts
        return max((meter.hope(now, amounts[at]) for at, meter in self._metered()), default=0.0)

    def seek(self, need: Need) -> None:
        """Somebody waits: others who share the limits are asked, if there are any."""
        if self.group is not None:
            self.group.seek()

    def allot(self, places: int) -> None:
        """So many of the places, which several share, are this one's now."""
        self.bound.most = _least(places, self._most)

    def try_take(self, now: float, need: Need) -> Charge | None:
        """Charges a need that fits now; None where it has to wait."""
        if self._group is None:
            taken, given = need.input, need.output
            charge = self.bound.take(now, 1, taken + given, taken, given)
            if charge is not None:
                return charge
        return self.take(now, need) if self.wait(now, need) == 0 else None

    def take(self, now: float, need: Need) -> Charge:
        """Charges what :meth:`wait` said 0 for."""
        return self.bound.force(now, *need.amounts)

    def learn(self, now: float, told: Mapping[str, Told]) -> float:
        """Takes in what the upstream says; seconds until it takes requests again, else 0."""
        wait = 0.0
        changed = False
        for kind, what in told.items():
            meter = self.meters.get(kind)
            if meter is None:
                meter = self.meters[kind] = Meter(None, self._node)
                changed = True
            before = meter.limit(now)
            self.used_elsewhere += meter.told(now, what.limit, what.remaining)
            changed = changed or meter.limit(now) != before
            if what.remaining == 0 and what.reset:
                wait = max(wait, what.reset)
        if changed:
            self._arm(now)
        return wait

    def refused(self, now: float) -> None:
        """The upstream answered 429 and did not say until when."""
        for meter in self.meters.values():
            meter.lower(now)
        self._arm(now)

    def change(self, limits: RateLimits, most: int | None = None) -> None:
        """Other limits hold from now on; what was used of those that stay counts."""
        self._most = most
        self.places = limits.concurrent
        self.bound.most = _least(limits.concurrent, most)
        for kind in KINDS:
            limit = getattr(limits, kind)
            meter = self.meters.get(kind)
            if meter is not None:
                meter.configure(limit)
            elif limit is not None:
                self.meters[kind] = Meter(limit, self._node)
        self._arm()

    def unlearn(self) -> None:
        """Forgets what the upstream taught: it is another one now."""
        for meter in self.meters.values():
            meter.unlearn()
        self._arm()

    def used_ratio(self, now: float) -> dict[str, float]:
        """The used part of each limit, 0 to 1 and more."""
        return {
            kind: meter.total(now) / limit
            for kind, meter in self.meters.items()
            if (limit := meter.whole(now))
        }

    def _metered(self) -> list[tuple[int, Meter]]:
        """The meters with their place in ``Need.amounts``."""
        return [(KINDS.index(kind), meter) for kind, meter in self.meters.items()]

    def _arm(self, now: float = 0.0) -> None:
        """The limits of now for the usual case: that a request fits in all of them. One that is
        being regained is higher a minute later; :meth:`wait` knows."""
        self.bound.arm(
            [(meter.counters, place, meter.limit(now), 0) for place, meter in self._metered()]
        )


def _least(*bounds: int | None) -> int | None:
    return min((bound for bound in bounds if bound is not None), default=None)
