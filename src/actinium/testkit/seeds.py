"""Which seed and schedule a test runs with, unless it says so itself."""

from __future__ import annotations

import os

from actinium.errors import ConfigError

SEED = 7


def seed_asked_for() -> int | None:
    """The seed in ``AC_SEED``, or None; raises ConfigError when it is no seed."""
    return _number("AC_SEED")


def runs_asked_for() -> int | None:
    """How many schedules a search tries by ``AC_RUNS``, or None; raises ConfigError."""
    return _number("AC_RUNS")


def _number(variable: str) -> int | None:
    text = os.environ.get(variable, "")
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) < 2**63:
        raise ConfigError(f"{variable} must be a whole number from 1 to 2**63 - 1, got {text!r}")
    return int(text)


def schedule_asked_for() -> str | None:
    """The schedule in ``AC_SCHEDULE``, or None."""
    return os.environ.get("AC_SCHEDULE") or None
