"""``actinium usage``."""

from __future__ import annotations

import os
from urllib.parse import urlencode

from msgspec import UNSET

from actinium.serve.admin.shapes import UsageRow, UsageRows

from ..screen import Screen
from .client import AdminClient, Site
from .tables import show, table

_FIELDS = ("day", "tenant", "key", "deployment")
_SUMS = ("requests", "input", "cached", "output", "cost_usd")


def show_usage(site: Site, screen: Screen, as_json: bool, asked: dict[str, str | None]) -> None:
    """What was used, summed as asked for, with a line of the totals."""
    query = urlencode({name: value for name, value in asked.items() if value is not None})
    found = AdminClient(site, os.environ).get(f"usage?{query}" if query else "usage", UsageRows)
    rows = found.usage
    fields = [name for name in _FIELDS if rows and getattr(rows[0], name) is not UNSET]
    lines = [[*(str(getattr(row, name)) or "-" for name in fields), *_sums(row)] for row in rows]
    if len(rows) > 1:
        whole = UsageRow(
            requests=sum(row.requests for row in rows), input=sum(row.input for row in rows),
            cached=sum(row.cached for row in rows), output=sum(row.output for row in rows),
            cost_usd=sum(row.cost_usd for row in rows),
            estimated=sum(row.estimated for row in rows),
        )  # fmt: skip
        lines.append([*(["total"] + [""] * len(fields))[: len(fields)], *_sums(whole)])
    columns = [*fields, *_SUMS]
    show(screen, found, as_json, table(columns, lines, " ".join(_SUMS)))


def _sums(row: UsageRow) -> list[str]:
    return [*(f"{getattr(row, name):,}" for name in _SUMS[:-1]), f"{row.cost_usd:.6f}"]
