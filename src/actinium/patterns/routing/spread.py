"""Strategies that give a message to several routees."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Any

from actinium.core import Put, Stream
from actinium.core.join import Join
from actinium.errors import ActorStopped, UsageError

from .members import Member, alive


class Spreading:
    """Base of strategies that ask several; ``tell`` and ``send`` go to all of them."""

    def tell(self, members: tuple[Member, ...], msg: Any) -> Put:
        """The first refusal, else the last acceptance: true only if all took it."""
        return _worst([member.ref.tell(msg) for member in alive(members)])

    async def send(self, members: tuple[Member, ...], msg: Any, timeout: float) -> Put:
        puts = [await member.ref.send(msg, timeout=timeout) for member in alive(members)]
        return _worst(puts)

    def stream(
        self, members: tuple[Member, ...], msg: Any, items: int, timeout: float | None
    ) -> Stream[Any]:
        raise UsageError(
            f"{type(self).__name__} asks several routees, and a stream has one producer; "
            "use a router that chooses one, such as ac.RoundRobin()"
        )


def _worst(puts: Sequence[Put]) -> Put:
    return next((put for put in puts if not put.ok), puts[-1])


class Broadcast(Spreading):
    """Every routee. An ask gathers all replies, in the order of the routees.

    If one of them fails, its error is raised and the other asks are withdrawn.
    """

    async def ask(self, members: tuple[Member, ...], msg: Any, timeout: float | None) -> list[Any]:
        replies: list[Any] = []
        try:
            replies.extend(_ask(member, msg, timeout) for member in alive(members))
            await _wait(replies, lambda reply: _failed(reply) is not None)
            for reply in replies:
                error = _failed(reply) if reply.done() else None
                if error is not None:
                    raise error
            return [reply.result() for reply in replies]
        finally:
            _withdraw(replies)


class ScatterFirst(Spreading):
    """Every routee is asked, and the first good answer counts; the other asks are withdrawn.

    If all fail, the last error is raised.
    """

    async def ask(self, members: tuple[Member, ...], msg: Any, timeout: float | None) -> Any:
        replies: list[Any] = []
        try:
            replies.extend(_ask(member, msg, timeout) for member in alive(members))
            return (await _first_good(replies, None)).result()
        finally:
            _withdraw(replies)


class TailChop(Spreading):
    """One routee is asked, and another one whenever ``interval`` seconds brought no answer.

    They come in random order; the first good answer counts and the other asks are withdrawn.
    What fails makes room for the next at once. ``tell`` and ``send`` go to one of them.
    """

    def __init__(self, interval: float = 0.05, seed: int | None = None) -> None:
        if interval <= 0:
            raise UsageError(f"TailChop(interval) is above 0 seconds, got {interval!r}")
        self.interval = interval
        self._random = random.Random(seed)

    def tell(self, members: tuple[Member, ...], msg: Any) -> Put:
        put: Put = self._random.choice(alive(members)).ref.tell(msg)
        return put

    async def send(self, members: tuple[Member, ...], msg: Any, timeout: float) -> Put:
        put: Put = await self._random.choice(alive(members)).ref.send(msg, timeout=timeout)
        return put

    async def ask(self, members: tuple[Member, ...], msg: Any, timeout: float | None) -> Any:
        loop = asyncio.get_running_loop()
        ends = None if timeout is None else loop.time() + timeout
        replies: list[Any] = []
        found: Any = None
        try:
            routees = alive(members)
            for member in self._random.sample(routees, len(routees)):
                left = None if ends is None else max(0.0, ends - loop.time())
                replies.append(_ask(member, msg, left))
                found = await _first_good(replies, self.interval)
                if found is not None and _failed(found) is None:
                    return found.result()
            return (await _first_good(replies, None)).result()
        finally:
            _withdraw(replies)


# -- replies


def _ask(member: Member, msg: Any, timeout: float | None) -> Any:
    reply: Any = member.ref.ask(msg, timeout)
    return reply if hasattr(reply, "add_done_callback") else asyncio.ensure_future(reply)


def _failed(reply: Any) -> BaseException | None:
    """The error of a reply that is done, if it is one."""
    if reply.cancelled():
        return ActorStopped("the ask was withdrawn")
    error: BaseException | None = reply.exception()
    return error


def _withdraw(replies: Sequence[Any]) -> None:
    for reply in replies:
        if not reply.done():
            reply.cancel()
        elif not reply.cancelled():
            reply.exception()  # it has been looked at: nobody needs to report it


async def _wait(
    replies: Sequence[Any], enough: Callable[[Any], bool], timeout: float | None = None
) -> None:
    """Waits until ``enough`` says so of a reply that is done, or all are, or the time is over."""
    loop = asyncio.get_running_loop()
    waiting = [reply for reply in replies if not reply.done()]
    if not waiting or any(enough(reply) for reply in replies if reply.done()):
        return
    left = len(waiting)
    wake = Join(loop, waiting)

    def wake_up() -> None:
        if not wake.done():
            wake.set_result(None)

    def done(reply: Any) -> None:
        nonlocal left
        left -= 1
        if left == 0 or enough(reply):
            wake_up()

    for reply in waiting:
        reply.add_done_callback(done)
    timer = None
    if timeout is not None:
        timer = loop.call_later(timeout, wake_up)
    try:
        await wake
    finally:
        if timer is not None:
            timer.cancel()
        for reply in waiting:
            reply.remove_done_callback(done)


async def _first_good(replies: Sequence[Any], timeout: float | None) -> Any:
    """The first reply that is an answer; else, once all have failed, the last; else None."""
    newest = replies[-1]

    def good(reply: Any) -> bool:
        # With a timeout a failure of the newest one is news: the next may be asked at once.
        return _failed(reply) is None or (timeout is not None and reply is newest)

    await _wait(replies, good, timeout)
    done = [reply for reply in replies if reply.done()]
    for reply in done:
        if _failed(reply) is None:
            return reply
    return done[-1] if len(done) == len(replies) else None
