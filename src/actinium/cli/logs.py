"""What the log looks like: lines on stderr."""

from __future__ import annotations

import logging
from enum import StrEnum

from .screen import Screen


class Level(StrEnum):
    """From which importance on a line is written."""

    debug = "debug"
    info = "info"
    warning = "warning"
    error = "error"


def set_up(screen: Screen, level: Level) -> None:
    """Sends the process's log to stderr; coloured on a terminal, with full times elsewhere."""
    handler: logging.Handler
    if screen.err.is_terminal:
        from rich.logging import RichHandler

        handler = RichHandler(console=screen.err, show_path=False, log_time_format="%X")
        handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
    else:
        handler = logging.StreamHandler(screen.err.file)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    if level is not Level.debug:
        logging.getLogger("asyncio").setLevel(logging.WARNING)
