"""Faults in a system that runs on the real clock."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from actinium.core import System

from .faults import Faults
from .watch import Watch


@contextmanager
def inject(system: System, seed: int = 7) -> Iterator[Faults]:
    """The fault points of a started system, within the block; a TestSystem has its own.

    Handlers have the points of actors that were spawned within the block. At its end everything
    is disarmed, and what was delayed arrives.

    >>> async with ac.System() as system:
    ...     with testkit.inject(system, seed=3) as faults:
    ...         faults.arm("mailbox.put", drop=0.01)
    """
    faults = Faults(seed)
    watch = Watch(system, faults)
    try:
        yield faults
    finally:
        faults.disarm()
        watch.let_go()
