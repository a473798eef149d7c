"""What ``tell`` answers: taken, or why not."""

from __future__ import annotations

from typing import Literal

import msgspec

Code = Literal["accepted", "rejected", "dropped_new", "dropped_old", "closed"]


class Put(msgspec.Struct, frozen=True, kw_only=True):
    """The fate of one message handed over; true when it was taken.

    With ``dropped_old`` it was taken too, and the oldest one became a dead letter for it.
    ``depth`` and ``capacity`` are of the mailbox in messages, where they matter (refusals).
    """

    ok: bool
    code: Code
    depth: int = 0
    capacity: int = 0

    def __bool__(self) -> bool:
        return self.ok


ACCEPTED = Put(ok=True, code="accepted")
