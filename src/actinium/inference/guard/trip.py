"""One request on its way through a chain: where to try next, and when to give up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from math import inf
from typing import TYPE_CHECKING, TypeVar

import msgspec

from actinium.base import attributes as a
from actinium.base.trace import Span, Value, current
from actinium.errors import (
    ActiniumError,
    BudgetExceeded,
    InferenceError,
    RateLimited,
    Unsupported,
)

from ..fit import check, check_embed
from ..limits.budget import Purse
from ..limits.limiter import Need
from ..replica import Replica
from ..request import EmbedRequest, Request
from .attempt import Attempt
from .guard import Guard
from .measures import GuardMeasures

if TYPE_CHECKING:
    from ..limits.shared import SharedLimiter

R = TypeVar("R", Request, EmbedRequest)


class _Leg:
    """What this request knows of one deployment of the chain."""

    __slots__ = ("again", "avoid", "error", "guard", "need", "out", "queued", "tries")

    def __init__(self, guard: Guard) -> None:
        self.guard = guard
        self.need: Need | None = None
        self.tries = 0
        self.again = 0.0  # not before this time of the loop
        self.avoid: Replica | None = None
        self.error: InferenceError | None = None
        self.queued = False  # only its own limit is in the way
        self.out = False


class Trip:
    """Who can serve now goes first, in the order of the chain; waiting is the last resort.

    A deployment that fails, is at rest, is over its limit or has an open breaker is passed over
    at once, without a pause, while another can serve. Where none can, the trip waits for the one
    that can soonest: for a limit in its fair queue, for the end of a rest or a pause only as its
    retry policy says. Where it may not wait, it raises the error that is over soonest.

    ``tried`` is an attempt on the first deployment that was made before there was a trip, as most
    requests need none. ``until`` is the end of all the time there is.
    """

    def __init__(
        self, request: Request | EmbedRequest, guards: Sequence[Guard], purses: Sequence[Purse],
        until: float, measures: GuardMeasures, tried: Attempt | None = None,
    ) -> None:  # fmt: skip
        self._request = self._asked = request  # differ once an answer has broken off
        self._legs = [_Leg(guard) for guard in guards]
        if tried is not None:
            self._legs[0].need, self._legs[0].tries = tried.need, 1
        self._purses = purses
        self._fresh = True  # no time has passed: nothing waited, nothing failed
        self._until = until
        self._measures = measures

    def next(self) -> Awaitable[Attempt]:
        """The next attempt. Raises the trip's error where there is none."""
        parent = current.get()
        return self._next() if parent is None else self._watched(parent)

    async def _watched(self, parent: Span) -> Attempt:
        """The same, in a span of its own."""
        span = parent.child(a.ROUTE_SPAN)
        current.set(span)
        try:
            attempt = await self._next()
        except BaseException as error:
            span.end(error)
            raise
        else:
            span.say(a.DEPLOYMENT, attempt.guard.name)
            span.end()
            return attempt
        finally:
            current.set(parent)

    async def _next(self) -> Attempt:
        loop = asyncio.get_running_loop()
        while True:
            now = loop.time()
            for leg in self._legs:
                if leg.out:
                    continue
                if leg.guard.shared is not None:
                    attempt = await self._try_shared(leg, leg.guard.shared, loop)
                else:
                    if leg.guard.sharing:
                        await self._borrow(leg, now)
                        now = loop.time()
                    attempt = self._try(leg, now)
                if attempt is not None:
                    return attempt
            leg, wait = self._soonest(now)
            self._fresh = False
            if leg.queued:
                if (attempt := await self._queue(leg)) is not None:
                    return attempt
            else:
                await asyncio.sleep(wait)

    def limited(self, request: R) -> R:
        """The request for an attempt that begins now, with the time that is left for it."""
        if self._fresh or not isinstance(request, Request):
            return request  # its replica allows it as much
        if request.deadline is not None and request.deadline <= self._until:
            return request
        return msgspec.structs.replace(request, deadline=self._until)

    def failed(self, attempt: Attempt, error: Exception) -> None:
        """An attempt failed: goes on, or raises the error where nothing may be tried again."""
        self._fresh = False
        leg = self._leg_of(attempt)
        if not isinstance(error, InferenceError) or not (error.falls_back or error.retryable):
            raise error
        leg.error = error
        leg.avoid = attempt.replica
        leg.out = True
        guard = leg.guard
        now = asyncio.get_running_loop().time()
        wait = error.retry_after or 0.0
        if error.retryable and leg.tries < guard.attempts and wait <= guard.longest:
            leg.again = now + guard.pause(leg.tries, error)
            leg.out = leg.again >= self._until or not guard.retries.try_retry(now)
        if not error.falls_back:
            for other in self._legs:
                other.out = other.out or other is not leg

    def broke(self, attempt: Attempt, request: Request) -> None:
        """An answer broke off in its middle: from now on ``request``, the rest of it, is sought;
        of those who failed only another server of the same deployment is asked."""
        self._fresh = False
        leg = self._leg_of(attempt)
        leg.avoid = attempt.replica
        leg.out = leg.tries >= len(leg.guard.pool.replicas)
        self._request = request
        for leg in self._legs:
            leg.need = None

    def second(self, first: Attempt) -> Attempt | None:
        """An attempt beside one that is slow, by whoever can serve at once; None where nobody can.

        Another server of the same deployment goes first, the same server last.
        """
        now = asyncio.get_running_loop().time()
        home = self._leg_of(first)
        home.avoid = first.replica
        others = [leg for leg in self._legs if leg is not home]
        several = len(home.guard.pool.replicas) > 1
        for leg in (home, *others) if several else (*others, home):
            if leg.out:
                continue
            try:
                attempt = self._try(leg, now, beside=True)
            except InferenceError:
                continue
            if attempt is not None:
                return attempt
        return None

    def _leg_of(self, attempt: Attempt) -> _Leg:
        return next(leg for leg in self._legs if leg.guard is attempt.guard)

    def _try(self, leg: _Leg, now: float, *, beside: bool = False) -> Attempt | None:
        """An attempt on one deployment at once, or None with the reason in the leg."""
        leg.queued = False
        if leg.again > now:
            return None
        guard = leg.guard
        error = guard.closed(now)
        if error is None and (leg is not self._legs[0] or self._request is not self._asked):
            error = self._unfit(leg)
        if error is not None:
            self._refused(leg, error, now)
            return None
        if leg.need is None:
            leg.need = guard.need(self._request)
        permit = guard.gate.try_take(leg.need, now)
        if permit is None:
            leg.queued = True
            return None
        try:
            attempt = guard.admit(self._request, leg.need, self._purses, permit, now, leg.avoid)
        except InferenceError as refused:
            self._refused(leg, refused, now)
            return None
        if not beside:
            self._begin(leg, now)
        elif not leg.tries:
            leg.tries = 1
        return attempt

    async def _borrow(self, leg: _Leg, now: float) -> None:
        """Where this process has too little of limits that several have together."""
        guard = leg.guard
        if leg.again <= now and guard.closed(now) is None:
            if leg.need is None:
                leg.need = guard.need(self._request)
            await guard.borrow(leg.need, self._purses)

    async def _try_shared(
        self, leg: _Leg, shared: SharedLimiter, loop: asyncio.AbstractEventLoop
    ) -> Attempt | None:
        """The same where a store has to be asked first."""
        guard = leg.guard
        now = loop.time()
        grant = None
        if leg.again <= now and guard.closed(now) is None and not guard.gate.waiting:
            if leg.need is None:
                leg.need = guard.need(self._request)
            if not guard.full:
                try:
                    grant = await shared.ask(leg.need)
                except InferenceError as error:
                    self._refused(leg, error, loop.time())
                    return None
        try:
            return self._try(leg, loop.time())
        finally:
            if grant is not None:
                shared.leave(grant)

    async def _queue(self, leg: _Leg) -> Attempt | None:
        """An attempt after a wait in the deployment's queue."""
        guard = leg.guard
        assert leg.need is not None
        try:
            permit = await guard.wait(leg.need, self._request, self._until)
        except InferenceError as error:
            leg.error = error
            leg.out = True
            return None
        if guard.sharing:
            try:
                await guard.borrow_money(leg.need, self._purses)
            except BaseException:
                permit.end(None)
                raise
        now = asyncio.get_running_loop().time()
        closed = guard.closed(now)
        if closed is not None:
            permit.end(None)
            self._refused(leg, closed, now)
            return None
        try:
            attempt = guard.admit(self._request, leg.need, self._purses, permit, now, leg.avoid)
        except InferenceError as error:
            self._refused(leg, error, now)
            return None
        self._begin(leg, now)
        return attempt

    def _begin(self, leg: _Leg, now: float) -> None:
        """Counts an attempt."""
        guard = leg.guard
        span = current.get()
        if leg.tries:
            if span is not None:
                _noted(span, a.RETRY, "retries", guard.name)
            self._measures.retries.labels(guard.name).value += 1
        else:
            guard.called(now)
            first = self._legs[0]
            if leg is not first:
                if span is not None:
                    _noted(span, a.FALLBACK, "fallbacks", guard.name)
                self._measures.fallbacks.labels(first.guard.name, guard.name).value += 1
        leg.tries += 1

    def _refused(self, leg: _Leg, error: InferenceError, now: float) -> None:
        """Nothing can be sent now: later, if the retry policy waits for such, or never."""
        if leg.error is None or error.retry_after is not None:
            leg.error = error
        if (span := current.get()) is not None:
            said: dict[str, Value] = {a.DEPLOYMENT: leg.guard.name, a.ERROR: type(error).__name__}
            span.event(a.REFUSED, said)
        wait = error.retry_after
        guard = leg.guard
        if (
            error.retryable
            and wait is not None
            and wait <= guard.longest
            and leg.tries < guard.attempts
            and now + wait < self._until
        ):
            leg.again = max(leg.again, now + wait)
            return
        leg.out = True
        if isinstance(error, BudgetExceeded) and not self._goes_on(leg, error):
            raise error

    def _goes_on(self, leg: _Leg, error: BudgetExceeded) -> bool:
        """Whether an empty purse leads to the next deployment: that of a tenant or a key is empty
        everywhere, and that of the first deployment says what it wants."""
        purse = leg.guard.purse
        if purse is None or error.scope != purse.scope:
            return False
        return leg is not self._legs[0] or purse.budget.on_exceeded == "fallback"

    def _unfit(self, leg: _Leg) -> Unsupported | None:
        """Why a deployment further on cannot do this; the first was asked before the trip."""
        target = leg.guard.pool.first
        try:
            if isinstance(self._request, Request):
                check(self._request, target)
            else:
                check_embed(self._request, target)
        except Unsupported as error:
            return error
        return None

    def _soonest(self, now: float) -> tuple[_Leg, float]:
        """Which deployment to wait for, and how long. Raises where none can be waited for."""
        best: _Leg | None = None
        shortest = inf
        for leg in self._legs:
            if leg.out:
                continue
            assert leg.need is not None or not leg.queued
            wait = leg.again - now
            if leg.queued and leg.need is not None:
                wait = leg.guard.gate.wait_of(leg.need, now)
            if wait < shortest:
                best, shortest = leg, wait
        if best is None:
            raise self._error()
        return best, max(0.0, shortest)

    def _error(self) -> ActiniumError:
        """Of all that went wrong, what is over the soonest; else what the first one said."""
        errors = [leg.error for leg in self._legs if leg.error is not None]
        told = [error for error in errors if error.retry_after is not None]
        if told:
            return min(told, key=lambda error: error.retry_after or 0.0)
        if errors:
            return errors[0]
        return RateLimited("no deployment can take this request now")


def _noted(span: Span, what: str, fact: str, deployment: str) -> None:
    """Writes an event of the route, and counts it for the request's line in the log."""
    span.event(what, {a.DEPLOYMENT: deployment})
    facts = span.trace.facts
    facts[fact] = facts.get(fact, 0) + 1
