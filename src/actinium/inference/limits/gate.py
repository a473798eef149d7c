"""Where requests wait for their limits: in fair order, woken when something changes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from math import inf

from actinium.errors import EngineOverloaded, RateLimited

from .fair import FairQueue, Ticket
from .headers import Told
from .limiter import Allowance, Charge, Need
from .policy import Priority


class Permit:
    """What one request got of a gate; ended once, by :meth:`end`."""

    __slots__ = ("_gate", "_ticket", "charge")

    def __init__(self, gate: Gate, charge: Charge, ticket: Ticket[_Waiter] | None) -> None:
        self._gate = gate
        self.charge = charge
        self._ticket = ticket

    def end(self, real: Need | None) -> None:
        """The request used ``real``; None: it never reached the upstream."""
        if self.charge.open:
            self._gate._end(self.charge, self._ticket, real)


class _Waiter:
    """A request that waits, and what it needs."""

    __slots__ = ("future", "need")

    def __init__(self, need: Need, future: asyncio.Future[Permit]) -> None:
        self.need = need
        self.future = future


class Gate:
    """A limiter with a queue. Everything happens on one event loop's thread.

    LM-4: nobody overtakes the queue; whoever cannot be served in time is told at once, with the
    seconds after which it could be.
    """

    def __init__(
        self, limiter: Allowance, *, queue: int, max_wait: float, weights: Mapping[str, float]
    ) -> None:
        self.limiter = limiter
        self._size = queue
        self._max_wait = max_wait
        self._weights = weights
        self._queue: FairQueue[_Waiter] = FairQueue()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def waiting(self) -> int:
        return len(self._queue)

    def try_take(self, need: Need, now: float) -> Permit | None:
        """A permit at once, or None where one would have to wait."""
        if self._queue or self.limiter.wait(now, need) > 0:
            return None
        return Permit(self, self.limiter.take(now, need), None)

    def wait_of(self, need: Need, now: float) -> float:
        """Seconds that a request has to wait at least, as far as is known."""
        wait = self.limiter.wait(now, need)
        return 0.0 if wait == inf else wait

    async def take(
        self, need: Need, *, tenant: str = "", priority: Priority = "normal", until: float = inf
    ) -> Permit:
        """Waits for a permit until the loop's time ``until``.

        Raises RateLimited where a limit, and EngineOverloaded where the places taken or a full
        queue are in the way; at once where the time cannot be met.
        """
        loop = asyncio.get_running_loop()
        now = loop.time()
        permit = self.try_take(need, now)
        if permit is not None:
            return permit
        longest = min(self._max_wait, until - now)
        wait = self.limiter.least_wait(now, need)
        if wait > longest:
            raise self._late(wait)
        if len(self._queue) >= self._size:
            raise self._full()
        waiter = _Waiter(need, loop.create_future())
        ticket = self._queue.push(
            waiter, need.cost, tenant=tenant, priority=priority,
            weight=self._weights.get(tenant, 1.0),
        )  # fmt: skip
        self._pump()
        timer = loop.call_later(longest, self._give_up, ticket)
        try:
            return await waiter.future
        except asyncio.CancelledError:
            if waiter.future.done() and not waiter.future.cancelled():
                waiter.future.result().end(None)  # it came in the moment of leaving
            raise
        finally:
            timer.cancel()
            if ticket.waiting:
                self._queue.remove(ticket)
                self._pump()

    def learn(self, told: Mapping[str, Told], now: float) -> float:
        """See :meth:`Allowance.learn`."""
        wait = self.limiter.learn(now, told)
        self._pump()
        return wait

    def _end(self, charge: Charge, ticket: Ticket[_Waiter] | None, real: Need | None) -> None:
        self.limiter.settle(asyncio.get_running_loop().time(), charge, real)
        if ticket is not None:
            used = real.cost if real is not None else 0
            self._queue.correct(ticket, used - charge.need.cost)
        if self._queue:
            self._pump()

    def _pump(self) -> None:
        """Lets in whoever is next and fits; sets the timer for the first one who does not."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        loop = asyncio.get_running_loop()
        while (ticket := self._queue.peek()) is not None:
            waiter = ticket.item
            if waiter.future.done():  # cancelled, and about to leave by itself
                self._queue.remove(ticket)
                continue
            now = loop.time()
            wait = self.limiter.wait(now, waiter.need)
            if wait > 0:
                if wait != inf:
                    self._timer = loop.call_later(wait, self._pump)
                return
            self._queue.pop()
            charge = self.limiter.take(now, waiter.need)
            waiter.future.set_result(Permit(self, charge, ticket))

    def _give_up(self, ticket: Ticket[_Waiter]) -> None:
        future = ticket.item.future
        if not future.done():
            now = future.get_loop().time()
            wait = self.limiter.wait(now, ticket.item.need)
            future.set_exception(self._full() if wait == inf else self._late(max(wait, 1.0)))

    def _late(self, wait: float) -> RateLimited:
        error = RateLimited(f"the deployment's own limit is reached; again in {wait:.3g} s")
        error.retry_after = None if wait == inf else wait
        return error

    def _full(self) -> EngineOverloaded:
        error = EngineOverloaded(
            f"all {self.limiter.concurrent} places are taken and {len(self._queue)} requests wait"
            if self.limiter.concurrent is not None
            else f"{len(self._queue)} requests wait for the deployment's limits"
        )
        error.retry_after = 1.0
        return error
