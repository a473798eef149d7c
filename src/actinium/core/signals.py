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
    incarnation: int = 0


class Restarted(Message, frozen=True):
    """A watched actor has a new instance (``ctx.watch(ref, restarts=True)``)."""

    ref: Any
    incarnation: int
    failure: str


class Exited(Message, frozen=True):
    """A linked actor ended abnormally; for classes with ``trap_exit=True``."""

    ref: Any
    reason: str


class Idle(Message, frozen=True):
    """No user message came for the time given to ``ctx.idle_after``."""


class Stop(Exception):
    """Raised by a handler to stop its actor normally, after this message."""
