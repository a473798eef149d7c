"""A circuit breaker: after too many failures of an endpoint nobody waits for it any more.

A pure state machine with a clock; nothing runs in the background. The states are those of
Nygard's *Release It!*: closed (all calls pass), open (none do), half-open (a few probes do).
"""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Literal, Self

from actinium.errors import ActiniumError, CircuitOpen, ConfigError

BreakerState = Literal["closed", "open", "half_open"]
Outcome = Literal["success", "failure", "neutral"]

_GRAINS = 64

LONGEST = 300.0
"""Seconds a breaker stays open at most, however often its probes fail."""


class BreakerCall:
    """One call that a breaker let through; its outcome is told once."""

    __slots__ = ("_breaker", "_generation", "_open")

    def __init__(self, breaker: Breaker, generation: int) -> None:
        self._breaker = breaker
        self._generation = generation
        self._open = True

    def done(self, outcome: Outcome, weight: float = 1.0) -> None:
        """Tells how it went; a second outcome of one call means nothing.

        A failure counts as ``weight`` of them (above 0).
        """
        if self._open:
            self._open = False
            self._breaker.leave(self._generation, outcome, weight)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.done("success" if exc is None else self._breaker._judge(exc))

    def __del__(self) -> None:
        self.done("neutral")


class Breaker:
    """Stops calls to what fails.

    Opens once ``failures`` calls have failed within ``window`` seconds and these are at least
    ``ratio`` of the calls in it. After ``open`` seconds up to ``probes`` calls at a time are let
    through: ``successes`` of them close it, a failed one opens it again for twice as long, up to
    5 minutes (give or take 10 %, so that many breakers do not probe as one). What ``judge`` calls
    ``neutral`` (by default a cancellation, and errors that are the caller's own) counts for
    neither side and frees its probe. Not bound to an event loop; use it from one thread.

    >>> breaker = Breaker()
    >>> with breaker.call():          # raises CircuitOpen while it is open
    ...     answer = fetch()
    """

    def __init__(
        self,
        *,
        failures: int = 5,
        ratio: float = 0.5,
        window: float = 60.0,
        open: float = 30.0,
        probes: int = 3,
        successes: int = 3,
        judge: Callable[[BaseException], Outcome] | None = None,
        clock: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
    ) -> None:
        if failures < 1 or probes < 1 or successes < 1:
            raise ConfigError(
                "a breaker needs failures, probes and successes of 1 or more, "
                f"got {failures!r}, {probes!r}, {successes!r}"
            )
        if not 0 < ratio <= 1 or window <= 0 or open <= 0:
            raise ConfigError(
                "a breaker needs 0 < ratio <= 1, window > 0 and open > 0 seconds, "
                f"got ratio={ratio!r}, window={window!r}, open={open!r}"
            )
        self._failures = failures
        self._ratio = ratio
        self._window = window
        self._first_open = open
        self._probes = probes
        self._successes = successes
        self._judge: Callable[[BaseException], Outcome] = judge or default_judge
        self._clock = clock
        self._random = rng or random.Random()
        # Calls that ended within 1/64 of the window, as one entry: when the first did, how many,
        # and their weight as failures. So it holds no more than 65, however many calls there are.
        self._ended: deque[list[float]] = deque()
        self._grain = window / _GRAINS
        self._calls = 0
        self._failed = 0.0
        self._state: BreakerState = "closed"
        self.closed = True
        """Whether the state is ``closed``: a plain flag, for those who ask at each call."""
        self._generation = 0  # of the state: outcomes of calls from an earlier one mean nothing
        self._until = 0.0
        self._open_for = open
        self._under_way = 0
        self._good = 0
        self.entered: dict[BreakerState, int] = {"closed": 0, "open": 0, "half_open": 0}
        """How often each state was entered from another one."""

    @property
    def state(self) -> BreakerState:
        """``closed``, ``open`` or ``half_open``, now."""
        if self._state == "open" and self._clock() >= self._until:
            self._enter("half_open")
        return self._state

    @property
    def retry_after(self) -> float:
        """Seconds until it may be worth trying again; 0 when a call would pass now."""
        return max(0.0, self._until - self._clock()) if self.state == "open" else 0.0

    def try_call(self) -> BreakerCall | None:
        """Lets one call through, or not."""
        generation = self.enter()
        return BreakerCall(self, generation) if generation >= 0 else None

    def enter(self) -> int:
        """Lets one call through, for callers that are sure to :meth:`leave` once with the number
        this returns; below 0 it may not go."""
        if not self.closed:
            state = self.state
            if state == "open" or (state == "half_open" and self._under_way >= self._probes):
                return -1
        self._under_way += 1
        return self._generation

    def call(self) -> BreakerCall:
        """Lets one call through; raises CircuitOpen, with ``retry_after``, when it may not."""
        call = self.try_call()
        if call is not None:
            return call
        wait = self.retry_after
        error = CircuitOpen(
            f"the breaker is open; again in {wait:.3g} s"
            if self._state == "open"
            else f"the breaker is half-open and {self._probes} probes are under way"
        )
        error.retry_after = wait or None
        raise error

    def force_open(self, seconds: float) -> None:
        """Lets nothing through for so many seconds, then probes as after any opening."""
        if seconds <= 0:
            raise ConfigError(f"force_open() needs more than 0 seconds, got {seconds!r}")
        self._enter("open")
        self._until = self._clock() + seconds

    def force_close(self) -> None:
        """Lets everything through again and forgets what failed; the next failures count anew."""
        self._open_for = self._first_open
        self._enter("closed")

    def go_on(self, before: Breaker) -> None:
        """Is in the state of another one, by its own settings from now on; calls that the other
        let through may end here."""
        self._state, self._generation = before._state, before._generation
        self.closed = before.closed
        self._until, self._open_for = before._until, before._open_for
        self._ended = before._ended
        self._calls, self._failed = before._calls, before._failed
        self._under_way, self._good = before._under_way, before._good
        self.entered = before.entered

    def _enter(self, state: BreakerState) -> None:
        if state != self._state:
            self.entered[state] += 1
        self._state = state
        self.closed = state == "closed"
        self._generation += 1
        self._under_way = self._good = self._calls = 0
        self._failed = 0.0
        self._ended.clear()

    def _trip(self, seconds: float) -> None:
        self._enter("open")
        self._open_for = min(LONGEST, seconds)
        self._until = self._clock() + self._open_for * self._random.uniform(0.9, 1.1)

    def leave(
        self, generation: int, outcome: Outcome, weight: float = 1.0, now: float | None = None
    ) -> None:
        """Tells how a call went that :meth:`enter` let through; ``now`` is the clock's time, for
        who knows it."""
        if generation != self._generation:
            return
        self._under_way -= 1
        if outcome == "neutral":
            return
        if self._state == "half_open":
            if outcome == "failure":
                self._trip(2 * self._open_for)
            else:
                self._good += 1
                if self._good >= self._successes:
                    self._open_for = self._first_open
                    self._enter("closed")
            return
        self._count(weight if outcome == "failure" else 0.0, self._clock() if now is None else now)

    def _count(self, failed: float, now: float) -> None:
        ended = self._ended
        if ended and now - ended[-1][0] < self._grain:
            ended[-1][1] += 1
            ended[-1][2] += failed
        else:
            ended.append([now, 1, failed])
        self._calls += 1
        self._failed += failed
        while ended[0][0] <= now - self._window:
            _, calls, weight = ended.popleft()
            self._calls -= int(calls)
            self._failed -= weight
        if self._failed >= self._failures and self._failed >= self._ratio * self._calls:
            self._trip(self._first_open)

    def statistics(self) -> dict[str, float]:
        """What it knows: calls and failures in the window, calls under way, seconds to wait."""
        return {
            "calls": self._calls,
            "failures": self._failed,
            "under_way": self._under_way,
            "retry_after": self.retry_after,
        }


def default_judge(error: BaseException) -> Outcome:
    """Whether an exception speaks against the endpoint.

    Errors of this package say so themselves (``counts_for_breaker``, and Timeout); a
    cancellation or the end of the program says nothing; everything else is a failure.
    """
    if not isinstance(error, Exception):
        return "neutral"
    if isinstance(error, ActiniumError) and not isinstance(error, TimeoutError):
        known = getattr(error, "counts_for_breaker", None)
        if known is None:
            known = error.retryable
        return "failure" if known else "neutral"
    return "failure"
