"""Writes of one turn of the event loop go out together.

Every small write wakes its reader, and waking a sleeping process costs more than the write.
Written one right after the other at the end of a turn, the second finds its reader awake
already; under load that saves a third of a proxy's time. The price is one pass through the
loop's ready queue, some microseconds.
"""

from __future__ import annotations

import asyncio
from typing import Protocol


class Corked(Protocol):
    """Something that holds back its output until it is told to write it."""

    def flush(self) -> None:
        """Writes what is held back. Must not raise."""


class Cork:
    """Calls :meth:`Corked.flush` of each that was added, at the end of the loop's turn, or when
    ``most`` of them wait: for what is late if it waits for all that others do in that turn."""

    __slots__ = ("_most", "_waiting")

    def __init__(self, most: int = 0) -> None:
        self._most = most
        self._waiting: list[Corked] = []

    def add(self, corked: Corked) -> None:
        """``corked`` holds something back: it is flushed soon. Add it once per turn."""
        waiting = self._waiting
        if not waiting:
            asyncio.get_running_loop().call_soon(self._flush)
        waiting.append(corked)
        if len(waiting) == self._most:
            self._flush()

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        for corked in waiting:
            corked.flush()
