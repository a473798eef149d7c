"""A deployment with what it falls back to: from a request to the attempt that answers it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import TypeVar

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
        self._total = self._first.deployment.timeouts.total
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
        described = self.deployment
        if described.hedge is None and not described.continuation:
            return self._plain(request)
        return Course(
            self._trip(request, request.deadline), request, self._measures,
            hedges=described.hedge is not None, continues=described.continuation,
        ).generate()  # fmt: skip

    async def _plain(self, request: Request) -> AsyncGenerator[Burst]:
        trip = self._trip(request, request.deadline)
        attempt = trip.first()
        while True:
            if attempt is None:
                attempt = await trip.next()
            try:
                asked = trip.limited(request)
                async with aclosing(attempt.replica.generate(asked)) as source:
                    async for burst in source:
                        attempt.saw(burst)
                        yield burst
            except Exception as error:  # noqa: BLE001 - failed() raises it, or the trip does
                attempt.end(error)
                trip.failed(attempt, error)
                attempt = None
            except BaseException as left:
                attempt.end(left)
                raise
            else:
                attempt.end(None)
                return

    async def complete(self, request: Request) -> Burst:
        """The whole answer at once; raises as :meth:`generate` does."""
        return await self._once(request, self._trip(request, request.deadline), _complete)

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
        return await self._once(request, self._trip(request, None), _embed)

    async def _once(self, request: R, trip: Trip, call: Callable[[Replica, R], Awaitable[T]]) -> T:
        if self._first.deployment.hedge is not None:
            return await self._hedged(request, trip, call)
        attempt = trip.first()
        while True:
            if attempt is None:
                attempt = await trip.next()
            try:
                answer = await call(attempt.replica, trip.limited(request))
            except Exception as error:  # noqa: BLE001 - failed() raises it, or the trip does
                attempt.end(error)
                trip.failed(attempt, error)
                attempt = None
            except BaseException as left:
                attempt.end(left)
                raise
            else:
                _took(attempt, answer)
                attempt.end(None)
                return answer

    async def _hedged(
        self, request: R, trip: Trip, call: Callable[[Replica, R], Awaitable[T]]
    ) -> T:
        async def begin(attempt: Attempt) -> T:
            answer = await call(attempt.replica, trip.limited(request))
            _took(attempt, answer)
            return answer

        async def undo(attempt: Attempt, answer: T) -> None:
            """It has ended by itself."""

        attempt, answer = await Race(trip, begin, undo, self._measures).winner()
        attempt.end(None)
        return answer

    def _trip(self, request: Request | EmbedRequest, deadline: float | None) -> Trip:
        """All attempts and waits share the time that one would have."""
        now = asyncio.get_running_loop().time()
        until = now + self._total
        if deadline is not None and deadline < until:
            if deadline <= now:
                raise RequestDeadline("the time allowed for the whole request is over")
            until = deadline
        purses = []
        if self._purses:
            for kind, name in (("tenant", request.tenant), ("key", request.key)):
                if name is not None and (purse := self._purses.get(f"{kind}:{name}")) is not None:
                    purses.append(purse)
        return Trip(request, self.guards, purses, now, until, self._measures)


def _complete(replica: Replica, request: Request) -> Awaitable[Burst]:
    return replica.complete(request)


def _embed(replica: Replica, request: EmbedRequest) -> Awaitable[Embedding]:
    return replica.embed(request)


def _took(attempt: Attempt, answer: Burst | Embedding) -> None:
    """A whole answer came."""
    if isinstance(answer, Embedding):
        attempt.used(Usage(input=answer.input_tokens))
    else:
        attempt.whole(answer)
