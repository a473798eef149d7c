"""A deployment with what it falls back to: from a request to the attempt that answers it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import TypeVar

import msgspec

from actinium.errors import RequestDeadline

from ..chunk import Burst, Usage
from ..deployment import Deployment
from ..limits.budget import Purse
from ..replica import Replica
from ..request import EmbedRequest, Request
from ..runner import Capabilities, Embedding, ModelRunner
from .guard import Guard
from .measures import GuardMeasures
from .trip import Trip

T = TypeVar("T")


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

    async def generate(self, request: Request) -> AsyncGenerator[Burst]:
        """The answer as bursts, of the first attempt that delivers content.

        Raises what :meth:`Replica.generate` raises, and RateLimited, BudgetExceeded,
        UpstreamOpen; where several deployments failed, the error that is over the soonest.
        """
        request = self._with_deadline(request)
        trip = self._trip(request, request.deadline)
        while True:
            attempt = await trip.next()
            try:
                async with aclosing(attempt.replica.generate(request)) as source:
                    async for burst in source:
                        attempt.saw(burst)
                        yield burst
            except Exception as error:  # noqa: BLE001 - failed() raises it, or the trip does
                attempt.end(error)
                trip.failed(attempt, error)
            except BaseException as left:
                attempt.end(left)
                raise
            else:
                attempt.end(None)
                return

    async def complete(self, request: Request) -> Burst:
        """The whole answer at once; raises as :meth:`generate` does."""
        request = self._with_deadline(request)
        trip = self._trip(request, request.deadline)

        async def whole(replica: Replica) -> tuple[Burst, Usage | None]:
            return await replica.complete(request), None

        return await self._once(trip, whole)

    async def embed(self, request: EmbedRequest) -> Embedding:
        """Vectors, under the same limits."""
        until = asyncio.get_running_loop().time() + self.deployment.timeouts.total

        async def vectors(replica: Replica) -> tuple[Embedding, Usage]:
            answer = await replica.embed(request)
            return answer, Usage(input=answer.input_tokens)

        return await self._once(self._trip(request, until), vectors)

    async def _once(
        self, trip: Trip, call: Callable[[Replica], Awaitable[tuple[T, Usage | None]]]
    ) -> T:
        while True:
            attempt = await trip.next()
            try:
                answer, usage = await call(attempt.replica)
            except Exception as error:  # noqa: BLE001 - failed() raises it, or the trip does
                attempt.end(error)
                trip.failed(attempt, error)
            except BaseException as left:
                attempt.end(left)
                raise
            else:
                if usage is not None:
                    attempt.used(usage)
                elif isinstance(answer, list):
                    attempt.whole(answer)
                attempt.end(None)
                return answer

    def _with_deadline(self, request: Request) -> Request:
        """All attempts and waits share the time that one would have."""
        now = asyncio.get_running_loop().time()
        until = now + self.deployment.timeouts.total
        if request.deadline is not None and request.deadline <= until:
            if request.deadline <= now:
                raise RequestDeadline("the time allowed for the whole request is over")
            return request
        return msgspec.structs.replace(request, deadline=until)

    def _trip(self, request: Request | EmbedRequest, until: float | None) -> Trip:
        purses = []
        if self._purses:
            for scope in (f"tenant:{request.tenant}", f"key:{request.key}"):
                purse = self._purses.get(scope)
                if purse is not None:
                    purses.append(purse)
        assert until is not None
        return Trip(request, self.guards, purses, until, self._measures)
