"""``actinium check``: is this file a plan that can be served?"""

from __future__ import annotations

import os
from pathlib import Path

from actinium.inference import Inference
from actinium.inference.limits import Accounts
from actinium.inference.tenants import Keyring
from actinium.topology import Plan, read_plan

from .places import IN_MEMORY, NO_STORE, short, store_path
from .screen import Screen
from .serve.options import admin_of, gateway_key
from .wording import count


def check(file: Path, screen: Screen) -> None:
    """Prints the plan. Raises ConfigError with file and line for the first thing wrong.

    Each deployment's runner is made, so options, model folders and keys are checked as well;
    nothing is loaded and no server is asked.
    """
    plan = read_plan(file)
    gateway_key(None, plan, os.environ)
    admin_of(plan, os.environ)
    inference = Inference(
        plan.deployments, runner_factory=plan.runner, accounts=Accounts() if plan.keyed else None
    )
    if plan.keyed:
        Keyring(inference, tenants=plan.tenants, keys=plan.keys)
    for line in lines(plan):
        screen.say(line)


def lines(plan: Plan) -> list[str]:
    """The plan for reading."""
    gateway = plan.gateway
    access = "needs a key" if gateway.api_key is not None else "open to everybody who reaches it"
    if plan.keyed:
        access = "needs a key of a tenant"
    host = f"[{gateway.host}]" if ":" in gateway.host else gateway.host
    found = [
        f"{plan.file}: a valid plan",
        f"  gateway      {host}:{gateway.port}, {access}, drains {gateway.drain:g} s",
        f"  sessions     {_store(plan)}",
    ]
    if gateway.admin is not None:
        admin = gateway.admin
        where = "on the same port" if admin.port is None else f"{admin.host}:{admin.port}"
        found.append(f"  admin API    {where}")
    if plan.keyed:
        names = ", ".join(tenant.name for tenant in plan.tenants) or "none declared"
        found.append(f"  tenants      {names}; {count(len(plan.keys), 'declared key')}")
    for deployment, route in zip(plan.deployments, plan.routes, strict=True):
        place = plan.places.get(deployment.name, "")
        model = route.model
        if deployment.base_url is not None:
            model += f" at {deployment.base_url}"
        found += [
            f"  deployment   {', '.join((deployment.name, *deployment.aliases))}"
            + (f"  ({place})" if place else ""),
            f"               {route.runtime}: {model}; because {route.rule}",
            f"               {deployment.max_concurrent} at once, {deployment.queue} wait",
        ]
    return found


def _store(plan: Plan) -> str:
    path = store_path(plan.system.store)
    if path is not None:
        return short(path)
    return {NO_STORE: "not kept", IN_MEMORY: "kept until the process ends"}[str(plan.system.store)]
