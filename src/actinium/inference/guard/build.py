"""Deployments with limits, budgets or fallbacks -> their chains."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from actinium.base.measures import Reading, Registry
from actinium.errors import ConfigError

from ..deployment import Deployment, wants_chain
from ..limits.accounts import Accounts
from ..limits.prices import Tariff, price_table
from ..replica import Replica
from .chain import Chain
from .guard import Guard
from .measures import GuardMeasures
from .pool import Pool

if TYPE_CHECKING:
    from ..limits.sharing import Sharing

_STATES = {"closed": 0.0, "half_open": 1.0, "open": 2.0}


class Chains:
    """Makes chains, at first and whenever the deployments change.

    A deployment whose replicas stay keeps its guard, and so its limits, breaker and money; the
    guard of one that is made anew goes on where that stops. ``accounts`` are those of tenants and
    keys: where there are any, no deployment is left out. ``sharing`` is this process's part in
    limits that several have together.
    """

    def __init__(
        self, accounts: Accounts | None, registry: Registry, rng: random.Random | None = None, *,
        sharing: Sharing | None = None,
    ) -> None:  # fmt: skip
        self._accounts = accounts
        self._sharing = sharing
        self._rng = rng
        self._measures = GuardMeasures(registry)
        self._guards: dict[str, Guard] = {}
        self._leaving: list[asyncio.Future[None]] = []
        self._watch(registry)

    def build(
        self, deployments: Sequence[Deployment], replicas: Mapping[str, Sequence[Replica]]
    ) -> dict[str, Chain]:
        """The chains by the deployments' names. Nothing has changed until :meth:`adopt`.

        Raises ConfigError for a budget without a price.
        """
        accounts = self._accounts
        purses = accounts.purses if accounts is not None else {}
        by_name = {name: d.name for d in deployments for name in (d.name, *d.aliases)}
        heads = [d for d in deployments if accounts is not None or wants_chain(d)]
        needed = {d.name for d in heads} | {by_name[name] for d in heads for name in d.fallback}
        guards = {
            d.name: self._guard(d, replicas[d.name], bool(purses))
            for d in deployments
            if d.name in needed
        }
        measures = self._measures
        return {
            d.name: Chain(
                [guards[d.name], *(guards[by_name[n]] for n in d.fallback)], purses, measures
            )
            for d in deployments
            if d.name in guards
        }

    def adopt(self, chains: Mapping[str, Chain]) -> None:
        """From now on these are served."""
        before = self._guards
        self._guards = {g.name: g for chain in chains.values() for g in chain.guards}
        for name, guard in self._guards.items():
            if name in before and before[name] is not guard:
                guard.go_on(before[name])
            if self._sharing is not None:
                guard.share(self._sharing)
        if self._sharing is not None:
            for name in before.keys() - self._guards.keys():
                self._sharing.drop(f"deployment:{name}")
        for name, guard in before.items():
            if guard.shared is not None and self._guards.get(name) is not guard:
                self._leaving.append(asyncio.ensure_future(guard.close()))

    async def close(self) -> None:
        """Lets go of the stores that limits are kept in."""
        guards = [guard.close() for guard in self._guards.values()]
        await asyncio.gather(*guards, *self._leaving)

    def _guard(
        self, deployment: Deployment, replicas: Sequence[Replica], budgets: bool
    ) -> Guard:  # fmt: skip
        before = self._guards.get(deployment.name)
        if before is not None and before.pool.replicas == tuple(replicas):
            return before
        return Guard(
            Pool(replicas, self._rng), self._measures,
            tariff=_tariff(deployment, replicas[0], budgets), rng=self._rng,
            accounts=self._accounts,
        )  # fmt: skip

    def _watch(self, registry: Registry) -> None:
        def breakers() -> list[Reading]:
            guards = self._guards.items()
            return [((name,), _STATES[guard.breaker.state]) for name, guard in guards]

        def entered() -> list[Reading]:
            return [
                ((name, state), number)
                for name, guard in self._guards.items()
                for state, number in guard.breaker.entered.items()
            ]

        def used() -> list[Reading]:
            return [
                ((name, kind), ratio)
                for name, guard in self._guards.items()
                for kind, ratio in guard.statistics()["used"].items()
            ]

        def spent() -> list[Reading]:
            own = [guard.purse for guard in self._guards.values() if guard.purse is not None]
            more = self._accounts.purses.values() if self._accounts is not None else ()
            return [((purse.scope,), purse.used_ratio()) for purse in (*own, *more)]

        def waiting() -> list[Reading]:
            return [((name,), guard.gate.waiting) for name, guard in self._guards.items()]

        def stores() -> list[Reading]:
            shared = ((name, g.shared) for name, g in self._guards.items())
            return [((name,), float(limiter.up)) for name, limiter in shared if limiter is not None]

        by = ("deployment",)
        registry.view("limiter_store_up", "1 where the store of strict limits answers.", by, stores)
        registry.view("upstream_breaker_state", "0 closed, 1 half-open, 2 open.", by, breakers)
        registry.view(
            "upstream_breaker_transitions", "How often a breaker changed to a state.",
            ("deployment", "to"), entered, "counter",
        )  # fmt: skip
        registry.view("limiter_waiting", "Requests that wait for a limit.", by, waiting)
        registry.view(
            "limiter_used_ratio", "The used part of a limit.", ("deployment", "limit"), used
        )
        registry.view("budget_used_ratio", "The used part of a budget.", ("scope",), spent)


def _tariff(deployment: Deployment, replica: Replica, budgets: bool) -> Tariff | None:
    """The price of a deployment: its own, that of the table, nothing where nobody bills."""
    price = deployment.price
    if price == "free" or (price is None and replica.runner.transport != "remote"):
        return Tariff(None)
    if price is None:
        price = price_table().find(deployment.model)
    if price is not None:
        return Tariff(price)
    if budgets or deployment.budget is not None:
        raise ConfigError(
            f"deployment {deployment.name!r}: there is a budget, and the price of "
            f"{deployment.model!r} is not known (table of {price_table().date}); write "
            "price = { input = 1.0, output = 2.0 } in USD per million tokens, or price = 'free'"
        )
    return None
