"""The seam between a router and the way it routes."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, Protocol

from actinium.core import Put, Stream

from .members import Member


class Strategy(Protocol):
    """What is done with a message, given the routees of the moment (at least one)."""

    def tell(self, members: tuple[Member, ...], msg: Any) -> Put:
        """See :meth:`Router.tell`."""
        ...

    async def send(self, members: tuple[Member, ...], msg: Any, timeout: float) -> Put:
        """See :meth:`Router.send`."""
        ...

    def ask(self, members: tuple[Member, ...], msg: Any, timeout: float | None) -> Awaitable[Any]:
        """See :meth:`Router.ask`."""
        ...

    def stream(
        self, members: tuple[Member, ...], msg: Any, items: int, timeout: float | None
    ) -> Stream[Any]:
        """See :meth:`Router.stream`."""
        ...
