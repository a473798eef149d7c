"""When a failed call is made again."""

from __future__ import annotations

import random
from typing import Any, Literal

import msgspec

from actinium.core import Actor
from actinium.core.handler import Spec, nearest
from actinium.errors import UsageError


class Retry(msgspec.Struct, frozen=True):
    """Makes a failed call again, up to ``max`` more times.

    Only where the error says ``retryable``, and only where it cannot do harm: the handler is
    ``@ac.on(idempotent=True)``, or the mailbox had refused the call, so that it never ran. The
    pause doubles from ``backoff[0]`` to ``backoff[1]`` seconds; with ``jitter="full"`` it is drawn
    evenly from zero up to that, so that clients which failed together do not come back together
    (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/). An error's own
    ``retry_after`` is waited for in any case.
    """

    max: int = 2
    backoff: tuple[float, float] = (0.1, 2.0)
    jitter: Literal["full", "none"] = "full"

    def __post_init__(self) -> None:
        if self.max < 0:
            raise UsageError(f"Retry needs max >= 0, got {self.max!r}")
        if not 0 <= self.backoff[0] <= self.backoff[1]:
            raise UsageError(
                f"Retry needs a backoff of (first, longest) seconds, got {self.backoff!r}"
            )
        if self.jitter not in ("full", "none"):
            raise UsageError(f"Retry takes jitter='full' or jitter='none', got {self.jitter!r}")

    def delay(self, failures: int, error: BaseException, chance: random.Random) -> float:
        """Seconds to wait after so many failures of one call."""
        first, longest = self.backoff
        pause = min(longest, first * 2.0 ** min(failures - 1, 64))
        if self.jitter == "full":
            pause = chance.uniform(0.0, pause)
        return max(pause, getattr(error, "retry_after", None) or 0.0)


def class_of(ref: Any) -> type[Actor] | None:
    """The actor class behind a ref, where it is known here."""
    cls = getattr(ref, "cls", None)
    return cls if isinstance(cls, type) and issubclass(cls, Actor) else None


def is_idempotent(ref: Any, message: Any) -> bool:
    """Whether the handler of a message may be run twice, in whatever state its actor is."""
    cls = class_of(ref)
    if cls is None:
        return False
    tables = (cls._handlers, *cls._state_handlers.values())
    specs: list[Spec] = [
        fn.__actinium_on__  # type: ignore[attr-defined]
        for table in tables
        if (fn := nearest(table, type(message))) is not None
    ]
    return bool(specs) and all(spec.idempotent for spec in specs)
