"""Whom an operator's requests concern: one process, or all that serve the same port."""

from __future__ import annotations

import asyncio
from typing import Protocol

from actinium.errors import Conflict
from actinium.inference.guard import Guard
from actinium.inference.service import Inference
from actinium.inference.tenants import Keyring

from .shapes import (
    Apply,
    Breakers,
    BreakerView,
    Deployments,
    DeploymentView,
    Drained,
    Force,
    LimitView,
    LimitViews,
    UsageRows,
    limits_of,
)
from .usage import Question, answer


class Crew(Protocol):
    """All processes of a gateway. A change holds in each of them when its call returns."""

    async def deployments(self) -> Deployments: ...

    async def apply(self, change: Apply) -> None: ...

    async def drain(self, name: str, seconds: float) -> Drained: ...

    async def breakers(self) -> Breakers: ...

    async def force(self, name: str, change: Force) -> BreakerView: ...

    async def limits(self) -> LimitViews: ...

    async def usage(self, asked: Question) -> UsageRows: ...


class Alone:
    """One process: what it sees and does itself."""

    def __init__(self, inference: Inference, keyring: Keyring | None) -> None:
        self._inference = inference
        self._keyring = keyring

    async def deployments(self) -> Deployments:
        """All deployments and how they do."""
        inference = self._inference
        counts = inference.statistics()
        return Deployments(
            generation=inference.generation,
            deployments=tuple(
                DeploymentView(
                    name=d.name, model=d.model, runtime=d.runtime, base_url=d.base_url,
                    aliases=d.aliases, fallback=d.fallback, replicas=1 + len(d.replicas),
                    state=counts[d.name]["state"], reason=counts[d.name]["reason"],
                    running=counts[d.name]["running"], waiting=counts[d.name]["waiting"],
                )
                for d in inference.deployments
            ),
        )  # fmt: skip

    async def apply(self, change: Apply) -> None:
        """See :meth:`Inference.apply`."""
        await self._inference.apply(
            change.deployments, drain=change.drain, generation=change.generation
        )

    async def drain(self, name: str, seconds: float) -> Drained:
        """See :meth:`Inference.drain`."""
        name = self._inference.replica(name).deployment.name
        cut_off = await self._inference.drain(name, seconds)
        found = self._inference.statistics().get(name)  # another change may have taken it away
        state = found["state"] if found is not None else "closed"
        return Drained(name=name, state=state, cut_off=cut_off)

    async def breakers(self) -> Breakers:
        """The breakers of all deployments that have one."""
        return Breakers(tuple(_breaker(guard) for guard in self._guards()))

    async def force(self, name: str, change: Force) -> BreakerView:
        """Opens a breaker for a while, or closes it."""
        guard = self._inference.guard(name)
        if guard is None:
            raise Conflict(f"the deployment {name!r} has no breaker: it has nothing of `limits`")
        if change.state == "open":
            guard.breaker.force_open(change.seconds)
        else:
            guard.breaker.force_close()
            guard.rest(0)
        return _breaker(guard)

    async def limits(self) -> LimitViews:
        """What may be used and what this process uses, of deployments, tenants and keys."""
        now = asyncio.get_running_loop().time()
        return LimitViews((*(_limits(guard, now) for guard in self._guards()), *self._keys(now)))

    async def usage(self, asked: Question) -> UsageRows:
        """What was used, summed as asked."""
        accounts = self._inference.accounts
        return UsageRows(answer(accounts.usage(), asked) if accounts is not None else ())

    def _guards(self) -> list[Guard]:
        names = (deployment.name for deployment in self._inference.deployments)
        return [guard for name in names if (guard := self._inference.guard(name)) is not None]

    def _keys(self, now: float) -> list[LimitView]:
        ring = self._keyring
        if ring is None:
            return []
        gauges = {gauge.scope: gauge for gauge in ring.gauges()}
        purses = ring.accounts.purses
        found = []
        for scope in dict.fromkeys((*gauges, *purses)):
            gauge, purse = gauges.get(scope), purses.get(scope)
            found.append(
                LimitView(
                    scope=scope, limits=limits_of(gauge.limits if gauge is not None else None),
                    used=gauge.used(now) if gauge is not None else {}, waiting=0,
                    budget_used=purse.used_ratio() if purse is not None else None,
                )
            )  # fmt: skip
        return found


def _limits(guard: Guard, now: float) -> LimitView:
    limits = limits_of(guard.deployment.limits)
    if guard.shared is not None:  # the store knows the part, and that of all
        ratios = guard.shared.used_ratio(now)
        used = {kind: round(ratios[kind] * limit) for kind, limit in limits.items()
                if kind in ratios}  # fmt: skip
    else:
        meters = guard.limiter.meters
        used = {kind: meters[kind].used(now) for kind in limits if kind in meters}
    return LimitView(
        scope=f"deployment:{guard.name}", limits=limits,
        used=used | {"concurrent": guard.limiter.running}, waiting=guard.gate.waiting,
        budget_used=guard.purse.used_ratio() if guard.purse is not None else None,
    )  # fmt: skip


def _breaker(guard: Guard) -> BreakerView:
    told = guard.breaker.statistics()
    return BreakerView(
        deployment=guard.name, state=guard.breaker.state, retry_after=told["retry_after"],
        calls=told["calls"], failures=told["failures"], rest=guard.statistics()["rest"],
    )  # fmt: skip
