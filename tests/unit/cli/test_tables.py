"""Tables of the command line."""

from __future__ import annotations

import io

from rich.console import Console

from actinium.cli.admin.tables import table


def shown(width: int, *rows: tuple[str, ...]) -> str:
    out = io.StringIO()
    Console(file=out, width=width).print(table(("name", "found"), rows))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def test_brackets_are_no_markup() -> None:
    assert shown(60, ("a", 'pip install "actinium[gpu]"'), ("[bold]b", "[/]")) == (
        'name     found\na        pip install "actinium[gpu]"\n[bold]b  [/]'
    )


def test_only_the_last_column_gives_way() -> None:
    assert shown(24, ("backend emulator", "can run")).splitlines() == [
        "name              found",
        "backend emulator  can",
        "                  run",
    ]
