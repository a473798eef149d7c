"""How a command ends when it fails: one line, a hint, an exit code; no traceback."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import typer

from actinium.errors import ActiniumError, ConfigError, MissingExtra, SystemFailed, UsageError

from .screen import Screen

FAILED: Final = 1
USAGE: Final = 2
CANNOT_BIND: Final = 3
FATAL: Final = 70  # EX_SOFTWARE of sysexits.h

_EXTRAS: Final = {
    "httptools": "serve",
    "prometheus_client": "serve",
    "onnxruntime": "embedded",
    "numpy": "embedded",
    "tokenizers": "embedded",
    "jinja2": "embedded",
}
"""Which extra brings a package that a command imports."""


class CommandFailed(ActiniumError):
    """A command cannot go on. ``hint`` is what to do about it, ``code`` the exit code."""

    def __init__(self, text: str, hint: str = "", code: int = FAILED) -> None:
        super().__init__(text)
        self.hint = hint
        self.code = code


@contextmanager
def failures(screen: Screen, debug: bool) -> Iterator[None]:
    """Turns errors of the package into a line on stderr; ``debug`` shows the traceback too."""
    try:
        yield
    except ActiniumError as error:
        if debug:
            screen.err.print(traceback.format_exc(), markup=False, end="")
        screen.fail(_text(error), getattr(error, "hint", ""))
        raise typer.Exit(exit_code(error)) from error
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        if debug:
            screen.err.print(traceback.format_exc(), markup=False, end="")
        screen.fail(str(MissingExtra(extra, f"this command uses {error.name!r} and")))
        raise typer.Exit(USAGE) from error


def _text(error: ActiniumError) -> str:
    """What happened; of a system that failed, down to the actor where it began."""
    text, cause = str(error), error.__cause__
    while isinstance(error, SystemFailed) and cause is not None:
        text += f"\n  because of {type(cause).__name__}: {cause}"
        cause = cause.__cause__
    return text


def exit_code(error: ActiniumError) -> int:
    """2 where the call or the configuration is wrong, 3 where a port is taken, 70 where a failure
    of an actor has ended the system, else 1."""
    if isinstance(error, CommandFailed):
        return error.code
    if isinstance(error, SystemFailed):
        return FATAL
    return USAGE if isinstance(error, ConfigError | UsageError | MissingExtra) else FAILED
