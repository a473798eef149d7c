"""The frames of one link, numbered, so that a link outlives its connection.

A frame is kept until the other side has said that it took it. When a connection breaks, both
sides say on the next one how many they took, and each sends again what the other lacks: nothing
is lost, nothing is taken twice, and the order stays (MS-2). No I/O in here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, Literal

from actinium.errors import DecodeError

_NUMBERS = 1 << 32  # a frame carries its number modulo this


class Session:
    """What was sent and not acknowledged, and what was taken."""

    __slots__ = ("_kept", "sent", "taken")

    def __init__(self) -> None:
        self.sent = 0
        """Frames sent; they are numbered from 1 on."""
        self.taken = 0
        """Frames taken from the other side."""
        self._kept: deque[Sequence[Any]] = deque()

    @property
    def kept(self) -> int:
        """Frames that may have to be sent again."""
        return len(self._kept)

    def keep(self, pieces: Sequence[Any]) -> None:
        """Takes note of the next frame, which carries the number ``sent + 1``."""
        self.sent += 1
        self._kept.append(pieces)

    def acknowledged(self, taken: int) -> None:
        """The other side took so many frames since the beginning; raises DecodeError if not."""
        if not 0 <= taken <= self.sent:
            raise DecodeError(f"{taken} frames were taken, and {self.sent} were sent")
        kept = self._kept
        for _ in range(taken - (self.sent - len(kept))):
            kept.popleft()

    def again(self, taken: int) -> list[Sequence[Any]]:
        """What the other side lacks; raises DecodeError if that is not here any more."""
        self.acknowledged(taken)
        if self.sent - len(self._kept) > taken:
            raise DecodeError(f"frame {taken + 1} was acknowledged before, and now it is wanted")
        return list(self._kept)

    def judge(self, number: int) -> Literal["next", "old", "gap"]:
        """Whether a frame is the next one, one that was taken before, or comes too early."""
        ahead = (number - self.taken - 1) % _NUMBERS
        if ahead == 0:
            return "next"
        return "old" if ahead >= _NUMBERS // 2 else "gap"
