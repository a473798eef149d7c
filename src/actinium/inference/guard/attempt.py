"""One try at a request on one deployment, with everything it holds."""

from __future__ import annotations

import asyncio
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
        "_began", "_call", "_first", "_known", "_need", "_open", "_permit", "_reservations",
        "_tally", "_who", "guard", "replica",
    )  # fmt: skip

    def __init__(
        self, guard: Guard, replica: Replica, need: Need, permit: Permit, call: int,
        reservations: list[Reservation], request: Request | EmbedRequest,
    ) -> None:  # fmt: skip
        self._who = request.tenant, request.key
        self.guard = guard
        self.replica = replica
        self._need = need
        self._permit = permit
        self._call = call
        self._reservations = reservations
        self._began = asyncio.get_running_loop().time()
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
        return self._known or (self._tally or Tally()).of(self._need)

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
        self.guard.ended(failure, self._first, self._call)
        if failure is not None and self._first is None and costs_nothing(failure):
            never_sent = isinstance(failure, (EngineOverloaded, ModelNotReady))
            self._permit.end(None if never_sent else Need(0, 0))
            for reservation in self._reservations:
                reservation.release()
            return
        usage = self.usage()
        self._permit.end(Need(usage.input, usage.output))
        cost = self.guard.spent(usage, whole=failure is None)
        for reservation in self._reservations:
            reservation.settle(cost)
        accounts = self.guard.accounts
        if accounts is not None:
            accounts.used(*self._who, self.guard.name, usage, cost)
