"""``ctx.pipe``: what comes of a coroutine enters the actor as a message."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from actinium import testkit
from actinium.core import Actor, Message, OneForOne, on
from actinium.testkit import TestSystem


class Found(Message):
    value: Any


class Failed(Message):
    text: str


class Start(Message):
    what: Any
    err: bool = False


def failed(error: BaseException) -> Failed:
    return Failed(f"{type(error).__name__}: {error}")


async def later(value: Any) -> Any:
    await asyncio.sleep(1.0)
    if isinstance(value, BaseException):
        raise value
    return value


class Fetcher(Actor):
    def __init__(self, seen: list[Any]) -> None:
        self.seen = seen
        self.busy = False

    @on
    def start(self, m: Start) -> None:
        make: Callable[[], Awaitable[Any]] = lambda: later(m.what)  # noqa: E731
        self.ctx.pipe(make(), ok=Found, err=failed if m.err else None)

    @on
    def found(self, m: Found) -> None:
        assert not self.busy, "two handlers at once"
        sender = self.ctx.sender
        assert sender is not None
        self.seen.append((m.value, sender.path == self.ctx.path))

    @on
    def failed(self, m: Failed) -> None:
        self.seen.append(m.text)

    @on
    async def alone(self, m: float) -> None:
        self.busy = True
        await asyncio.sleep(m)
        self.busy = False

    @on
    def plain(self, m: int) -> None:
        self.ctx.pipe(later(m))

    @on
    def plain_result(self, m: bool) -> None:
        self.seen.append(m)


def test_the_result_comes_as_a_message_of_the_actor_to_itself() -> None:
    async def test(t: TestSystem) -> None:
        seen: list[Any] = []
        fetcher = t.spawn(Fetcher, seen)
        fetcher.tell(Start(5))
        await t.advance(0.9)
        assert seen == []
        await t.advance(0.2)
        assert seen == [(5, True)]

    testkit.run(test)


def test_it_never_enters_while_a_handler_is_under_way() -> None:
    async def test(t: TestSystem) -> None:
        seen: list[Any] = []
        fetcher = t.spawn(Fetcher, seen)
        fetcher.tell(Start(5))
        fetcher.tell(3.0)
        await t.advance(2.0)
        assert seen == []
        await t.advance(2.0)
        assert seen == [(5, True)]

    testkit.run(test)


def test_a_failure_is_made_a_message_by_err() -> None:
    async def test(t: TestSystem) -> None:
        seen: list[Any] = []
        fetcher = t.spawn(Fetcher, seen)
        fetcher.tell(Start(ValueError("no"), err=True))
        fetcher.tell(Start(asyncio.CancelledError("elsewhere"), err=True))
        await t.advance(2.0)
        assert seen == ["ValueError: no", "CancelledError: elsewhere"]
        assert fetcher.incarnation == 0

    testkit.run(test)


def test_without_err_it_is_the_actors_own_failure() -> None:
    async def test(t: TestSystem) -> None:
        fetcher = t.spawn(Fetcher, [])
        fetcher.tell(Start(ValueError("no")))
        await t.advance(2.0)
        assert fetcher.incarnation == 1

    testkit.run(test)


def test_a_value_without_ok_must_be_a_message() -> None:
    async def test(t: TestSystem) -> None:
        fetcher = t.spawn(Fetcher, [])

        def wrong(value: Any) -> list[Any]:
            return [value]

        fetcher.instance.ctx.pipe(later(1), ok=wrong)
        await t.advance(2.0)
        assert fetcher.incarnation == 1 or not fetcher.alive

    testkit.run(test)


@pytest.mark.parametrize("end", ["restart", "stop", "kill"])
def test_restart_and_stop_cancel_it(end: str) -> None:
    async def test(t: TestSystem) -> None:
        seen: list[Any] = []
        ended: list[str] = []
        policy = OneForOne(backoff=(5.0, 5.0))
        fetcher = t.spawn(Fetcher, seen, supervise=policy)

        async def long() -> None:
            try:
                await asyncio.sleep(60)
            finally:
                ended.append("cancelled")

        fetcher.instance.ctx.pipe(long(), ok=Found)
        await t.advance(1.0)
        if end == "restart":
            fetcher.tell(Start(ValueError("x")))
            await t.advance(1.1)
        elif end == "stop":
            fetcher.stop()
        else:
            fetcher.kill()
        await t.run_until_idle()
        assert ended == ["cancelled"]
        await t.advance(100.0)
        assert seen == []

    testkit.run(test)


def test_two_failures_at_once_are_one_restart() -> None:
    async def test(t: TestSystem) -> None:
        fetcher = t.spawn(Fetcher, [])
        fetcher.tell(Start(ValueError("a")))
        fetcher.tell(Start(ValueError("b")))
        await t.advance(2.0)
        assert fetcher.incarnation == 1

    testkit.run(test)


def test_an_ask_can_be_piped() -> None:
    class Echo(Actor):
        @on
        async def echo(self, m: int) -> int:
            await asyncio.sleep(1.0)
            return m + 1

    async def test(t: TestSystem) -> None:
        seen: list[Any] = []
        fetcher, echo = t.spawn(Fetcher, seen), t.spawn(Echo)
        fetcher.instance.ctx.pipe(echo.ask(1), ok=Found)
        await t.advance(2.0)
        assert seen == [(2, True)]

    testkit.run(test)


def test_one_that_never_began_leaves_nothing_behind() -> None:
    """A coroutine that is never awaited would be a warning, which is an error here."""

    async def test(t: TestSystem) -> None:
        fetcher = t.spawn(Fetcher, [])
        task = fetcher.instance.ctx.pipe(later(1), ok=Found)
        fetcher.kill()
        t.step()
        await t.run_until_idle()
        assert task.cancelled()

    testkit.run(test)
    gc.collect()
