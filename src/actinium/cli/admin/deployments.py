"""``actinium deployments``."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

from actinium.serve.admin.shapes import Apply, Deployments, DrainBody, Drained
from actinium.topology import read_plan

from ..screen import Screen
from ..wording import count
from .client import AdminClient, Site
from .keys import span
from .tables import show, show_json, table


def list_deployments(site: Site, screen: Screen, as_json: bool) -> None:
    """All deployments and how they do."""
    _show(AdminClient(site, os.environ).get("deployments", Deployments), screen, as_json)


def apply_file(site: Site, screen: Screen, as_json: bool, file: Path, drain: str) -> None:
    """Serves the deployments of a file from now on.

    The file is checked here first: what is wrong with it is told with its line.
    """
    plan = read_plan(file)
    client = AdminClient(site, os.environ)
    generation = client.get("deployments", Deployments).generation
    wanted = Apply(deployments=plan.deployments, generation=generation, drain=span(drain))
    _show(client.send("PUT", "deployments", wanted, Deployments), screen, as_json)


def drain_deployment(site: Site, screen: Screen, as_json: bool, name: str, wait: str) -> None:
    """Takes a deployment out of service."""
    client = AdminClient(site, os.environ)
    body = DrainBody(seconds=span(wait))
    done = client.send("POST", f"deployments/{quote(name, safe='')}/drain", body, Drained)
    if as_json:
        show_json(screen, done)
    else:
        screen.say(f"{done.name} is {done.state}; {count(done.cut_off, 'answer')} cut off")


def _show(found: Deployments, screen: Screen, as_json: bool) -> None:
    rows = [
        (
            ", ".join((d.name, *d.aliases)),
            d.model,
            d.base_url or d.runtime or "",
            ", ".join(d.fallback),
            str(d.replicas),
            d.state if not d.reason else f"{d.state}: {d.reason}",
            str(d.running),
            str(d.waiting),
        )
        for d in found.deployments
    ]
    columns = ["names", "model", "server", "fallback", "replicas", "state", "running", "waiting"]
    show(screen, found, as_json, table(columns, rows, "replicas running waiting"))
    if not as_json:
        screen.say(f"generation {found.generation}", "dim")
