"""Deployments with limits, budgets or fallbacks -> their chains."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from actinium.base.measures import Reading, Registry
from actinium.errors import ConfigError

from ..deployment import Deployment, wants_chain
from ..limits.accounts import Accounts
from ..limits.budget import Purse
from ..limits.prices import Tariff, price_table
from ..replica import Replica
from .chain import Chain
from .guard import Guard
from .measures import GuardMeasures
from .pool import Pool

_STATES = {"closed": 0.0, "half_open": 1.0, "open": 2.0}


def build_chains(
    deployments: Sequence[Deployment], replicas: Mapping[str, Sequence[Replica]],
    accounts: Accounts | None, registry: Registry, rng: random.Random | None = None,
) -> dict[str, Chain]:  # fmt: skip
    """The chains by the deployments' names; where there are no accounts of tenants and keys,
    deployments that need none are left out. Raises ConfigError for a budget without a price.
    """
    purses = accounts.purses if accounts is not None else {}
    by_name = {name: d.name for d in deployments for name in (d.name, *d.aliases)}
    heads = [d for d in deployments if accounts is not None or wants_chain(d)]
    needed = {d.name for d in heads} | {by_name[name] for d in heads for name in d.fallback}
    measures = GuardMeasures(registry)
    guards = {
        d.name: Guard(
            Pool(replicas[d.name], rng), measures,
            tariff=_tariff(d, replicas[d.name][0], bool(purses)), rng=rng, accounts=accounts,
        )
        for d in deployments
        if d.name in needed
    }  # fmt: skip
    _watch(registry, guards, purses)
    return {
        d.name: Chain([guards[d.name], *(guards[by_name[n]] for n in d.fallback)], purses, measures)
        for d in deployments
        if d.name in guards
    }


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


def _watch(registry: Registry, guards: Mapping[str, Guard], purses: Mapping[str, Purse]) -> None:
    def breakers() -> list[Reading]:
        return [((name,), _STATES[guard.breaker.state]) for name, guard in guards.items()]

    def used() -> list[Reading]:
        return [
            ((name, kind), ratio)
            for name, guard in guards.items()
            for kind, ratio in guard.statistics()["used"].items()
        ]

    def spent() -> list[Reading]:
        own = [guard.purse for guard in guards.values() if guard.purse is not None]
        return [((purse.scope,), purse.used_ratio()) for purse in (*own, *purses.values())]

    def waiting() -> list[Reading]:
        return [((name,), guard.gate.waiting) for name, guard in guards.items()]

    by = ("deployment",)
    registry.view("upstream_breaker_state", "0 closed, 1 half-open, 2 open.", by, breakers)
    registry.view("limiter_waiting", "Requests that wait for a limit.", by, waiting)
    registry.view("limiter_used_ratio", "The used part of a limit.", ("deployment", "limit"), used)
    registry.view("budget_used_ratio", "The used part of a budget.", ("scope",), spent)
