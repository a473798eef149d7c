"""What a supervisor does about a child's failure, as pure objects."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Mapping
from typing import Literal, get_args

import msgspec

from actinium.errors import ConfigError, UsageError

Directive = Literal["resume", "restart", "stop", "escalate"]

_DIRECTIVES: tuple[str, ...] = get_args(Directive)

_DEFAULTS: Mapping[type[BaseException], Directive] = {
    ConfigError: "stop",
    UsageError: "stop",
    MemoryError: "escalate",
    BaseException: "restart",
}


class OneForOne(msgspec.Struct, frozen=True, kw_only=True):
    """Treats each child alone.

    ``decide`` maps exception classes to a directive; the nearest class in the failure's MRO
    wins, and what it does not name falls to the defaults: ConfigError and UsageError stop (a new
    instance would be as wrong), MemoryError escalates, everything else restarts. At most
    ``max_restarts`` restarts happen in any interval of ``within`` seconds (None: no limit; 0:
    never); beyond that, ``on_limit``. The first restart is at once, later ones wait
    ``backoff[0] * 2**n`` seconds up to ``backoff[1]``,
    give or take 20 %.
    """

    max_restarts: int | None = 10
    within: float = 5.0
    backoff: tuple[float, float] = (0.05, 5.0)
    on_limit: Literal["escalate", "stop"] = "escalate"
    decide: Mapping[type[BaseException], Directive] = {}

    def __post_init__(self) -> None:
        for cls, directive in self.decide.items():
            if directive not in _DIRECTIVES:
                raise ConfigError(
                    f"decide[{cls.__name__}] is {directive!r}; use one of {', '.join(_DIRECTIVES)}"
                )
        if self.within <= 0 or min(self.backoff) < 0 or self.backoff[0] > self.backoff[1]:
            raise ConfigError(
                "within must be above 0 and backoff a pair (first, most) of seconds, "
                f"got within={self.within!r}, backoff={self.backoff!r}"
            )

    def directive(self, failure: BaseException) -> Directive:
        """What to do about this failure."""
        for cls in type(failure).__mro__:
            found = self.decide.get(cls) or _DEFAULTS.get(cls)
            if found is not None:
                return found
        return "restart"


class RestartWindow:
    """Counts one child's restarts: an exact sliding window (SV-3) and its back-off."""

    __slots__ = ("_in_a_row", "_last", "_random", "_times")

    def __init__(self, rng: random.Random) -> None:
        self._times: deque[float] = deque()
        self._in_a_row = 0
        self._last = float("-inf")
        self._random = rng

    def next_delay(self, policy: OneForOne, now: float) -> float | None:
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
