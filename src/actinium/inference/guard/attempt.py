"""One try at a request on one deployment, with everything it holds."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from actinium.errors import EngineOverloaded, ModelNotReady

from ..chunk import Burst, Usage
from ..estimate import Tally
from ..limits.budget import Reservation
from ..limits.gate import Permit
from ..limits.limiter import Need
from ..limits.verdict import costs_nothing
from ..replica import Replica
from ..request import EmbedRequest, Request

if TYPE_CHECKING:
    from .guard import Guard


class Attempt:
    """What an attempt holds: a permit, reservations and the breaker's call.

    :meth:`end` ends all of them once (RQ-2), with what was really used: reserved, then settled
    or given back, whatever the end is. An answer that nobody waits for any more is settled by
    what came of it.
    """

    __slots__ = (
        "_began", "_call", "_first", "_known", "_open", "_permit", "_request", "_reservations",
        "_tally", "guard", "need", "replica",
    )  # fmt: skip

    def __init__(
        self, guard: Guard, replica: Replica, need: Need, permit: Permit, call: int,
        reservations: Sequence[Reservation], request: Request | EmbedRequest, now: float,
    ) -> None:  # fmt: skip
        self.guard = guard
        self.replica = replica
        self.need = need
        self._request = request
        self._permit = permit
        self._call = call
        self._reservations = reservations
        self._began = now
        self._first: float | None = None
        self._known: Usage | None = None
        self._tally: Tally | None = None
        self._open = True

    def saw(self, burst: Burst) -> None:
        """A part of the answer came."""
        if self._first is None:
            self._first = asyncio.get_running_loop().time() - self._began
        self._count(burst)

    def whole(self, burst: Burst) -> None:
        """The answer came as a whole: when its first part was there, nobody knows."""
        self._known = burst[-1].usage if burst else None
        if self._known is None:
            self._count(burst)

    def used(self, usage: Usage) -> None:
        """The answer is no text; this is what it used."""
        self._known = usage

    def usage(self) -> Usage:
        """What it has used so far: of the wire, else estimated."""
        return self._known or (self._tally or Tally()).of(self.need)

    def _count(self, burst: Burst) -> None:
        tally = self._tally
        if tally is None:
            tally = self._tally = Tally()
        tally.add(burst)

    def end(self, failure: BaseException | None) -> None:
        """The attempt is over; None: the answer is whole."""
        if not self._open:
            return
        self._open = False
        guard, first = self.guard, self._first
        now = asyncio.get_running_loop().time()
        guard.ended(failure, first, self._call, now)
        if failure is not None and first is None and costs_nothing(failure):
            never_sent = isinstance(failure, (EngineOverloaded, ModelNotReady))
            self._permit.end(None if never_sent else Need(0, 0))
            for reservation in self._reservations:
                reservation.release()
            return
        usage = self._known
        if usage is None:
            usage = (self._tally or Tally()).of(self.need)
        self._permit.settle(now, usage.input, usage.output)
        cost = guard.spent(usage, whole=failure is None)
        for reservation in self._reservations:
            reservation.settle(now, cost)
        if guard.accounts is not None:
            request = self._request
            guard.accounts.used(request.tenant, request.key, guard.name, usage, cost)
