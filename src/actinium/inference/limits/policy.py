"""What a deployment may say about limits, money, retries and failure. Data only."""

from __future__ import annotations

import re
from typing import Any, Final, Literal

import msgspec

from actinium.errors import ConfigError

_LEAST_USD: Final = 1e-6
_MOST_USD: Final = 1e12

Priority = Literal["background", "low", "normal", "high", "critical"]


_STORE: Final = "redis://127.0.0.1:6379/0"


class RateLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much of a deployment may be used: per minute, and at once (None: as much as it takes).

    ``rpm`` counts requests, ``tpm`` tokens in and out, ``input_tpm`` and ``output_tpm`` one side.
    A request over a limit waits in fair order, at most ``max_wait`` seconds; ``weights`` are the
    shares of tenants (1 for those not named). What the upstream tells of its own limits in
    headers lowers these.

    Limits hold within one gateway, however many workers it has. ``strict = "redis"`` keeps them
    exactly over all that share the Redis server ``store`` (``redis://``, ``rediss://`` or
    ``unix://``; or ``env:NAME``, which it must be where it holds a password) and the name ``key``
    (None: the deployment's). While that server is away each process keeps to the limits alone
    (``on_store_error = "local"``: together they may use more), or nothing is let through
    (``"refuse"``).
    """

    rpm: int | None = None
    tpm: int | None = None
    input_tpm: int | None = None
    output_tpm: int | None = None
    concurrent: int | None = None
    max_wait: float = 30.0
    weights: dict[str, float] = {}
    strict: Literal["redis", "owner"] | None = None
    store: str = _STORE
    key: str | None = None
    on_store_error: Literal["local", "refuse"] = "local"

    def __post_init__(self) -> None:
        for name in ("rpm", "tpm", "input_tpm", "output_tpm", "concurrent"):
            _above("limits", name, getattr(self, name))
        if self.max_wait < 0:
            raise ConfigError(f"limits.max_wait must be 0 or more seconds, got {self.max_wait!r}")
        for tenant, weight in self.weights.items():
            _above("limits.weights", tenant, weight)
        if self.strict == "owner":
            raise ConfigError(
                "limits.strict = 'owner' is not supported: the workers of one gateway keep to "
                "limits together without it (leave strict out), and several machines do with "
                'strict = "redis"'
            )
        _check_store(self.store)
        said = {"store": self.store != _STORE, "key": self.key is not None}
        said["on_store_error"] = self.on_store_error != "local"
        if self.strict is None and any(said.values()):
            name = next(name for name, is_said in said.items() if is_said)
            raise ConfigError(
                f"limits.{name} is for limits that several processes share; write strict = "
                f'"redis" beside it, or leave {name} out'
            )
        if self.key is not None and not re.fullmatch(r"[A-Za-z0-9._:-]{1,100}", self.key):
            raise ConfigError(
                f"limits.key: expected 1 to 100 of letters, digits and . _ : -, got {self.key!r}"
            )


class Budget(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Money in USD for a deployment, a tenant or a key (None: no limit).

    The hour is the last 60 minutes, in steps of one; day and month are those of UTC's calendar.
    When it is used up: ``reject`` the request (BudgetExceeded), ``fallback`` to the next
    deployment, or only ``warn`` in the log.
    """

    per_hour: float | None = None
    per_day: float | None = None
    per_month: float | None = None
    on_exceeded: Literal["reject", "fallback", "warn"] = "reject"

    def __post_init__(self) -> None:
        for name in ("per_hour", "per_day", "per_month"):
            amount = getattr(self, name)
            _above("budget", name, amount)
            if amount is not None and not _LEAST_USD <= amount <= _MOST_USD:
                raise ConfigError(
                    f"budget.{name}: expected {_LEAST_USD:g} to {_MOST_USD:g} USD, got {amount!r}"
                )
        if self.per_hour is None and self.per_day is None and self.per_month is None:
            raise ConfigError("a budget needs per_hour, per_day or per_month, in USD")


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a failed request is made again, before its first content.

    Up to ``attempts`` in all. The pause is drawn evenly from zero to ``base`` seconds, doubled
    for each failure up to ``max`` (as :class:`actinium.patterns.Retry`). An upstream's own
    Retry-After goes first; above ``longest`` seconds it is not waited for but passed on. Of all
    requests in 10 s at most the share ``budget``, and 3, are retries.
    """

    attempts: int = 3
    base: float = 0.5
    max: float = 20.0
    longest: float = 30.0
    budget: float = 0.1

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ConfigError(f"retry.attempts must be 1 or more, got {self.attempts!r}")
        if not 0 <= self.base <= self.max or self.longest < 0 or not 0 <= self.budget <= 1:
            raise ConfigError(
                "retry needs 0 <= base <= max and longest >= 0 seconds, and a budget from 0 to 1; "
                f"got base={self.base!r}, max={self.max!r}, longest={self.longest!r}, "
                f"budget={self.budget!r}"
            )


class Hedge(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a second attempt begins beside one that is slow: after so many seconds without content.

    It goes to another server of the deployment, else to its next fallback that can serve at once,
    else to the same server again. The first content wins and the other attempt is stopped; both
    are paid for. Of all requests in 10 s at most the share ``budget``, and 3, are hedged.
    """

    after: float
    budget: float = 0.1

    def __post_init__(self) -> None:
        _above("hedge", "after", self.after)
        if not 0 <= self.budget <= 1:
            raise ConfigError(f"hedge.budget must be from 0 to 1, got {self.budget!r}")


class BreakerPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a deployment that fails is left alone, see :class:`actinium.Breaker`.

    An answer is judged when it has ended. A plain failure counts 1; one that broke off counts
    ``cut``, one that fell silent ``stalled``; one whose first content took more than
    ``slow_after`` seconds (None: any time is right) counts ``slow``, though it ended well.
    """

    failures: int = 5
    ratio: float = 0.5
    window: float = 30.0
    open: float = 30.0
    probes: int = 1
    successes: int = 2
    cut: float = 1.0
    stalled: float = 2.0
    slow: float = 0.5
    slow_after: float | None = None

    def __post_init__(self) -> None:
        for name in ("cut", "stalled", "slow", "slow_after"):
            _above("breaker", name, getattr(self, name))


class PriceTier(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Prices of a request with more than ``over`` input tokens."""

    over: int
    input: str | float
    output: str | float = 0.0
    cached: str | float | None = None
    cache_write: str | float | None = None


class Price(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """USD per million tokens. ``cached`` and ``cache_write`` are those of input where None;
    reasoning tokens are part of the output and cost ``reasoning``, where None ``output``."""

    input: str | float
    output: str | float = 0.0
    cached: str | float | None = None
    cache_write: str | float | None = None
    reasoning: str | float | None = None
    tiers: tuple[PriceTier, ...] = ()


def _check_store(store: str) -> None:
    if store.startswith(("env:", "file:")):
        return
    if not store.startswith(("redis://", "rediss://", "unix://")):
        raise ConfigError(  # without its text: it may be a password
            "limits.store: expected the address of a Redis server or a reference 'env:NAME'; "
            'write for example store = "redis://127.0.0.1:6379/0"'
        )
    if "@" in store or "password=" in store:
        raise ConfigError(
            "limits.store holds a user or password; put the address into a variable and write "
            'for example store = "env:REDIS_URL"'
        )


def _above(section: str, name: str, value: Any) -> None:
    if value is not None and value <= 0:
        raise ConfigError(f"{section}.{name} must be above 0, got {value!r}")
