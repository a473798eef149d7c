"""The router: a ref that hands each message on, in the thread of whoever sends it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from typing import Any

from actinium.core import Put, Stream, System
from actinium.errors import ActorNotFound

from .members import Fixed, Group, Member, Members
from .strategy import Strategy

LOOK_AGAIN = 0.01
"""Seconds between two looks for a routee, while ``send`` or ``ask`` waits for one."""


class Router:
    """One ref in front of many routees; there is no hop in between.

    ``to`` are refs, or a Group that follows the registry. Routees that have stopped get nothing
    more. While there is none, ``tell`` is refused and its message a dead letter
    ``actor_not_found`` (of a router that knows its system), and ``ask`` raises ActorNotFound;
    with ``wait`` seconds, ``ask`` and ``send`` first wait that long for one to come.

    >>> router = ac.Router(ac.RoundRobin(), [a, b, c])
    >>> await router.ask(Job(1))
    """

    __actinium_message__ = True

    def __init__(
        self,
        by: Strategy,
        to: Iterable[Any] | Group,
        *,
        name: str = "router",
        wait: float = 0.0,
        system: System | None = None,
    ) -> None:
        self.by = by
        self._members: Members = to if isinstance(to, Group) else Fixed(to)
        self._name = name
        self._wait = wait
        self._system = system if system is not None else getattr(to, "system", None)

    @property
    def path(self) -> str:
        """``/router/`` and its name."""
        return f"/router/{self._name}"

    @property
    def routees(self) -> list[Any]:
        """The refs behind it now."""
        return [member.ref for member in self._members.now()]

    def tell(self, msg: Any, /) -> Put:
        """Hands a message to whom the strategy says; see :meth:`LocalRef.tell`."""
        members = self._members.now()
        return self.by.tell(members, msg) if members else self._nobody(msg)

    def tell_many(self, messages: Iterable[Any], /) -> int:
        """As many ``tell``; returns how many were taken."""
        return sum(self.tell(msg).ok for msg in messages)

    async def send(self, msg: Any, *, timeout: float = 5.0) -> Put:
        """Like ``tell``, but waits for room; raises ActorNotFound if there is no routee."""
        return await self.by.send(await self._some(), msg, timeout)

    def ask(self, msg: Any, timeout: float | None = None, /) -> Awaitable[Any]:
        """Asks whom the strategy says; what the answer is depends on it."""
        members = self._members.now()
        return self.by.ask(members, msg, timeout) if members else self._ask_later(msg, timeout)

    async def _ask_later(self, msg: Any, timeout: float | None) -> Any:
        return await self.by.ask(await self._some(), msg, timeout)

    def stream(self, msg: Any, *, items: int = 64, timeout: float | None = None) -> Stream[Any]:
        """Opens a stream from the one routee that the strategy chooses."""
        members = self._members.now()
        if not members:
            raise self._not_found()
        return self.by.stream(members, msg, items, timeout)

    async def _some(self) -> tuple[Member, ...]:
        loop = asyncio.get_running_loop()
        give_up = loop.time() + self._wait
        while not (members := self._members.now()):
            if loop.time() >= give_up:
                raise self._not_found()
            await asyncio.sleep(LOOK_AGAIN)
        return members

    def _not_found(self) -> ActorNotFound:
        waited = f" within {self._wait:g} s" if self._wait else ""
        return ActorNotFound(f"{self.path} has no routee that is alive{waited}")

    def _nobody(self, msg: Any) -> Put:
        if self._system is not None:
            self._system.dead_letters.record("actor_not_found", self, None, msg)
        return Put(ok=False, code="closed")

    def try_tell(self, msg: Any, *, sender: Any = None, deadline: float | None = None) -> Put:
        """Like ``tell``, but without a routee the message stays with the caller."""
        members = self._members.now()
        return self.by.tell(members, msg) if members else Put(ok=False, code="closed")

    def __repr__(self) -> str:
        return f"<Router {self.path} {type(self.by).__name__} of {len(self._members.now())}>"
