"""Messages and exceptions of the runtime itself."""

from __future__ import annotations

from typing import Any

from .message import Message


class Terminated(Message, frozen=True):
    """A watched actor has stopped; comes once per watch, after all its messages (WD-1).

    ``reason`` is ``stopped``, ``killed``, ``passivated`` or ``failed: ...``.
    """

    ref: Any
    reason: str


class Idle(Message, frozen=True):
    """No user message came for the time given to ``ctx.idle_after``."""


class Stop(Exception):
    """Raised by a handler to stop its actor normally, after this message."""
