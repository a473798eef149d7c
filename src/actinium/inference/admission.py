"""Admission in front of one replica: so many run, so many wait in order, the rest is refused."""

from __future__ import annotations

import asyncio
from collections import deque

from actinium.errors import EngineOverloaded


class Slots:
    """``size`` places to run and a first-come first-served queue of ``queue`` more.

    Invariants (RQ-2): ``0 <= used <= size``; ``waiting <= queue``; a place taken is given back
    by exactly one :meth:`free`. A freed place goes straight to the first waiter, so ``used``
    does not drop in between and nobody can overtake.
    """

    __slots__ = ("_waiters", "queue", "size", "used")

    def __init__(self, size: int, queue: int) -> None:
        self.size = size
        self.queue = queue
        self.used = 0
        self._waiters: deque[asyncio.Future[None]] = deque()

    @property
    def waiting(self) -> int:
        return len(self._waiters)

    def take_nowait(self) -> bool:
        """Takes a place if one is free. Waiters imply that none is."""
        if self.used < self.size:
            self.used += 1
            return True
        return False

    async def take(self) -> None:
        """Waits for a place. Raises EngineOverloaded at once where the queue is full."""
        if self.take_nowait():
            return
        if len(self._waiters) >= self.queue:
            raise EngineOverloaded(
                f"all {self.size} places are taken and {len(self._waiters)} requests wait; "
                "try again later"
            )
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self.free()  # the place was handed over in the moment of leaving
            elif waiter in self._waiters:  # else free() met it first and passed over it
                self._waiters.remove(waiter)
            raise

    def free(self) -> None:
        """Gives one place back, to the first waiter if there is one."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        self.used -= 1
