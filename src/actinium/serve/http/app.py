"""What a server needs from the application behind it."""

from __future__ import annotations

from typing import Protocol

from .message import HttpRequest
from .reply import Reply


class Application(Protocol):
    """Answers requests."""

    def admit(self, request: HttpRequest) -> bytes | None:
        """Looks at a head before its body is read: None, or a finished answer to refuse it."""

    async def handle(self, request: HttpRequest, reply: Reply) -> None:
        """Answers one request through ``reply`` and calls ``reply.close()``, whatever happens.

        Raises nothing, apart from CancelledError when the client left or the server stops.
        """

    def refuse(self, status: int, text: str, code: str) -> bytes:
        """A finished answer to something that is not a proper request; the connection closes."""

    def slow(self) -> None:
        """A reader was cut off because it took nothing for too long."""
