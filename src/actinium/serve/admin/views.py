"""What several processes see, as one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeVar

import msgspec

from .shapes import (
    Breakers,
    BreakerView,
    Deployments,
    DeploymentView,
    Drained,
    LimitView,
    LimitViews,
)

V = TypeVar("V", DeploymentView, BreakerView, LimitView)

_STATES: Final = ("ready", "new", "loading", "draining", "closed", "failed")
_BREAKERS: Final = ("closed", "half_open", "open")


def deployments(views: Sequence[Deployments], generation: int) -> Deployments:
    """Sums, and of each deployment the state that is furthest from ready."""
    return Deployments(
        generation=generation, deployments=_joined((v.deployments for v in views), "name", _both)
    )


def breakers(views: Sequence[Breakers]) -> Breakers:
    """Sums, and of each deployment the state that is furthest from closed: each process judges
    by what it saw itself."""
    return Breakers(_joined((v.breakers for v in views), "deployment", breaker))


def limits(views: Sequence[LimitViews], shared: Iterable[str]) -> LimitViews:
    """Sums; ``shared`` are scopes of which each process told the use of all already."""
    known = frozenset(shared)

    def both(a: LimitView, b: LimitView) -> LimitView:
        used = {
            kind: max(a.used.get(kind, 0), b.used.get(kind, 0))
            if a.scope in known and kind != "concurrent"
            else a.used.get(kind, 0) + b.used.get(kind, 0)
            for kind in {**a.used, **b.used}
        }
        spent = [part for part in (a.budget_used, b.budget_used) if part is not None]
        return msgspec.structs.replace(
            a, used=used, waiting=a.waiting + b.waiting, budget_used=max(spent, default=None)
        )

    return LimitViews(_joined((v.limits for v in views), "scope", both))


def drained(views: Sequence[Drained]) -> Drained:
    """How many were cut off in all."""
    return Drained(
        name=views[0].name, state=max((v.state for v in views), key=_STATES.index),
        cut_off=sum(v.cut_off for v in views),
    )  # fmt: skip


def breaker(a: BreakerView, b: BreakerView) -> BreakerView:
    """Two views of the same deployment's breaker."""
    return BreakerView(
        deployment=a.deployment, state=max(a.state, b.state, key=_BREAKERS.index),
        retry_after=max(a.retry_after, b.retry_after), calls=a.calls + b.calls,
        failures=a.failures + b.failures, rest=max(a.rest, b.rest),
    )  # fmt: skip


def _both(a: DeploymentView, b: DeploymentView) -> DeploymentView:
    worse = max(a, b, key=lambda view: _STATES.index(view.state))
    return msgspec.structs.replace(
        a, state=worse.state, reason=worse.reason, running=a.running + b.running,
        waiting=a.waiting + b.waiting,
    )  # fmt: skip


def _joined(
    views: Iterable[Sequence[V]], name: str, both: Callable[[Any, Any], Any]
) -> tuple[V, ...]:
    found: dict[str, V] = {}
    for one in (view for each in views for view in each):
        key = getattr(one, name)
        found[key] = both(found[key], one) if key in found else one
    return tuple(found.values())
