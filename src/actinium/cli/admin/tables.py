"""Results as tables for people, or as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec
from rich.table import Table
from rich.text import Text

from ..screen import Screen


def show(screen: Screen, value: Any, as_json: bool, table: Table) -> None:
    """One of both, on stdout."""
    if as_json:
        show_json(screen, value)
    else:
        screen.out.print(table)


def show_json(screen: Screen, value: Any) -> None:
    """What the gateway answered, indented."""
    plain = msgspec.to_builtins(value, builtin_types=())
    screen.out.print(json.dumps(plain, indent=2, ensure_ascii=False), markup=False)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], numbers: str = "") -> Table:
    """A plain table; ``numbers`` are the columns to set to the right, between spaces.

    Where it is too wide, the last column goes on in the next line.
    """
    made = Table(box=None, pad_edge=False, header_style="bold")
    right = numbers.split()
    for at, column in enumerate(columns, 1):
        made.add_column(
            column, justify="right" if column in right else "left", no_wrap=at < len(columns)
        )
    for row in rows:
        made.add_row(*map(Text, row))  # as they are: a name may hold brackets
    return made


def limits_text(limits: Any) -> str:
    """``60 rpm, 4 at once``; what is not limited is left out."""
    if limits is None:
        return ""
    names = {"rpm": "rpm", "tpm": "tpm", "concurrent": "at once"}
    parts = (f"{value} {names[k]}" for k in names if (value := getattr(limits, k)) is not None)
    return ", ".join(parts)


def budget_text(budget: Any) -> str:
    """``5 USD/day``."""
    if budget is None:
        return ""
    named = {"per_hour": "hour", "per_day": "day", "per_month": "month"}
    parts = (f"{v:g} USD/{named[k]}" for k in named if (v := getattr(budget, k)) is not None)
    return ", ".join(parts)
