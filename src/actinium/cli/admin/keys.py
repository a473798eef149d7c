"""``actinium keys``."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from actinium.errors import ConfigError
from actinium.inference import Budget
from actinium.inference.tenants import KeyLimits, KeySpec
from actinium.serve.admin.shapes import KeyMade, KeyView, KeyViews, Rotate

from ..failures import USAGE, CommandFailed
from ..screen import Screen
from .client import AdminClient, Site
from .tables import budget_text, limits_text, show, show_json, table

_SPAN: Final = re.compile(r"(\d+)([smhdw])")
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def list_keys(site: Site, screen: Screen, as_json: bool) -> None:
    """All keys; those that are not in use say why."""
    found = AdminClient(site, os.environ).get("keys", KeyViews)
    now = datetime.now(UTC)
    rows = [
        (
            key.id,
            key.name,
            key.tenant,
            ", ".join(key.models),
            limits_text(key.limits),
            budget_text(key.budget),
            key.priority,
            f"{key.expires:%Y-%m-%d %H:%M}" if key.expires is not None else "never",
            _state(key, now),
        )
        for key in found.keys
    ]
    columns = ["id", "name", "tenant", "models", "limits", "budget", "priority", "expires", "state"]
    show(screen, found, as_json, table(columns, rows))


def create_key(
    site: Site, screen: Screen, as_json: bool, name: str, tenant: str, models: Sequence[str],
    limits: KeyLimits, budget: tuple[float | None, float | None, float | None], priority: str,
    expires: str | None,
) -> None:  # fmt: skip
    """Makes a key and shows it, this once."""
    hour, day, month = budget
    spec = {
        "name": name,
        "tenant": tenant,
        "models": list(models) or ["*"],
        "limits": limits if limits != KeyLimits() else None,
        "budget": Budget(per_hour=hour, per_day=day, per_month=month) if any(budget) else None,
        "priority": priority,
        "expires": end_of(expires, datetime.now(UTC)) if expires is not None else None,
    }
    try:
        wanted = msgspec.convert(spec, KeySpec)
    except msgspec.ValidationError as error:
        raise ConfigError(str(error)) from error
    client = AdminClient(site, os.environ)
    _show_made(client.send("POST", "keys", wanted, KeyMade), screen, as_json)


def rotate_key(site: Site, screen: Screen, as_json: bool, id: str, overlap: str) -> None:
    """Gives a key a new secret and shows it, this once."""
    body = Rotate(overlap=span(overlap))
    client = AdminClient(site, os.environ)
    made = client.send("POST", f"keys/{_checked(id)}/rotate", body, KeyMade)
    _show_made(made, screen, as_json)
    if not as_json and body.overlap:
        end = datetime.now(UTC) + timedelta(seconds=body.overlap)
        screen.err.print(f"The old one works until {end:%Y-%m-%d %H:%M} UTC.", style="dim")


def disable_key(site: Site, screen: Screen, as_json: bool, id: str, again: bool) -> None:
    """Refuses a key, or lets it in again."""
    what = "enable" if again else "disable"
    client = AdminClient(site, os.environ)
    key = client.send("POST", f"keys/{_checked(id)}/{what}", None, KeyView)
    if as_json:
        show_json(screen, key)
    else:
        screen.say(f"{key.id} ({key.name}) is {'disabled' if key.disabled else 'in use'}")


def delete_key(site: Site, screen: Screen, id: str) -> None:
    """Forgets a key."""
    AdminClient(site, os.environ).delete(f"keys/{_checked(id)}")
    screen.say(f"{id} is gone; what it used stays in the accounts")


def span(text: str) -> float:
    """Seconds of ``90s``, ``15m``, ``24h``, ``30d``, ``2w``, or 0. Raises CommandFailed."""
    match = _SPAN.fullmatch(text)
    if match is None and text != "0":
        raise CommandFailed(
            f"expected a time such as 24h or 30d, got {text!r}",
            "units are s, m, h, d and w (weeks)",
            USAGE,
        )
    return float(int(match[1]) * _UNITS[match[2]]) if match is not None else 0.0


def end_of(text: str, now: datetime) -> datetime:
    """The end of a key: a span from now (``90d``), or a date with or without a time (UTC)."""
    if _SPAN.fullmatch(text):
        return (now + timedelta(seconds=span(text))).replace(microsecond=0)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise CommandFailed(
            f"--expires: expected a time such as 90d, or a date such as 2027-12-31, got {text!r}",
            code=USAGE,
        ) from None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def _show_made(made: KeyMade, screen: Screen, as_json: bool) -> None:
    if as_json:
        show_json(screen, made)
        return
    screen.say(made.key, "bold")  # alone on stdout, for a program to take
    screen.err.print(
        f"This is the key {made.id} ({made.name} of {made.tenant}). It is shown now and never "
        "again: the gateway keeps a hash of it.",
        style="dim",
    )


def _state(key: KeyView, now: datetime) -> str:
    if key.disabled:
        return "disabled"
    if key.expires is not None and key.expires <= now:
        return "expired"
    return "declared" if key.declared else "in use"


def _checked(id: str) -> str:
    """An id that can stand in a path."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,62}", id):
        raise CommandFailed(
            f"{id[:64]!r} is no id of a key",
            "ids are in the first column of: actinium keys list",
            USAGE,
        )
    return id
