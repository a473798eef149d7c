"""Admission in front of one replica: so many run, so many wait fairly, the rest is refused."""

from __future__ import annotations

import asyncio
from math import inf

from actinium.errors import EngineOverloaded

from .limits.fair import Ticket
from .limits.line import Line, Place, Waiter
from .limits.policy import Priority


class Slots:
    """``size`` places to run and a queue of ``queue`` more, fair by tenant and priority.

    Invariants (RQ-2): ``0 <= used <= size``; ``waiting <= queue``; a place taken is given back
    by exactly one :meth:`free`. A freed place goes straight to the next waiter, so ``used``
    does not drop in between and nobody can overtake. Within a tenant and a priority the first is
    first; what happens in a full queue is said at :class:`~actinium.inference.limits.line.Line`.
    """

    __slots__ = ("_line", "queue", "size", "used")

    def __init__(self, size: int, queue: int) -> None:
        self.size = size
        self.queue = queue
        self.used = 0
        self._line: Line[None] = Line(queue)

    @property
    def waiting(self) -> int:
        return len(self._line)

    def take_nowait(self) -> bool:
        """Takes a place if one is free. Waiters imply that none is."""
        if self.used < self.size:
            self.used += 1
            return True
        return False

    async def take(
        self, cost: float = 1.0, *, tenant: str = "", priority: Priority = "normal",
        longest: float = inf, name: str = "",
    ) -> Ticket[Waiter[None]] | None:  # fmt: skip
        """Waits for a place; gives the ticket for :meth:`correct`, None where one was free.

        Raises EngineOverloaded at once where the queue is full or no place can be expected within
        ``longest`` seconds, and later for who has to make room. ``name`` is for :meth:`place`.
        """
        if self.take_nowait():
            return None
        line = self._line
        ticket = line.join(
            None, cost, self._refusal, name=name, tenant=tenant, priority=priority, weight=1.0,
            longest=longest,
        )  # fmt: skip
        future = ticket.item.future
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                self.free()  # the place was handed over in the moment of leaving
            raise
        finally:
            line.leave(name, ticket)
        return ticket

    def free(self) -> None:
        """Gives one place back, to the next waiter if there is one."""
        ticket = self._line.next()
        if ticket is None:
            self.used -= 1
        else:
            self._line.let_in(ticket, None)

    def correct(self, ticket: Ticket[Waiter[None]], cost: float) -> None:
        """What one that waited really cost."""
        self._line.queue.correct(ticket, cost - ticket.cost)

    def place(self, name: str) -> Place | None:
        """Where a request stands that waits; None where it does not."""
        return self._line.place(name)

    def seconds(self) -> float | None:
        """How long it takes until all who wait have a place, if known."""
        return self._line.seconds()

    def _refusal(self, after: float | None) -> EngineOverloaded:
        error = EngineOverloaded(
            f"all {self.size} places are taken and {self.waiting} requests wait; try again later"
        )
        error.retry_after = after
        return error
