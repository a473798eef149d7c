"""What ``tell`` answers: taken, or why not."""

from __future__ import annotations

from typing import Literal

import msgspec

from actinium import _native

Code = Literal[
    "accepted", "overflow", "rejected", "dropped_new", "dropped_old", "dropped_low", "closed",
    "not_accepted", "too_large", "rate_limited", "memory_limit",
    "quarantined",
]  # fmt: skip

CODES: dict[int, Code] = {
    _native.FULL: "rejected",
    _native.FULL_DROP_NEW: "dropped_new",
    _native.FULL_DROP_OLD: "dropped_old",
    _native.FULL_DROP_LOW: "dropped_low",
    _native.CLOSED: "closed",
    _native.NOT_ACCEPTED: "not_accepted",
    _native.TOO_LARGE: "too_large",
    _native.RATE_LIMITED: "rate_limited",
    _native.NO_MEMORY: "memory_limit",
    _native.HELD: "quarantined",
}
"""The refusals of the native core."""


class Put(msgspec.Struct, frozen=True, kw_only=True):
    """The fate of one message handed over; true when it was taken.

    With ``dropped_old`` and ``dropped_low`` it was taken too, and another one became a dead
    letter for it; with ``overflow`` it waits behind the mailbox. ``depth`` and ``capacity`` are
    of the mailbox in messages, ``pressure`` is how full it is (1.0: to its capacity, in messages
    or bytes) and ``retry_after`` the seconds to wait before the next message, all told where
    they matter: on a refusal, and from the mailbox's high mark on. A sender that waits
    ``retry_after`` whenever it is above 0 is not refused for lack of room.
    """

    ok: bool
    code: Code
    depth: int = 0
    capacity: int = 0
    pressure: float = 0.0
    retry_after: float = 0.0

    def __bool__(self) -> bool:
        return self.ok


ACCEPTED = Put(ok=True, code="accepted")
