"""How an endpoint says that a request failed."""

from __future__ import annotations

from typing import Protocol

import msgspec

from .openai.errors import Detail


class Faults(Protocol):
    """The shape of a door's errors; ``id`` is the request's, ``shape`` the type of a body."""

    @property
    def shape(self) -> type[msgspec.Struct]: ...

    def status(self, error: BaseException) -> int:
        """The HTTP status of an exception."""

    def body(self, detail: Detail, status: int, id: str) -> bytes:
        """The body of an answer of this status."""

    def event(self, detail: Detail, status: int, id: str) -> bytes:
        """The last event of a stream that breaks off."""

    def headers(self, id: str) -> bytes:
        """Finished lines that each answer of this door carries, beside those of all doors."""
