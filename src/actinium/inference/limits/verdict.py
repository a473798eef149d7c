"""What the end of an answer says about the deployment behind it."""

from __future__ import annotations

import asyncio
from typing import Literal

from actinium.errors import InferenceError, RequestDeadline, StreamInterrupted, UpstreamTimeout

from .policy import BreakerPolicy

End = Literal["ok", "slow", "failed", "cut", "stalled", "neutral"]


def end_of(
    failure: BaseException | None, first_seconds: float | None, policy: BreakerPolicy
) -> End:
    """How an attempt ended, judged at its end and never when it begins (complaint of gateways
    whose breaker sees a stream that opened as a success).

    CB-2: the client's own faults, a 429, a cancellation and the caller's deadline are neutral.
    """
    if failure is None:
        slow = policy.slow_after
        return "slow" if slow is not None and (first_seconds or 0.0) > slow else "ok"
    broken = isinstance(failure, StreamInterrupted)
    cause = failure.cause if isinstance(failure, StreamInterrupted) else failure
    if not isinstance(cause, InferenceError):
        # A bug of a runner is not a cancellation: it speaks against the deployment.
        return "failed" if isinstance(cause, Exception) else "neutral"
    if not cause.counts_for_breaker:
        return "neutral"
    if isinstance(cause, UpstreamTimeout):
        return "stalled"
    return "cut" if broken else "failed"


def weight_of(end: End, policy: BreakerPolicy) -> float:
    """How much an end counts as a failure; 0 for those that are none."""
    match end:
        case "failed":
            return 1.0
        case "cut":
            return policy.cut
        case "stalled":
            return policy.stalled
        case "slow":
            return policy.slow
    return 0.0


def costs_nothing(failure: BaseException) -> bool:
    """Whether an upstream that failed so, before any content, bills nothing. One that was left
    had refused before where its refusal is the cause."""
    if isinstance(failure, asyncio.CancelledError) and failure.__cause__ is not None:
        failure = failure.__cause__
    return isinstance(failure, InferenceError) and not isinstance(
        failure, (UpstreamTimeout, RequestDeadline)
    )
