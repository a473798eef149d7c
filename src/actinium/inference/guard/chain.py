"""A deployment with what it falls back to: from a request to the attempt that answers it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import aclosing
from typing import Any, TypeVar

from actinium.errors import RequestDeadline

from ..chunk import Burst, Usage
from ..deployment import Deployment
from ..limits.budget import Purse
from ..limits.line import Place
from ..replica import Replica
from ..request import EmbedRequest, Request
from ..runner import Capabilities, Embedding, ModelRunner
from .attempt import Attempt
from .course import Course
from .guard import Guard
from .measures import GuardMeasures
from .race import Race
from .trip import Trip

T = TypeVar("T", Burst, Embedding)
R = TypeVar("R", Request, EmbedRequest)


class Chain:
    """Answers for its first deployment, by the others where that one cannot.

    RQ-3, RQ-4: no attempt begins after content was delivered, and each deployment of the chain
    has its own attempts alone. ``purses`` are those of tenants and keys by scope.
    """

    def __init__(
        self, guards: Sequence[Guard], purses: Mapping[str, Purse], measures: GuardMeasures
    ) -> None:
        self.guards = tuple(guards)
        self._first = guards[0].pool.first
        described = self._first.deployment
        self._total = described.timeouts.total
        self._hedges = described.hedge is not None
        self._simple = not self._hedges and not described.continuation
        self._purses = purses
        self._measures = measures

    @property
    def deployment(self) -> Deployment:
        return self._first.deployment

    @property
    def runner(self) -> ModelRunner:
        return self._first.runner

    @property
    def capabilities(self) -> Capabilities:
        return self._first.capabilities

    @property
    def versatile(self) -> bool:
        return self._first.versatile

    @property
    def state(self) -> str:
        """``ready`` when any deployment of the chain is, else the first one's."""
        if any(guard.pool.state == "ready" for guard in self.guards):
            return "ready"
        return self.guards[0].pool.state

    def generate(self, request: Request) -> AsyncGenerator[Burst]:
        """The answer as bursts, of the first attempt that delivers content.

        Raises what :meth:`Replica.generate` raises, and RateLimited, BudgetExceeded,
        UpstreamOpen; where several deployments failed, the error that is over the soonest.
        """
        if self._simple:
            return self._plain(request)
        return self._course(request).generate()

    def _course(self, request: Request) -> Course:
        until = self._until(request.deadline, asyncio.get_running_loop().time())
        return Course(
            self._trip(request, until), request, self._measures, hedges=self._hedges,
            continues=self.deployment.continuation,
        )  # fmt: skip

    async def _plain(self, request: Request) -> AsyncGenerator[Burst]:
        now = asyncio.get_running_loop().time()
        until = self._until(request.deadline, now)
        asked = request
        trip: Trip | None = None
        attempt = self.guards[0].at_once(request, self._purses_of(request), now)
        while True:
            if attempt is None:
                trip = trip or self._trip(request, until)
                attempt = await trip.next()
                asked = trip.limited(request)
            try:
                async with aclosing(attempt.replica.generate(asked)) as source:
                    async for burst in source:
                        attempt.saw(burst)
                        yield burst
            except Exception as error:  # noqa: BLE001 - failed() raises it, or the trip does
                attempt.end(error)
                trip = trip or self._trip(request, until, attempt)
                trip.failed(attempt, error)
                attempt = None
            except BaseException as left:
                attempt.end(left)
                raise
            else:
                attempt.end(None)
                return

    def complete(self, request: Request) -> Coroutine[Any, Any, Burst]:
        """The whole answer at once; raises as :meth:`generate` does."""
        return self._once(request, request.deadline, Replica.complete, Attempt.whole)

    async def count(self, request: Request) -> int:
        """Input tokens of a request, by its first deployment; see :meth:`Replica.count`."""
        return await self._first.count(request)

    def place(self, id: str) -> Place | None:
        """Where the request of this id stands, at whichever deployment it waits."""
        for guard in self.guards:
            place = guard.gate.place(id)
            if place is not None:
                return place
            for replica in guard.pool.replicas:
                place = replica.place(id)
                if place is not None:
                    return place
        return None

    def ignored(self, request: Request) -> tuple[str, ...]:
        """The fields of a request that have no effect on its first deployment."""
        return self._first.ignored(request)

    async def embed(self, request: EmbedRequest) -> Embedding:
        """Vectors, under the same limits."""
        return await self._once(request, None, Replica.embed, _took)

    async def _once(
        self, request: R, deadline: float | None, call: Callable[[Replica, R], Awaitable[T]],
        took: Callable[[Attempt, T], None],
    ) -> T:  # fmt: skip
        """One whole answer, which ``took`` tells its attempt. Most requests go to the first
        deployment at once and need no trip."""
        now = asyncio.get_running_loop().time()
        until = self._until(deadline, now)
        if self._hedges:
            return await self._hedged(request, self._trip(request, until), call, took)
        asked = request
        trip: Trip | None = None
        attempt = self.guards[0].at_once(request, self._purses_of(request), now)
        while True:
            if attempt is None:
                trip = trip or self._trip(request, until)
                attempt = await trip.next()
                asked = trip.limited(request)
            try:
                answer = await call(attempt.replica, asked)
            except Exception as error:  # noqa: BLE001 - failed() raises it, or the trip does
                attempt.end(error)
                trip = trip or self._trip(request, until, attempt)
                trip.failed(attempt, error)
                attempt = None
            except BaseException as left:
                attempt.end(left)
                raise
            else:
                took(attempt, answer)
                attempt.end(None)
                return answer

    async def _hedged(
        self, request: R, trip: Trip, call: Callable[[Replica, R], Awaitable[T]],
        took: Callable[[Attempt, T], None],
    ) -> T:  # fmt: skip
        async def begin(attempt: Attempt) -> T:
            answer = await call(attempt.replica, trip.limited(request))
            took(attempt, answer)
            return answer

        async def undo(attempt: Attempt, answer: T) -> None:
            """It has ended by itself."""

        attempt, answer = await Race(trip, begin, undo, self._measures).winner()
        attempt.end(None)
        return answer

    def _until(self, deadline: float | None, now: float) -> float:
        """When all is over: attempts and waits share the time that one would have."""
        until = now + self._total
        if deadline is None or deadline >= until:
            return until
        if deadline <= now:
            raise RequestDeadline("the time allowed for the whole request is over")
        return deadline

    def _purses_of(self, request: Request | EmbedRequest) -> Sequence[Purse]:
        """Those of the request's tenant and key, where they have any."""
        known = self._purses
        if not known:
            return ()
        purses: list[Purse] = []
        if request.tenant is not None and (purse := known.get("tenant:" + request.tenant)):
            purses.append(purse)
        if request.key is not None and (purse := known.get("key:" + request.key)):
            purses.append(purse)
        return purses

    def _trip(
        self, request: Request | EmbedRequest, until: float, tried: Attempt | None = None
    ) -> Trip:
        purses = self._purses_of(request)
        return Trip(request, self.guards, purses, until, self._measures, tried)


def _took(attempt: Attempt, answer: Embedding) -> None:
    attempt.used(Usage(input=answer.input_tokens))
