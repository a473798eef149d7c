"""Who is next: fair shares of tokens among tenants and priorities, in virtual time.

Each flow has a counter of the service it got, divided by its weight; the flow with the least is
next. A flow that was idle begins at the counter of those that were not, so that idling saves
nothing up (virtual token counters: Sheng et al., *Fairness in serving large language models*,
OSDI 2024; start-time fair queueing: Goyal et al., 1996).
"""

from __future__ import annotations

from collections import deque
from heapq import heapify, heappop, heappush
from typing import Final, Generic, TypeVar

from .policy import Priority

T = TypeVar("T")

WEIGHTS: Final[dict[Priority, int]] = {
    "background": 1, "low": 2, "normal": 4, "high": 8, "critical": 16,
}  # fmt: skip
_REMEMBERED: Final = 1024
"""Idle flows a priority remembers at least, before it looks which it may forget."""


class Ticket(Generic[T]):
    """One that waits."""

    __slots__ = ("cost", "flow", "item", "waiting")

    def __init__(self, item: T, cost: float, flow: _Flow[T]) -> None:
        self.item = item
        self.cost = cost
        self.flow = flow
        self.waiting = True


class _Flow(Generic[T]):
    """The waiting of one tenant in one priority."""

    __slots__ = ("band", "cost", "queue", "served", "version", "weight")

    def __init__(self, band: _Band[T], weight: float) -> None:
        self.band = band
        self.weight = weight
        self.served = 0.0
        self.version = 0
        self.cost = 0.0  # of those who wait
        self.queue: deque[Ticket[T]] = deque()


class _Band(Generic[T]):
    """The tenants of one priority; ``served`` is the band's own counter among bands."""

    __slots__ = ("clock", "cost", "flows", "heap", "most", "served", "waiting", "weight")

    def __init__(self, weight: float) -> None:
        self.weight = weight
        self.served = 0.0
        self.clock = 0.0
        self.waiting = 0
        self.cost = 0.0
        self.most = _REMEMBERED
        self.flows: dict[str, _Flow[T]] = {}
        self.heap: list[tuple[float, int, int, _Flow[T]]] = []

    def entry(self, flow: _Flow[T], order: int) -> None:
        """Makes the flow's place in the heap that of its counter; older entries are stale."""
        flow.version += 1
        heappush(self.heap, (flow.served, order, flow.version, flow))

    def least(self) -> _Flow[T]:
        """The flow that is next. Some flow waits."""
        heap = self.heap
        while True:
            _, _, version, flow = heap[0]
            if version == flow.version and flow.queue:
                return flow
            heappop(heap)

    def tidy(self) -> None:
        """Forgets flows that wait for nothing, but for those that had the most more than others."""
        idle = [(f.served, name) for name, f in self.flows.items() if not f.queue]
        idle.sort(reverse=True)
        kept = {name for served, name in idle[: _REMEMBERED // 2] if served > self.clock}
        self.flows = {n: f for n, f in self.flows.items() if f.queue or n in kept}
        self.heap = [e for e in self.heap if e[2] == e[3].version and e[3].queue]
        heapify(self.heap)
        self.most = max(_REMEMBERED, 2 * len(self.flows))


class FairQueue(Generic[T]):
    """Waiting requests of all tenants.

    FQ-1: two tenants that always wait get tokens by their weights, give or take one request; and
    priorities share 1:2:4:8:16, so that none starves. Within a tenant and a priority the
    first is first.
    """

    def __init__(self) -> None:
        self._bands: dict[Priority, _Band[T]] = {p: _Band(w) for p, w in WEIGHTS.items()}
        self._clock = 0.0
        self._order = 0
        self.waiting = 0
        """How many there are; what is asked at each request reads it straight."""

    def __len__(self) -> int:
        return self.waiting

    def push(
        self, item: T, cost: float, *, tenant: str = "", priority: Priority = "normal",
        weight: float = 1.0,
    ) -> Ticket[T]:  # fmt: skip
        """Adds one to the end of its flow."""
        band = self._bands[priority]
        flow = band.flows.get(tenant)
        if flow is None:
            if len(band.flows) >= band.most:
                band.tidy()
            flow = band.flows[tenant] = _Flow(band, weight)
        flow.weight = weight
        if not band.waiting:
            band.served = max(band.served, self._clock)
        if not flow.queue:
            flow.served = max(flow.served, band.clock)
            self._order += 1
            band.entry(flow, self._order)
        ticket = Ticket(item, cost, flow)
        flow.queue.append(ticket)
        flow.cost += cost
        band.cost += cost
        band.waiting += 1
        self.waiting += 1
        return ticket

    def peek(self) -> Ticket[T] | None:
        """The one that is next, if any waits."""
        return self._next().queue[0] if self.waiting else None

    def pop(self) -> Ticket[T]:
        """Takes the one that is next and counts its cost. Raises IndexError where none waits."""
        if not self.waiting:
            raise IndexError("nobody waits")
        flow = self._next()
        band = flow.band
        ticket = flow.queue[0]
        band.clock = max(band.clock, flow.served)
        self._clock = max(self._clock, band.served)
        band.served += ticket.cost / band.weight
        flow.served += ticket.cost / flow.weight
        self._leave(ticket)
        return ticket

    @property
    def cost(self) -> float:
        """Of all who wait."""
        return sum(band.cost for band in self._bands.values() if band.waiting)

    def cost_before(self, tenant: str, priority: Priority, weight: float) -> float:
        """The cost of those who would go before a newcomer of a tenant."""
        band = self._bands[priority]
        flow = band.flows.get(tenant)
        own, served = (0.0, 0.0) if flow is None else (flow.cost, flow.served)
        return self._before(band, max(served, band.clock) + own / weight)[1]

    def before(self, ticket: Ticket[T]) -> tuple[int, float]:
        """How many go before one that waits if nobody else comes, about, and their cost."""
        flow = ticket.flow
        number, own = 0, 0.0
        for other in flow.queue:
            if other is ticket:
                break
            number += 1
            own += other.cost
        ahead, cost = self._before(flow.band, flow.served + own / flow.weight, but=flow)
        return ahead + number, cost

    def _before(
        self, band: _Band[T], start: float, but: _Flow[T] | None = None
    ) -> tuple[int, float]:
        """Number and cost of those who are served before a flow's counter is at ``start``; those
        of the flow ``but`` are not numbered."""
        number, cost = 0.0, 0.0
        for flow in band.flows.values():
            if flow.queue:
                part = min(flow.cost, max(0.0, flow.weight * (start - flow.served)))
                cost += part
                if flow is not but:
                    number += _part(len(flow.queue), part, flow.cost)
        turn = max(band.served, 0.0 if band.waiting else self._clock) + cost / band.weight
        for other in self._bands.values():
            if other is not band and other.waiting:
                part = min(other.cost, max(0.0, other.weight * (turn - other.served)))
                cost += part
                number += _part(other.waiting, part, other.cost)
        return round(number), cost

    def last_of_most(self, tenant: str, priority: Priority, weight: float) -> Ticket[T] | None:
        """Who makes room for a newcomer: the last one of the tenant that waits the most for its
        weight, of the lowest priority there is. None where that would be the newcomer itself."""
        band = next((band for band in self._bands.values() if band.waiting), None)
        mine = self._bands[priority]
        if band is None or band.weight > mine.weight:
            return None
        most = max(band.flows.values(), key=lambda flow: len(flow.queue) / flow.weight)
        if band is mine:
            own = mine.flows.get(tenant)
            waiting = 1 + (0 if own is None else len(own.queue))
            if most is own or len(most.queue) / most.weight <= waiting / weight:
                return None
        return most.queue[-1]

    def remove(self, ticket: Ticket[T]) -> None:
        """One that waits goes away, and is not charged."""
        if ticket.waiting:
            self._leave(ticket)

    def correct(self, ticket: Ticket[T], change: float) -> None:
        """The real cost of one that was served differs from the estimate by ``change``."""
        flow = ticket.flow
        flow.band.served += change / flow.band.weight
        flow.served += change / flow.weight
        if flow.queue:
            self._order += 1
            flow.band.entry(flow, self._order)

    def _next(self) -> _Flow[T]:
        band = min((b for b in self._bands.values() if b.waiting), key=_served)
        return band.least()

    def _leave(self, ticket: Ticket[T]) -> None:
        flow = ticket.flow
        ticket.waiting = False
        flow.queue.remove(ticket)
        flow.cost -= ticket.cost
        flow.band.cost -= ticket.cost
        flow.band.waiting -= 1
        self.waiting -= 1
        flow.version += 1
        if flow.queue:
            self._order += 1
            flow.band.entry(flow, self._order)


def _served(band: _Band[T]) -> float:
    return band.served


def _part(waiting: int, part: float, cost: float) -> float:
    """So many of those who wait, as their part of the cost says."""
    return waiting * part / cost if cost > 0 else 0.0
