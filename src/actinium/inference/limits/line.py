"""Those who wait for one thing: in fair order, no longer than makes sense, no more than fit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf
from typing import Generic, TypeVar

import msgspec

from .fair import FairQueue, Ticket
from .pace import Pace
from .policy import Priority

T = TypeVar("T")

Refusal = Callable[[float | None], Exception]
"""Makes the error of who is not let in, from the seconds after which it may try again."""


class Place(msgspec.Struct, frozen=True):
    """Where one stands: how many go before it, about, and the seconds that takes, if known."""

    ahead: int
    seconds: float | None


class Waiter(Generic[T]):
    """One that waits: what for (``item``), and the future that the owner of the line sets."""

    __slots__ = ("future", "item", "refusal")

    def __init__(self, item: T, refusal: Refusal) -> None:
        self.item = item
        self.refusal = refusal
        self.future: asyncio.Future[object] = asyncio.get_running_loop().create_future()


class Line(Generic[T]):
    """A fair queue of at most ``size`` that sheds load.

    Whoever cannot be served in time, as far as the pace tells, is refused at once. In a full line a
    newcomer takes the place of the last one of a lower priority, or of the tenant of its own
    priority that holds most of the line; else it is refused itself. All are told when to try again.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.shed = 0
        self.queue: FairQueue[Waiter[T]] = FairQueue()
        self._pace = Pace()
        self._named: dict[str, Ticket[Waiter[T]]] = {}

    def __len__(self) -> int:
        return len(self.queue)

    def join(
        self, item: T, cost: float, refusal: Refusal, *, name: str, tenant: str,
        priority: Priority, weight: float, longest: float = inf,
    ) -> Ticket[Waiter[T]]:  # fmt: skip
        """Waits at the end of its flow. Raises what ``refusal`` makes; see :class:`Line`."""
        queue = self.queue
        ahead = queue.cost_before(tenant, priority, weight)
        wait = self._pace.seconds(ahead + cost)
        if wait is not None and wait > longest:
            self.shed += 1
            raise refusal(wait)
        if len(queue) >= self.size:
            self.shed += 1
            last = queue.last_of_most(tenant, priority, weight)
            if last is None:
                raise refusal(self._pace.seconds(queue.cost))
            self._refuse(last)
        if not queue:
            self._pace.begin(asyncio.get_running_loop().time())
        waiter = Waiter(item, refusal)
        ticket = queue.push(waiter, cost, tenant=tenant, priority=priority, weight=weight)
        if name:
            self._named[name] = ticket
        return ticket

    def leave(self, name: str, ticket: Ticket[Waiter[T]]) -> bool:
        """The wait is over, however; whether it was in vain and others may move up."""
        if name:
            self._named.pop(name, None)
        if not ticket.waiting:
            return False
        self.queue.remove(ticket)
        return True

    def next(self) -> Ticket[Waiter[T]] | None:
        """Who is next, if anybody waits. Those who are leaving are passed over."""
        while (ticket := self.queue.peek()) is not None:
            if not ticket.item.future.done():
                return ticket
            self.queue.remove(ticket)
        return None

    def let_in(self, ticket: Ticket[Waiter[T]], result: object) -> None:
        """The next one (``ticket``) gets ``result``."""
        future = ticket.item.future
        self.queue.pop()
        self._pace.let_in(future.get_loop().time(), ticket.cost)
        future.set_result(result)

    def place(self, name: str) -> Place | None:
        """Where the one of this name stands; None where it does not wait."""
        ticket = self._named.get(name)
        if ticket is None or not ticket.waiting:
            return None
        ahead, cost = self.queue.before(ticket)
        return Place(ahead, self._pace.seconds(cost + ticket.cost))

    def seconds(self) -> float | None:
        """How long it takes to serve all who wait, if known."""
        return self._pace.seconds(self.queue.cost)

    def _refuse(self, ticket: Ticket[Waiter[T]]) -> None:
        self.queue.remove(ticket)
        waiter = ticket.item
        if not waiter.future.done():
            waiter.future.set_exception(waiter.refusal(self.seconds()))
