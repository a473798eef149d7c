"""Who answers in a chat: a model in this process, or a server."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Protocol

from actinium.inference import Burst, Message, Request


class Partner(Protocol):
    """Both kinds answer requests; sessions are kept where the model runs."""

    async def models(self) -> list[str]:
        """The names that can be asked for, the usual one first. Raises InferenceError."""

    def generate(self, request: Request) -> AsyncGenerator[Burst]:
        """The answer. ``request.session`` names a stored conversation."""

    async def history(self, session: str) -> tuple[Message, ...] | None:
        """All stored messages of a session, none for a new one; None where it cannot be read."""

    async def sessions(self) -> list[str] | None:
        """The names of all stored sessions; None where they cannot be listed."""

    def can_remember(self) -> bool:
        """Whether there are stored sessions at all."""

    async def close(self) -> None: ...
