"""The events the runtime itself publishes."""

from __future__ import annotations

from typing import Any

from actinium.core.message import Message


class Event(Message, frozen=True):
    """Base of the runtime's events; subscribe to it to get all of them."""


class Missed(Message, frozen=True):
    """Stands where ``count`` events were left out because their subscriber was too slow."""

    count: int


class ActorEvent(Event, frozen=True):
    """Base of events about one actor."""

    ref: Any

    @property
    def path(self) -> str:
        """Where the actor lives, or lived."""
        path: str = self.ref.path
        return path


class ActorStartedEvent(ActorEvent, frozen=True):
    """An actor was made; its ``started`` hook, if it has one, comes next."""


class ActorStoppedEvent(ActorEvent, frozen=True):
    """An actor has stopped for good; ``reason`` as in ``ac.Terminated``."""

    reason: str


class ActorFailedEvent(ActorEvent, frozen=True):
    """An actor's handler or hook failed, and its supervisor gave this ``directive``."""

    failure: Any
    directive: str


class ActorRestartedEvent(ActorEvent, frozen=True):
    """A new instance took over behind the same ref."""

    incarnation: int
    failure: Any


class ActorStuckEvent(ActorEvent, frozen=True):
    """A handler has been at work for ``seconds`` without an end; ``stack`` is where."""

    seconds: float
    stack: str


class PressureEvent(ActorEvent, frozen=True):
    """An actor's mailbox changed its pressure ``state``, with ``depth`` messages waiting."""

    state: str
    depth: int
    capacity: int


class PhaseEvent(Event, frozen=True):
    """The system's shutdown entered a phase."""

    phase: str


class DeadLetterEvent(Event, frozen=True):
    """A message became a dead letter."""

    letter: Any
