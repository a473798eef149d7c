"""How many threads a system runs its actors on, and what it expects of whoever runs them."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Protocol

from actinium.errors import ConfigError, Unsupported

from .remote import WorkerPool
from .shardcore import THREADS

if TYPE_CHECKING:
    from .watchdog import Stuck

MOST = 64
"""Shards a system may have."""


class Shards(WorkerPool, Protocol):
    """The further shards of a system; the plug ``shards`` makes one from (system, count)."""

    count: int
    """Of all shards, the first one included."""

    def statistics(self) -> dict[str, int]:
        """The counters of all shards, summed."""

    def stuck(self, seconds: float) -> list[Stuck]:
        """What ``System.stuck`` finds on the further shards."""


def gil_disabled() -> bool:
    """Whether handlers on several threads run at once here."""
    return THREADS and not getattr(sys, "_is_gil_enabled", lambda: True)()


def check_shards(shards: object, workers: int) -> int:
    """How many shards it shall be.

    Raises ConfigError for what is no number of shards, Unsupported where there is a GIL.
    """
    if shards == "auto":
        shards = min(os.cpu_count() or 1, MOST) if gil_disabled() and not workers else 1
    if isinstance(shards, bool) or not isinstance(shards, int) or not 1 <= shards <= MOST:
        raise ConfigError(f'shards is a number of threads, 1 to {MOST}, or "auto", got {shards!r}')
    if shards == 1:
        return 1
    if workers:
        raise ConfigError(
            f"shards={shards} and workers={workers}: a system spreads over threads or over "
            "processes; write one of the two"
        )
    if not gil_disabled():
        why = (
            "this free-threaded interpreter has its GIL switched on (PYTHON_GIL=1, or a module "
            "that needs it)"
            if THREADS
            else "this interpreter has a GIL"
        )
        raise Unsupported(
            f"shards={shards} needs an interpreter without a GIL, and {why}: handlers would take "
            f"turns on one core. Write workers={shards} to use more cores, or run a free-threaded "
            "build such as python3.14t"
        )
    return shards
