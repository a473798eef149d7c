"""One deployment's limits, money, breaker and rest."""

from __future__ import annotations

import asyncio
import random
from collections import ChainMap
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from actinium.base.attributes import LIMITER_SPAN
from actinium.base.trace import current
from actinium.core.breaker import Breaker
from actinium.errors import (
    BudgetExceeded,
    EngineOverloaded,
    InferenceError,
    ModelNotReady,
    QuotaExhausted,
    RateLimited,
    UpstreamAuth,
    UpstreamOpen,
)
from actinium.patterns import Retry

from ..chunk import Usage
from ..deployment import Deployment
from ..estimate import Expected, need_of
from ..limits.accounts import Accounts
from ..limits.budget import Purse, Reservation
from ..limits.gate import Gate, Permit
from ..limits.headers import read_limits, tells_limits
from ..limits.limiter import Demand, Limiter, Need
from ..limits.policy import BreakerPolicy, RateLimits
from ..limits.prices import NANO, Tariff
from ..limits.retries import RetryBudget
from ..limits.verdict import end_of, weight_of
from ..replica import Replica
from ..request import EmbedRequest, Request
from ..runner import TellsHeaders
from .attempt import Attempt
from .measures import GuardMeasures
from .pool import Pool

if TYPE_CHECKING:
    from ..limits.shared import SharedLimiter
    from ..limits.sharing import Sharing

_LONGEST_REST: Final = 3600.0
_BACKEND: Final = ("model", "runtime", "base_url", "replicas", "credentials", "options")


class Guard:
    """Decides whether a request may go to a deployment now, and learns from how it ended.

    The deployment rests after a 429 until its Retry-After is over (RT-1), and while its breaker
    is open; nobody is sent there meanwhile.
    """

    def __init__(
        self, pool: Pool, measures: GuardMeasures, *, tariff: Tariff | None,
        rng: random.Random | None = None, accounts: Accounts | None = None,
    ) -> None:  # fmt: skip
        self.pool = pool
        self.accounts = accounts
        self.deployment: Deployment = pool.first.deployment
        self.name = name = self.deployment.name
        self.random = rng or random.Random()
        limits = self.deployment.limits or RateLimits()
        most = self._most = self.deployment.max_concurrent * len(pool.replicas)
        self.shared: SharedLimiter | None = None
        if limits.strict is not None:
            from ..limits.shared import SharedLimiter  # loads redis, which only this needs

            lasts = self.deployment.timeouts.total + 60.0
            self.shared = SharedLimiter(name, limits, most=most, lasts=lasts)
        self.limiter = self.shared.local if self.shared is not None else Limiter(limits, most=most)
        self.gate = Gate(
            self.shared or self.limiter,
            queue=self.deployment.queue,
            max_wait=min(limits.max_wait, self.deployment.queue_timeout),
            weights=limits.weights
            if accounts is None
            else ChainMap(limits.weights, accounts.weights),
        )
        if self.shared is not None:
            self.shared.changed = self.gate.look
        self.sharing = False
        self._policy = policy = self.deployment.breaker or BreakerPolicy()
        self.breaker = Breaker(
            failures=policy.failures, ratio=policy.ratio, window=policy.window, open=policy.open,
            probes=policy.probes, successes=policy.successes, clock=_now, rng=self.random,
        )  # fmt: skip
        retry = self.deployment.retry if self.deployment.idempotent else None
        self.retry = retry
        self.attempts = retry.attempts if retry is not None else 1
        self.longest = retry.longest if retry is not None else 0.0
        self.retries = RetryBudget(retry.budget if retry is not None else 0.0)
        hedge = self.deployment.hedge
        self.hedges = RetryBudget(hedge.budget) if hedge is not None else None
        self._pause = Retry(
            max=self.attempts, backoff=(retry.base, retry.max) if retry is not None else (0.0, 0.0)
        )
        budget = self.deployment.budget
        self.purse = Purse(f"deployment:{name}", budget) if budget is not None else None
        self._tariff = tariff
        self._expected = Expected()
        self._rest_until = 0.0
        self._rest_streak = 0
        self._rest_error: type[InferenceError] = RateLimited
        self._measures = measures
        self._attempted = {
            end: measures.attempts.labels(name, end)
            for end in ("ok", "slow", "failed", "cut", "stalled", "neutral")
        }
        self._ok = self._attempted["ok"]
        self._waited = measures.waited.labels(name)
        self._cost = measures.cost.labels(name)
        for replica in pool.replicas:
            if isinstance(replica.runner, TellsHeaders):
                replica.runner.on_headers = self._headers

    def go_on(self, before: Guard) -> None:
        """Takes over from another guard of this deployment, which ends what it has begun.

        What was used of limits and money counts, and so does what is still under way there. Where
        the backend is the same, breaker and rest are what they were, and so are limits that the
        upstream taught.
        """
        limiter = self.limiter = before.limiter
        limiter.change(self.deployment.limits or RateLimits(), self._most)
        if self.shared is not None:
            self.shared.go_on(limiter)
        self.gate.go_on(before.gate, self.shared or limiter)
        if before.purse is not None and self.purse is not None:
            self.purse.go_on(before.purse)
        if any(getattr(self.deployment, f) != getattr(before.deployment, f) for f in _BACKEND):
            limiter.unlearn()
            return
        self.breaker.go_on(before.breaker)
        before.breaker = self.breaker
        self._expected = before._expected
        self._rest_until = before._rest_until
        self._rest_streak = before._rest_streak
        self._rest_error = before._rest_error

    def share(self, sharing: Sharing) -> None:
        """Has its limits and its budget together with other processes from now on."""
        self.sharing = True
        if self.shared is None:
            gate = self.gate
            sharing.limiter(
                f"deployment:{self.name}", self.limiter, lambda: gate.wanted, gate.look_all
            )
        if self.purse is not None:
            sharing.purse(self.purse.scope, self.purse)

    # -- before an attempt

    def need(self, request: Request | EmbedRequest) -> Need:
        """What a request will use here, estimated."""
        return need_of(request, self.pool.first.runner, self._expected)

    def called(self, now: float) -> None:
        """A request goes here for the first time: more of them allow more retries and hedges."""
        if self.retries.share:
            self.retries.called(now)
        if self.hedges is not None:
            self.hedges.called(now)

    def price(self, need: Need) -> int:
        """Nano-USD of a need; 0 where the price is not known."""
        if self._tariff is None:
            return 0
        return self._tariff.most(need.input, need.output)

    @property
    def priced(self) -> bool:
        """Whether the price of its model is known, so that a budget can be held to."""
        return self._tariff is not None

    def closed(self, now: float) -> InferenceError | None:
        """Why nothing is sent here now, if so: not ready, at rest, or the breaker is open."""
        if not self.pool.ready:
            reason = self.pool.first.reason
            return ModelNotReady(f"deployment {self.name!r}: {reason}")
        wait = self._rest_until - now
        if wait > 0:
            error = self._rest_error(
                f"the upstream of deployment {self.name!r} asked for a rest; again in {wait:.3g} s"
            )
            error.retry_after = wait
            return error
        return self._open() if self.breaker.state == "open" else None

    def at_once(
        self, request: Request | EmbedRequest, purses: Sequence[Purse], now: float
    ) -> Attempt | None:
        """The first attempt at a request, if nothing at all is in its way now; else None, and a
        :class:`Trip` finds out why."""
        pool = self.pool
        first = pool.first
        if self._rest_until > now or (first.state != "ready" and not pool.ready):
            return None
        if not self.breaker.closed and self.breaker.state == "open":
            return None
        need = need_of(request, first.runner, self._expected)
        permit = self.gate.try_take(need, now)
        if permit is None:
            return None
        try:
            attempt = self.admit(request, need, purses, permit, now)
        except InferenceError:
            return None
        if self.retries.share or self.hedges is not None:
            self.called(now)
        return attempt

    def admit(
        self, request: Request | EmbedRequest, need: Need, purses: Sequence[Purse], permit: Permit,
        now: float, avoid: Replica | None = None,
    ) -> Attempt:  # fmt: skip
        """An attempt with a permit that was got, which is given back where this raises.

        Ask :meth:`closed` before. Raises UpstreamOpen, BudgetExceeded.
        """
        call = self.breaker.enter()
        reservations: list[Reservation] = []
        try:
            if call < 0:
                raise self._open()
            own = self.purse
            if own is not None or purses:
                tariff = self._tariff
                amount = tariff.most(need.input, need.output) if tariff is not None else 0
                clock, unix = None, 0.0  # most purses have the same clock: one look is enough
                for purse in purses if own is None else (own, *purses):
                    if purse.clock is not clock:
                        clock = purse.clock
                        unix = clock()
                    reservations.append(purse.reserve(amount, unix))
        except InferenceError:
            for reservation in reservations:
                reservation.release()
            if call >= 0:
                self.breaker.leave(call, "neutral")
            permit.end(None)
            raise
        pool = self.pool
        replica = pool.only or pool.choose(request, avoid)
        return Attempt(self, replica, need, permit, call, reservations, request, now)

    async def borrow(self, need: Need, purses: Sequence[Purse]) -> None:
        """Asks the other processes for what this one lacks of the limits and the money that a
        request needs; nothing where it lacks nothing."""
        group = self.limiter.group
        if group is not None and not self.gate.waiting:
            await group.ask(Demand(1, need.input, need.output).of)
        await self.borrow_money(need, purses)

    async def borrow_money(self, need: Need, purses: Sequence[Purse]) -> None:
        """The same for money alone."""
        amount = self.price(need)
        for purse in purses if self.purse is None else (self.purse, *purses):
            if purse.group is not None and purse.budget.on_exceeded != "warn":
                await purse.group.ask(lambda kind: amount)

    async def wait(self, need: Need, request: Request | EmbedRequest, until: float) -> Permit:
        """A permit in fair order. Raises RateLimited, EngineOverloaded."""
        began = _now()
        parent = current.get()
        span = parent.child(LIMITER_SPAN) if parent is not None else None
        try:
            priority = request.priority if isinstance(request, Request) else "normal"
            tenant = request.tenant or ""
            return await self.gate.take(
                need, tenant=tenant, priority=priority, until=until, name=request.id
            )
        finally:
            waited = _now() - began
            self._waited.observe(waited)
            if span is not None:
                span.end()
                facts = span.trace.facts
                facts["limiter"] = facts.get("limiter", 0.0) + waited

    @property
    def full(self) -> bool:
        """Whether this process's own places are taken."""
        limiter = self.gate.limiter
        return limiter.concurrent is not None and limiter.running >= limiter.concurrent

    async def close(self) -> None:
        """Lets go of the store of its limits, where it has one, when its requests have ended:
        each gives its place back there."""
        if self.shared is not None:
            for replica in self.pool.replicas:
                await replica.ended()
            await self.shared.close()

    # -- after an attempt

    def ended(
        self, failure: BaseException | None, first: float | None, call: int, now: float
    ) -> None:  # fmt: skip
        """Judges an attempt at its end."""
        if failure is None and self._policy.slow_after is None:
            self._ok.value += 1
            self.breaker.leave(call, "success", now=now)
            self._rest_streak = 0
            return
        end = end_of(failure, first, self._policy)
        self._attempted[end].value += 1
        weight = weight_of(end, self._policy)
        if weight:
            self.breaker.leave(call, "failure", weight)
        else:
            self.breaker.leave(call, "success" if end == "ok" else "neutral")
        if failure is None:
            self._rest_streak = 0
        elif isinstance(failure, InferenceError):
            self._learn(failure)

    def spent(self, usage: Usage, *, whole: bool) -> int:
        """Counts what an answer used; its cost in nano-USD."""
        if whole:
            self._expected.saw(usage.output)
        if usage.source == "estimated":
            self._measures.estimated.labels(self.name).value += 1
        if self._tariff is None:
            self._measures.cost_unknown.labels(self.name).value += 1
            return 0
        cost = self._tariff.cost(usage)
        self._cost.value += cost / NANO
        if (span := current.get()) is not None:
            span.trace.cost += cost / NANO
        return cost

    def pause(self, failures: int, error: InferenceError) -> float:
        """Seconds before the next attempt here."""
        return self._pause.delay(failures, error, self.random)

    def rest(self, seconds: float, error: type[InferenceError] = UpstreamOpen) -> None:
        """Sends nothing here for so many seconds; 0 ends a rest."""
        self._rest_until = _now() + min(seconds, _LONGEST_REST)
        self._rest_error = error

    def statistics(self) -> dict[str, Any]:
        now = _now()
        return {
            "breaker": self.breaker.state,
            "rest": max(0.0, self._rest_until - now),
            "limit_waiting": self.gate.waiting,
            "shed": self.gate.line.shed,
            "used": self.gate.limiter.used_ratio(now),
            "budget": self.purse.used_ratio() if self.purse is not None else None,
        }

    def _learn(self, error: InferenceError) -> None:
        """A refusal of the upstream: how long it wants to be left alone."""
        told = error.retry_after
        if isinstance(error, (EngineOverloaded, ModelNotReady, BudgetExceeded)):
            return  # our own
        if isinstance(error, RateLimited):
            if told is None:
                self.gate.limiter.refused(_now())
            self.rest(self._backoff(told, 0.5, 30.0), RateLimited)
        elif isinstance(error, QuotaExhausted):
            self.rest(self._backoff(told, 30.0, 300.0), QuotaExhausted)
        elif isinstance(error, UpstreamAuth):
            self.rest(told or 30.0, UpstreamAuth)
        elif told:
            self.rest(told)

    def _backoff(self, told: float | None, first: float, longest: float) -> float:
        self._rest_streak += 1
        if told is not None:
            return told
        return float(min(longest, first * 2.0 ** min(self._rest_streak - 1, 32)))

    def _headers(self, headers: Mapping[bytes, bytes]) -> bool:
        """What the upstream says of its limits in any of its answers; whether it says anything."""
        if not tells_limits(headers):
            return False
        told = read_limits(headers)
        if told:
            now = _now()
            wait = self.gate.learn(told, now)
            if wait > 0 and now + wait > self._rest_until:
                self.rest(wait, RateLimited)
        return True

    def _open(self) -> UpstreamOpen:
        wait = self.breaker.retry_after
        error = UpstreamOpen(
            f"deployment {self.name!r} failed too often and is left alone; "
            + (f"again in {wait:.3g} s" if wait else "a probe is under way")
        )
        error.retry_after = wait or 1.0
        return error


def _now() -> float:
    """The loop's time; outside of one the clock that loops use."""
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:
        return monotonic()
