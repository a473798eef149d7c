"""Where requests wait for their limits: in fair order, woken when something changes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from math import inf
from weakref import WeakSet

from actinium.errors import EngineOverloaded, InferenceError, RateLimited

from .fair import Ticket
from .headers import Told
from .limiter import Allowance, Demand, Held, Need
from .line import Line, Place, Waiter
from .policy import Priority


class Permit:
    """What one request got of a gate; ended once, by :meth:`end`."""

    __slots__ = ("_gate", "_ticket", "charge")

    def __init__(self, gate: Gate, charge: Held, ticket: Ticket[Waiter[Need]] | None) -> None:
        self._gate = gate
        self.charge = charge
        self._ticket = ticket

    def end(self, real: Need | None) -> None:
        """The request used ``real``; None: it never reached the upstream."""
        if real is not None:
            self.settle(asyncio.get_running_loop().time(), real.input, real.output)
        elif self.charge.release():
            self._gate._ended(self._ticket, 0)

    def settle(self, now: float, input: int, output: int) -> None:
        """The request used so many tokens; ``now`` is the loop's time."""
        if self.charge.settle(now, 1, input + output, input, output):
            ticket = self._ticket
            if ticket is not None:
                self._gate._ended(ticket, input + 2 * output)
            else:
                self._gate.look_all()


class Gate:
    """A limiter with a queue. Everything happens on one event loop's thread.

    LM-4: nobody overtakes the queue; whoever cannot be served in time is told at once, with the
    seconds after which it could be. What happens in a full queue is said at :class:`Line`.
    """

    def __init__(
        self, limiter: Allowance, *, queue: int, max_wait: float, weights: Mapping[str, float]
    ) -> None:
        self.limiter = limiter
        self._max_wait = max_wait
        self._weights = weights
        self.line: Line[Need] = Line(queue)
        self._timer: asyncio.TimerHandle | None = None
        self._waiters = 0
        self._wanted = Demand(0, 0, 0)
        self._beside: WeakSet[Gate] = WeakSet((self,))
        self._several = False
        self.empty = asyncio.Event()  # nobody waits, or is about to go on
        self.empty.set()

    @property
    def waiting(self) -> int:
        return len(self.line)

    def try_take(self, need: Need, now: float) -> Permit | None:
        """A permit at once, or None where one would have to wait."""
        if self.line.queue.waiting:
            return None
        charge = self.limiter.try_take(now, need)
        return Permit(self, charge, None) if charge is not None else None

    def wait_of(self, need: Need, now: float) -> float:
        """Seconds that a request has to wait at least, as far as is known."""
        wait = self.limiter.due(now, need)
        return 0.0 if wait == inf else wait

    async def take(
        self, need: Need, *, tenant: str = "", priority: Priority = "normal", until: float = inf,
        name: str = "",
    ) -> Permit:  # fmt: skip
        """Waits for a permit until the loop's time ``until``; ``name`` is for :meth:`place`.

        Raises RateLimited where a limit, and EngineOverloaded where the places taken or a full
        queue are in the way; at once where the time cannot be met.
        """
        loop = asyncio.get_running_loop()
        now = loop.time()
        at_once = self.try_take(need, now)
        if at_once is not None:
            return at_once
        longest = min(self._max_wait, until - now)
        wait = self.limiter.least_wait(now, need)
        if wait > longest:
            raise self._late(wait)
        line = self.line
        ticket = line.join(
            need, need.cost, self._refusal, name=name, tenant=tenant, priority=priority,
            weight=self._weights.get(tenant, 1.0), longest=longest,
        )  # fmt: skip
        future = ticket.item.future
        self._pump()
        timer = loop.call_later(longest, self._give_up, ticket)
        self._waiters += 1
        self._wanted = self._wanted.plus(need)
        self.empty.clear()
        try:
            permit = await future
            assert isinstance(permit, Permit)
            return permit
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                permit = future.result()  # it came in the moment of leaving
                assert isinstance(permit, Permit)
                permit.end(None)
            raise
        finally:
            timer.cancel()
            self._waiters -= 1
            self._wanted = self._wanted.less(need)
            if not self._waiters:
                self.empty.set()
            if line.leave(name, ticket):
                self._pump()

    def place(self, name: str) -> Place | None:
        """Where a request stands that waits; None where it does not."""
        return self.line.place(name)

    @property
    def wanted(self) -> Demand:
        """What all need who wait for the limiter, here and at other gates before it."""
        found = Demand(0, 0, 0)
        for gate in self._beside:
            found = Demand(*(a + b for a, b in zip(found, gate._wanted, strict=True)))
        return found

    def look(self) -> None:
        """Something that the limiter waits for has changed."""
        if self.line.queue:
            self._pump()

    def go_on(self, before: Gate, limiter: Allowance) -> None:
        """Stands before the same ``limiter`` as another gate did, which goes on for those who wait
        there: what is given back at one gate lets in those at the other."""
        self.limiter = limiter
        self._beside = before._beside
        self._beside.add(self)
        self._several = before._several = True

    def learn(self, told: Mapping[str, Told], now: float) -> float:
        """See :meth:`Allowance.learn`."""
        wait = self.limiter.learn(now, told)
        self.look_all()
        return wait

    def _ended(self, ticket: Ticket[Waiter[Need]] | None, cost: int) -> None:
        """A request has ended, and really cost so much."""
        if ticket is not None:
            self.line.queue.correct(ticket, cost - ticket.cost)
        self.look_all()

    def look_all(self) -> None:
        """The same at all gates before the limiter."""
        if self.line.queue.waiting:
            self._pump()
        if self._several:
            for gate in list(self._beside):
                gate.look()

    def _pump(self) -> None:
        """Lets in whoever is next and fits; sets the timer for the first one who does not."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        loop = asyncio.get_running_loop()
        while (ticket := self.line.next()) is not None:
            need = ticket.item.item
            now = loop.time()
            wait = self.limiter.wait(now, need)
            if wait > 0:
                if wait != inf:
                    self._timer = loop.call_later(wait, self._pump)
                self.limiter.seek(need)
                return
            charge = self.limiter.take(now, need)
            self.line.let_in(ticket, Permit(self, charge, ticket))

    def _give_up(self, ticket: Ticket[Waiter[Need]]) -> None:
        future = ticket.item.future
        if not future.done():
            now = future.get_loop().time()
            wait = self.limiter.due(now, ticket.item.item)
            after = self.line.seconds()
            future.set_exception(
                self._full(after) if wait == inf else self._late(max(wait, after or 1.0))
            )

    def _late(self, wait: float) -> RateLimited:
        error = RateLimited(f"the deployment's own limit is reached; again in {wait:.3g} s")
        error.retry_after = None if wait == inf else wait
        return error

    def _refusal(self, after: float | None) -> InferenceError:
        """Of one that the line does not take, or puts out."""
        now = asyncio.get_running_loop().time()
        wait = self.limiter.due(now, Need(0, 0))
        if wait == inf or after is None:
            return self._full(after)
        return self._late(max(wait, after))

    def _full(self, after: float | None) -> EngineOverloaded:
        waiting = len(self.line)
        error = EngineOverloaded(
            f"all {self.limiter.concurrent} places are taken and {waiting} requests wait"
            if self.limiter.concurrent is not None
            else f"{waiting} requests wait for the deployment's limits"
        )
        error.retry_after = max(1.0, after or 1.0)
        return error
