"""``actinium doctor``: all checks as a table."""

from __future__ import annotations

import os
from typing import Final

from rich.table import Table
from rich.text import Text

from ..screen import Screen
from . import machine, model, python
from .check import Check

_STYLES: Final = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def checks(host: str, port: int, store: str | None) -> list[Check]:
    """Everything that is looked at, in the order of the table."""
    return [
        python.python(),
        python.system(),
        python.native(),
        *python.packages(),
        model.embedded(),
        machine.store(store),
        machine.port(host, port),
        machine.memory(),
        machine.cores(),
        machine.gpu(),
        machine.key("OPENAI_API_KEY", os.environ),
    ]


def doctor(screen: Screen, host: str, port: int, store: str | None) -> bool:
    """Prints the table; True if nothing failed."""
    found = checks(host, port, store)
    if screen.out.is_terminal:
        _table(screen, found)
    else:
        for check in found:
            fix = f"; fix: {check.fix}" if check.fix else ""
            screen.say(f"{check.status:4}  {check.name}: {check.found}{fix}")
    failed = sum(check.status == "fail" for check in found)
    warned = sum(check.status == "warn" for check in found)
    if failed:
        screen.say(f"{failed} of {len(found)} checks failed", "bold red")
    elif warned:
        screen.say(f"nothing failed; {warned} of {len(found)} checks are warnings", "yellow")
    else:
        screen.say("all is well; try: actinium serve", "green")
    return failed == 0


def _table(screen: Screen, found: list[Check]) -> None:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for check in found:
        text = Text(check.found)
        if check.fix:
            text.append(f"\nfix: {check.fix}", "cyan")
        table.add_row(Text(check.status, _STYLES[check.status]), check.name, text)
    screen.out.print()
    screen.out.print(table, soft_wrap=False)
    screen.out.print()
