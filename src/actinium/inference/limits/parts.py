"""One deployment's limits and budget, divided among processes that know nothing of each other."""

from __future__ import annotations

import msgspec

from actinium.errors import ConfigError

from ..deployment import Deployment
from .policy import Budget, RateLimits

_COUNTED = ("rpm", "tpm", "input_tpm", "output_tpm", "concurrent")
_PAID = ("per_hour", "per_day", "per_month")


def part_of(deployment: Deployment, part: int, parts: int) -> Deployment:
    """A deployment with the share that process ``part`` (from 1 on) of ``parts`` has.

    The shares of all processes add up to the whole, so together they keep to it (LM-2); a limit
    of a strict store is the same everywhere and stays whole. Raises ConfigError where a limit is
    too small for each process to have some of it.
    """
    limits, budget = deployment.limits, deployment.budget
    if limits is not None and limits.strict is None:
        limits = _limits(deployment.name, limits, part, parts)
    if budget is not None:
        budget = _budget(budget, parts)
    return msgspec.structs.replace(deployment, limits=limits, budget=budget)


def _limits(name: str, limits: RateLimits, part: int, parts: int) -> RateLimits:
    shares = {}
    for field in _COUNTED:
        whole = getattr(limits, field)
        if whole is None:
            continue
        each, rest = divmod(whole, parts)
        if each == 0:
            raise ConfigError(
                f"deployment {name!r}: limits.{field} = {whole} cannot be divided among {parts} "
                "processes; serve with fewer workers"
            )
        shares[field] = each + (part <= rest)
    return msgspec.structs.replace(limits, **shares)


def _budget(budget: Budget, parts: int) -> Budget:
    amounts = {f: amount / parts for f in _PAID if (amount := getattr(budget, f)) is not None}
    return msgspec.structs.replace(budget, **amounts)
