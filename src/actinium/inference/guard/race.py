"""A slow attempt and a second one beside it: the first to bring anything wins."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from .attempt import Attempt
from .measures import GuardMeasures
from .trip import Trip

T = TypeVar("T")


class Race(Generic[T]):
    """Runs attempts of a trip until one brings something.

    ``begin`` does an attempt's work up to its first content; ``undo`` ends one that brought
    something though another had won. Every attempt that does not win is ended here, when its work
    has stopped: its cost is counted like that of a client who left (RQ-2, RQ-3).
    """

    def __init__(
        self, trip: Trip, begin: Callable[[Attempt], Awaitable[T]],
        undo: Callable[[Attempt, T], Awaitable[None]], measures: GuardMeasures,
    ) -> None:  # fmt: skip
        self._trip = trip
        self._begin = begin
        self._undo = undo
        self._measures = measures
        self._running: dict[asyncio.Future[T], Attempt] = {}

    async def winner(self) -> tuple[Attempt, T]:
        """The attempt that brought something, and what. Raises what the trip raises."""
        try:
            won, brought = await self._first()
        except BaseException:
            await self._stop()
            raise
        try:
            await self._stop()
        except BaseException as left:
            won.end(left)
            await self._undo(won, brought)
            raise
        return won, brought

    async def _first(self) -> tuple[Attempt, T]:
        trip, running = self._trip, self._running
        beside: Attempt | None = None
        while True:
            first = await trip.next()
            self._start(first)
            hedge = first.guard.deployment.hedge if beside is None else None
            while running:
                seconds = hedge.after if hedge is not None else None
                done, _ = await asyncio.wait(
                    running, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
                )
                hedge = None
                if not done and (beside := self._second(first)) is not None:
                    self._start(beside)
                for task in done:
                    if _failure(task) is None:
                        won = running.pop(task)
                        self._count(first, beside, won)
                        return won, task.result()
                for task in done:
                    failed = running.pop(task)
                    error = _failure(task)
                    assert error is not None
                    failed.end(error)
                    if not isinstance(error, Exception):
                        raise error
                    trip.failed(failed, error)

    def _start(self, attempt: Attempt) -> None:
        self._running[asyncio.ensure_future(self._begin(attempt))] = attempt

    def _second(self, first: Attempt) -> Attempt | None:
        budget = first.guard.hedges
        now = asyncio.get_running_loop().time()
        return self._trip.second(first) if budget is not None and budget.try_retry(now) else None

    def _count(self, first: Attempt, beside: Attempt | None, won: Attempt) -> None:
        if beside is not None:
            which = "second" if won is beside else "first"
            self._measures.hedges.labels(first.guard.name, which).value += 1

    async def _stop(self) -> None:
        """Stops all that still run and ends them, also where the client leaves meanwhile."""
        losers = dict(self._running)
        self._running.clear()
        left: asyncio.CancelledError | None = None
        for task in losers:
            task.cancel()
        while pending := [task for task in losers if not task.done()]:
            try:
                await asyncio.wait(pending)
            except asyncio.CancelledError as error:
                left = error
        late = []
        for task, attempt in losers.items():
            failure = _failure(task)
            if failure is None:
                late.append((attempt, task.result()))
            else:
                attempt.end(failure)
        for attempt, brought in late:
            try:
                await self._undo(attempt, brought)
            except asyncio.CancelledError as error:
                left = error
            finally:
                attempt.end(asyncio.CancelledError())
        if left is not None:
            raise left


def _failure(task: asyncio.Future[T]) -> BaseException | None:
    """How a task that is done has failed, if it has."""
    try:
        return task.exception()
    except asyncio.CancelledError as stopped:
        return stopped
