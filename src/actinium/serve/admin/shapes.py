"""Bodies and answers of the admin API. Money is in USD, times are seconds or RFC 3339."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from actinium.inference.deployment import Deployment
from actinium.inference.limits.policy import Budget, Priority, RateLimits
from actinium.inference.tenants import KeyLimits

_Seconds = Annotated[float, Meta(ge=0, le=86_400)]


class DeploymentView(msgspec.Struct, frozen=True, kw_only=True):
    """One deployment and how it does. Its options are not shown: they may hold secrets."""

    name: str
    model: str
    runtime: str | None
    base_url: str | None
    aliases: tuple[str, ...]
    fallback: tuple[str, ...]
    replicas: int
    state: str
    reason: str
    running: int
    waiting: int


class Deployments(msgspec.Struct, frozen=True, kw_only=True):
    """``generation`` counts the changes; send it with the next one."""

    generation: int
    deployments: tuple[DeploymentView, ...]


class Apply(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All deployments that shall be served from now on, as in the configuration file.

    With ``generation`` it is done only if nobody has changed them since. What is gone, or differs,
    may answer for ``drain`` seconds.
    """

    deployments: Annotated[tuple[Deployment, ...], Meta(min_length=1, max_length=1024)]
    generation: int | None = None
    drain: _Seconds = 30.0


class DrainBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many seconds requests under way may take."""

    seconds: _Seconds = 30.0


class Drained(msgspec.Struct, frozen=True, kw_only=True):
    """``cut_off`` requests had not ended."""

    name: str
    state: str
    cut_off: int


class BreakerView(msgspec.Struct, frozen=True, kw_only=True):
    """``retry_after`` are the seconds until a probe; ``rest`` those the upstream asked for."""

    deployment: str
    state: Literal["closed", "open", "half_open"]
    retry_after: float
    calls: float
    failures: float
    rest: float


class Breakers(msgspec.Struct, frozen=True):
    breakers: tuple[BreakerView, ...]


class Force(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Open for so many seconds, or closed now; closing ends a rest as well."""

    state: Literal["open", "closed"]
    seconds: Annotated[float, Meta(gt=0, le=86_400)] = 60.0


class LimitView(msgspec.Struct, frozen=True, kw_only=True):
    """Of ``scope`` (``deployment:chat``, ``tenant:acme``, ``key:web``): what may be used, what is
    used now, how many requests wait for it, and the used part of its budget."""

    scope: str
    limits: dict[str, int]
    used: dict[str, int]
    waiting: int
    budget_used: float | None


class LimitViews(msgspec.Struct, frozen=True):
    limits: tuple[LimitView, ...]


class KeyView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=False):
    """A key without its secret. ``declared`` ones stand in the configuration."""

    id: str
    name: str
    tenant: str
    models: tuple[str, ...]
    limits: KeyLimits | None
    budget: Budget | None
    priority: Priority
    created: datetime
    expires: datetime | None
    disabled: bool
    declared: bool


class KeyMade(KeyView, frozen=True, kw_only=True):
    """A new or rotated key: ``key`` is shown now and never again."""

    key: str


class KeyViews(msgspec.Struct, frozen=True):
    keys: tuple[KeyView, ...]


class Rotate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many seconds the old secret works on (a day unless told)."""

    overlap: Annotated[float, Meta(ge=0, le=366 * 86_400)] = 86_400.0


class UsageRow(msgspec.Struct, frozen=True, kw_only=True):
    """Sums. Fields that were not asked for in ``by`` are left out; an empty text is nobody's.

    ``cached`` tokens are part of ``input``. Of ``estimated`` requests the tokens were counted here.
    """

    day: str | UnsetType = UNSET
    tenant: str | UnsetType = UNSET
    key: str | UnsetType = UNSET
    deployment: str | UnsetType = UNSET
    requests: int
    input: int
    cached: int
    output: int
    cost_usd: float
    estimated: int


class UsageRows(msgspec.Struct, frozen=True):
    usage: tuple[UsageRow, ...]


def limits_of(limits: RateLimits | KeyLimits | None) -> dict[str, int]:
    """Those that are set."""
    kinds = ("rpm", "tpm", "input_tpm", "output_tpm", "concurrent")
    return {k: v for k in kinds if (v := getattr(limits, k, None)) is not None}
