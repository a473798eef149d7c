"""The progress of loading: a bar for people, lines for logs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from actinium.inference import Progress

from ..screen import Screen

_log = logging.getLogger("actinium.cli.serve")


@contextmanager
def loading(screen: Screen) -> Iterator[Progress]:
    """A callback for ``Inference.start``; the bar is gone when the block ends."""
    if not screen.live:
        yield _line
        return
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    text = TextColumn("{task.description}")
    columns = (TextColumn("Loading"), BarColumn(40), TaskProgressColumn(), text)
    with Progress(*columns, console=screen.err, transient=True) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda fraction, text: bar.update(task, completed=fraction, description=text)


def _line(fraction: float, text: str) -> None:
    _log.info("loading %3.0f %%: %s", fraction * 100, text)
