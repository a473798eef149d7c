"""Whether what a handler works for is still wanted, for code that cannot be cancelled.

A coroutine is cancelled at its next ``await``. Code that computes, in the event loop's thread or
in another one, asks instead.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from actinium import _native
from actinium.errors import UsageError

if TYPE_CHECKING:
    from .context import Context
    from .extra import Extra
    from .ref import LocalRef


class Cancellation:
    """Of one message: whether its handler should give up. Any thread may ask.

    It should once the message's deadline has passed, its asker gave up, the reader of its stream
    has gone, or its actor is to be restarted or was killed. A handler that ends with what
    ``check`` raises has not failed.
    """

    __slots__ = ("_cell", "_deadline", "_incarnation", "_owed")

    def __init__(self, cell: LocalRef[Any], owed: Any) -> None:
        self._cell = cell
        self._incarnation = cell.incarnation
        known = isinstance(owed, (_native.Reply, _native.Envelope))
        self._owed = owed if known else None
        self._deadline: float | None = owed.deadline if known else None

    @property
    def remaining(self) -> float | None:
        """Seconds left until the deadline, 0.0 once it has passed; None without one."""
        if self._deadline is None:
            return None
        return max(0.0, self._deadline - self._cell.core.now())

    @property
    def reason(self) -> str | None:
        """Why the handler should give up; None while it should not."""
        if self.remaining == 0.0:
            return "the deadline has passed"
        if gave_up(self._owed):
            return "nobody waits for the answer any more"
        cell = self._cell
        known: Extra | None = cell.extra
        if cell.stopped_flag or cell.incarnation != self._incarnation:
            return "its actor has gone on without it"
        if known is not None and (known.killed or known.failure is not None):
            return "its actor ends it"
        return None

    @property
    def cancelled(self) -> bool:
        """Whether the handler should give up."""
        return self.reason is not None

    def check(self) -> None:
        """Raises ``asyncio.CancelledError`` once the handler should give up."""
        reason = self.reason
        if reason is not None:
            raise asyncio.CancelledError(f"{self._cell.path}: {reason}")


def gave_up(owed: Any) -> bool:
    """Whether the asker of a message, or the reader of its stream, has gone."""
    if isinstance(owed, _native.Reply):
        return owed.cancelled()
    stream = owed.stream if isinstance(owed, _native.Envelope) else None
    return isinstance(stream, _native.Channel) and stream.cancelled


def is_late(cell: LocalRef[Any], owed: Any) -> bool:
    """Whether the deadline of a message that was being handled has passed."""
    known = isinstance(owed, (_native.Reply, _native.Envelope))
    deadline: float | None = owed.deadline if known else None
    return deadline is not None and cell.core.now() >= deadline


def cancellation_of(ctx: Context) -> Cancellation:
    """That of the message which the context's actor handles now."""
    cell = ctx.self_ref
    current = ctx.current
    if current is None:
        raise UsageError("ctx.cancellation belongs in a handler, while its message is current")
    if cell.running > 1 and cell.core.snapshot()[0] is not cell:
        raise UsageError(
            f"{cell.path} has {cell.running} handlers under way, and this code runs outside of "
            "them; write `wanted = self.ctx.cancellation` in the handler and hand it over"
        )
    return Cancellation(cell, current[2])
