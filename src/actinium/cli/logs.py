"""What the log looks like: lines on stderr."""

from __future__ import annotations

import logging
from enum import StrEnum

from actinium.ops.logs import LogHandler, LogSettings, set_up_logs
from actinium.ops.writer import Writer

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


def log_writer(settings: LogSettings) -> Writer:
    """The writer of the process's log, which goes through it from here on.

    Lines for people stay as :func:`set_up` made them while no request is logged and nothing was
    asked of the log.
    """
    root = logging.getLogger()
    for handler in root.handlers:
        if isinstance(handler, LogHandler):
            return handler.writer
    return set_up_logs(settings, root.level)
