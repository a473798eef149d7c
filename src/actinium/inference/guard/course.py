"""The way of a stream that may be hedged or gone on with; others take the shorter one."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from actinium.errors import InferenceError, StreamInterrupted

from ..chunk import Burst
from ..request import Request
from .attempt import Attempt
from .continuation import Spoken
from .measures import GuardMeasures
from .race import Race
from .trip import Trip

_Led = tuple[AsyncGenerator[Burst], Burst | None]
"""A stream with its first burst, None where it ended without any."""


class Course:
    """One stream over all its attempts.

    RQ-3: with ``continues`` the client's text is that of the attempts one after the other, each
    begun with what was there before; without, of exactly one.
    """

    def __init__(
        self, trip: Trip, request: Request, measures: GuardMeasures, *, hedges: bool,
        continues: bool,
    ) -> None:  # fmt: skip
        self._trip = trip
        self._request = request
        self._measures = measures
        self._hedges = hedges
        self._spoken = Spoken(request) if continues else None

    async def generate(self) -> AsyncGenerator[Burst]:
        """The bursts. Raises what the trip raises; once something was sent, StreamInterrupted."""
        trip, spoken = self._trip, self._spoken
        torn: StreamInterrupted | None = None
        torn_by = ""
        while True:
            try:
                attempt, source, burst = await self._lead()
            except InferenceError as error:
                if torn is None:
                    raise
                raise torn from error
            name = attempt.guard.name
            if torn is not None:
                self._measures.continued.labels(torn_by, name).value += 1
            try:
                async with aclosing(source):
                    while burst is not None:
                        attempt.saw(burst)
                        if spoken is not None:
                            burst = spoken.take(burst, name)
                        if burst:
                            yield burst
                        burst = await anext(source, None)
            except Exception as error:
                used = attempt.usage()
                attempt.end(error)
                if spoken is None or not spoken.can_go_on(error):
                    raise
                cause = error.cause if isinstance(error, StreamInterrupted) else error
                torn = StreamInterrupted(cause, spoken.sent)
                torn.__cause__ = cause
                torn_by = name
                self._request = spoken.rest(error, name, used)
                trip.broke(attempt, self._request)
            except BaseException as left:
                attempt.end(left)
                raise
            else:
                attempt.end(None)
                return

    async def _lead(self) -> tuple[Attempt, AsyncGenerator[Burst], Burst | None]:
        """The next attempt that brings content, with its stream and its first burst."""
        trip = self._trip
        if self._hedges:
            attempt, (source, burst) = await Race(trip, self._begin, _undo, self._measures).winner()
            return attempt, source, burst
        while True:
            attempt = await trip.next()
            try:
                source, burst = await self._begin(attempt)
            except Exception as error:  # noqa: BLE001 - failed() raises it, or the trip does
                attempt.end(error)
                trip.failed(attempt, error)
            except BaseException as left:
                attempt.end(left)
                raise
            else:
                return attempt, source, burst

    async def _begin(self, attempt: Attempt) -> _Led:
        source = attempt.replica.generate(self._trip.limited(self._request))
        return source, await anext(source, None)


async def _undo(attempt: Attempt, led: _Led) -> None:
    """An attempt that brought its first content too late."""
    source, burst = led
    if burst is not None:
        attempt.saw(burst)
    await source.aclose()
