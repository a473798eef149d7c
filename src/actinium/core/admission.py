"""What a mailbox admits at all, however empty it is."""

from __future__ import annotations

import math
import re
from typing import Any, Literal

import msgspec

from actinium.errors import ConfigError

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_RATE = re.compile(r"(\d+(?:\.\d+)?)/([smh])")


def per_second(rate: str) -> float:
    """Messages per second of a rate such as ``"100/s"``, ``"30/m"`` or ``"5/h"``."""
    found = _RATE.fullmatch(rate)
    number = float(found[1]) / _UNITS[found[2]] if found is not None else 0.0
    if number <= 0:
        raise ConfigError(
            f'a rate is a number above 0 per s, m or h, such as "100/s" or "30/m", got {rate!r}'
        )
    return number


class Admission(msgspec.Struct, frozen=True, kw_only=True):
    """Who may send an actor what, how large and how often.

    Looked at in this order, before the mailbox's own bounds: ``accept`` (classes of messages;
    empty: all) and ``senders`` (refs, None for senders outside of any actor), ``max_size``
    (bytes of buffers and texts in one message), ``rate`` (``"100/s"``, ``"30/m"``, ``"5/h"``)
    with ``burst`` messages at once (default: those of one second, at least 1), counted for the
    actor or, with ``per="sender"``, for each sender by itself. What the actor sends itself by a
    timer is always admitted, and so are the signals of the runtime.

    The rate is a token bucket: no window of t seconds admits more than rate * t + burst. A
    message beyond it is refused with the exact ``retry_after`` and keeps no place in a queue.
    """

    accept: tuple[type, ...] = ()
    senders: frozenset[Any] | None = None
    max_size: int = 0
    rate: str = ""
    burst: int = 0
    per: Literal["actor", "sender"] = "actor"

    def __post_init__(self) -> None:
        if not all(isinstance(cls, type) for cls in self.accept):
            raise ConfigError(f"accept is a tuple of message classes, got {self.accept!r}")
        if self.max_size < 0 or self.burst < 0:
            raise ConfigError(
                "max_size and burst must be 0 or more, "
                f"got max_size={self.max_size!r}, burst={self.burst!r}"
            )
        if self.burst and not self.rate:
            raise ConfigError('burst= needs a rate beside it, such as rate="100/s"')
        if self.per not in ("actor", "sender"):
            raise ConfigError(f"a rate is counted per 'actor' or 'sender', got {self.per!r}")
        if self.rate:
            per_second(self.rate)

    @property
    def interval_ns(self) -> int:
        """Nanoseconds between two messages in the long run, rounded up; 0: no rate."""
        return math.ceil(1e9 / per_second(self.rate)) if self.rate else 0

    @property
    def default_burst(self) -> int:
        """The messages of one second, at least 1."""
        return max(1, int(per_second(self.rate))) if self.rate else 1
