"""What a supervisor does about a child's failure, as pure objects."""

from __future__ import annotations

import random
import re
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Literal, TypeVar, get_args

import msgspec

from actinium.errors import ConfigError, LinkedExit

Directive = Literal["resume", "restart", "stop", "escalate", "quarantine"]
OnLimit = Literal["escalate", "stop", "quarantine"]

_DIRECTIVES: tuple[str, ...] = get_args(Directive)
_ON_LIMIT: tuple[str, ...] = get_args(OnLimit)
_POISON = re.compile(r"retry:([1-9]\d{0,3})")

_DEFAULTS: Mapping[type[BaseException], Directive] = {
    ConfigError: "stop",
    LinkedExit: "stop",
    MemoryError: "escalate",
    BaseException: "restart",
}

C = TypeVar("C")


class CoolDown(msgspec.Struct, frozen=True, kw_only=True):
    """How long a quarantine lasts.

    After ``first`` seconds one message is handled as a probe. If that fails the time doubles, up
    to ``longest`` seconds; after ``probes`` failed ones the strategy's ``on_limit`` follows.
    """

    first: float = 30.0
    longest: float = 600.0
    probes: int = 3

    def __post_init__(self) -> None:
        if not 0 < self.first <= self.longest or self.probes < 1:
            raise ConfigError(
                "a cool-down needs 0 < first <= longest seconds and 1 or more probes, got "
                f"first={self.first!r}, longest={self.longest!r}, probes={self.probes!r}"
            )


class SupervisorStrategy(msgspec.Struct, frozen=True, kw_only=True):
    """What all strategies have in common; use OneForOne, AllForOne or RestForOne.

    ``decide`` maps exception classes to a directive; the nearest class in the failure's MRO
    wins, and what it does not name falls to the defaults: ConfigError stops (a new instance would
    find the same setting), LinkedExit stops, MemoryError escalates, everything else restarts.
    At most ``max_restarts`` restarts happen in any interval of ``within`` seconds (None: no
    limit; 0: never); beyond that, ``on_limit``. The first restart is at once, later ones wait
    ``backoff[0] * 2**n`` seconds up to ``backoff[1]``, give or take 20 %.

    ``poison="retry:2"`` handles a message whose handler failed again, up to twice, before it
    becomes a dead letter. With ``keep_children`` a restart leaves the children alive.
    ``cool_down`` is for quarantines.
    """

    max_restarts: int | None = 10
    within: float = 5.0
    backoff: tuple[float, float] = (0.05, 5.0)
    on_limit: OnLimit = "escalate"
    decide: Mapping[type[BaseException], Directive] = {}
    poison: str | None = None
    keep_children: bool = False
    cool_down: CoolDown = CoolDown()

    def __post_init__(self) -> None:
        for cls, directive in self.decide.items():
            if directive not in _DIRECTIVES:
                raise ConfigError(
                    f"decide[{cls.__name__}] is {directive!r}; use one of {', '.join(_DIRECTIVES)}"
                )
        if self.on_limit not in _ON_LIMIT:
            raise ConfigError(f"on_limit is {self.on_limit!r}; use one of {', '.join(_ON_LIMIT)}")
        if self.poison is not None and _POISON.fullmatch(self.poison) is None:
            raise ConfigError(
                f"poison is {self.poison!r}; write None, or 'retry:2' for two more tries"
            )
        if self.max_restarts is not None and self.max_restarts < 0:
            raise ConfigError(
                f"max_restarts must be 0 or more, or None for no limit, got {self.max_restarts!r}"
            )
        if self.within <= 0 or min(self.backoff) < 0 or self.backoff[0] > self.backoff[1]:
            raise ConfigError(
                "within must be above 0 and backoff a pair (first, most) of seconds, "
                f"got within={self.within!r}, backoff={self.backoff!r}"
            )

    @property
    def grouped(self) -> bool:
        """Whether children under this very object share their fate."""
        return False

    @property
    def retries(self) -> int:
        """How often a message whose handler failed is handled again."""
        found = _POISON.fullmatch(self.poison) if self.poison is not None else None
        return int(found[1]) if found is not None else 0

    def directive(self, failure: BaseException) -> Directive:
        """What to do about this failure."""
        for cls in type(failure).__mro__:
            found = self.decide.get(cls) or _DEFAULTS.get(cls)
            if found is not None:
                return found
        return "restart"

    def affected(self, failed: C, group: Sequence[C]) -> list[C]:
        """Who is treated with the failed one, in start order (SV-2)."""
        return [failed]


class OneForOne(SupervisorStrategy, frozen=True, kw_only=True):
    """Treats each child alone. What its fields mean is said at SupervisorStrategy."""


class AllForOne(SupervisorStrategy, frozen=True, kw_only=True):
    """Treats all children of its group alike: they stop in reverse start order, then start.

    The group are the children of one parent that were given this very object. They share one
    window of restarts. What its fields mean is said at SupervisorStrategy.
    """

    @property
    def grouped(self) -> bool:
        """Whether children under this very object share their fate."""
        return True

    def affected(self, failed: C, group: Sequence[C]) -> list[C]:
        """Who is treated with the failed one, in start order (SV-2)."""
        return list(group)


class RestForOne(SupervisorStrategy, frozen=True, kw_only=True):
    """Treats the failed child and those of its group that were started after it.

    Group and window are those of AllForOne.
    """

    @property
    def grouped(self) -> bool:
        """Whether children under this very object share their fate."""
        return True

    def affected(self, failed: C, group: Sequence[C]) -> list[C]:
        """Who is treated with the failed one, in start order (SV-2)."""
        return list(group[group.index(failed) :])


class RestartWindow:
    """Counts the restarts of a child or a group: an exact sliding window (SV-3), and back-off."""

    __slots__ = ("_in_a_row", "_last", "_random", "_times")

    def __init__(self, rng: random.Random) -> None:
        self._times: deque[float] = deque()
        self._in_a_row = 0
        self._last = float("-inf")
        self._random = rng

    def next_delay(self, policy: SupervisorStrategy, now: float) -> float | None:
        """Seconds to wait before the restart that is due, or None when the limit is reached."""
        if policy.max_restarts is not None:
            while self._times and self._times[0] <= now - policy.within:
                self._times.popleft()
            if len(self._times) >= policy.max_restarts:
                return None
            self._times.append(now)
        if now - self._last > 2 * policy.within:
            self._in_a_row = 0
        self._last = now
        self._in_a_row += 1
        if self._in_a_row == 1:
            return 0.0
        first, most = policy.backoff
        delay = min(most, first * 2.0 ** (self._in_a_row - 2))
        return delay * self._random.uniform(0.8, 1.2)
