"""``ref.forward``: a message handed on, with sender, deadline and the reply it is owed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from actinium import testkit
from actinium.core import Actor, Mailbox, Message, on
from actinium.errors import (
    ActorStopped,
    AskTimeout,
    DeadlineExceeded,
    HandlerError,
    MailboxFull,
    UsageError,
)
from actinium.testkit import TestSystem


class Job(Message):
    n: int


class Front(Actor):
    def __init__(self, back: Any) -> None:
        self.back = back

    @on
    def hand_on(self, m: Job) -> str:
        self.back.forward()
        return "ignored"

    @on
    async def hand_on_later(self, m: float) -> None:
        await asyncio.sleep(m)
        self.back.forward(Job(int(m)))

    @on
    def twice(self, m: str) -> None:
        self.back.forward(Job(0))
        self.back.forward(Job(0))

    @on
    async def flow(self, m: bytes) -> AsyncIterator[int]:
        self.back.forward()
        yield 1


class Back(Actor):
    def __init__(self) -> None:
        self.seen: list[Any] = []

    @on
    async def work(self, m: Job) -> int:
        sender = self.ctx.sender
        self.seen.append((m.n, sender and sender.path, self.ctx.remaining))
        await asyncio.sleep(m.n)
        return m.n * 2


class Asker(Actor):
    @on
    async def go(self, m: Any) -> Any:
        return await front.ask(Job(1), 10.0)


front: Any = None


async def balanced(t: TestSystem) -> bool:
    await t.run_until_idle()
    s = t.system.statistics()
    return s["accepted"] == s["handled"] + s["dead_lettered"] + s["withdrawn"]


def test_the_second_actor_answers_the_first_asker() -> None:
    async def test(t: TestSystem) -> None:
        global front
        back = t.spawn(Back)
        front = t.spawn(Front, back)
        assert await t.spawn(Asker, name="asker").ask(b"") == 2
        n, sender, remaining = back.instance.seen[0]
        assert (n, sender) == (1, "/user/asker")
        assert remaining == pytest.approx(5.0, abs=0.1)
        assert await front.ask(3.0, 10.0) == 6
        assert await balanced(t)

    testkit.run(test)


def test_the_deadline_of_the_ask_goes_along() -> None:
    async def test(t: TestSystem) -> None:
        back = t.spawn(Back)
        with pytest.raises(AskTimeout):
            await t.spawn(Front, back).ask(Job(9), 2.0)
        assert t.now() == pytest.approx(2.0, abs=0.002)

    testkit.run(test)


def test_a_cancelled_ask_is_withdrawn_from_the_second_mailbox() -> None:
    async def test(t: TestSystem) -> None:
        back = t.spawn(Back)
        first = t.spawn(Front, back)
        busy = first.ask(Job(3), 60.0)
        reply = first.ask(Job(1), 60.0)
        await t.advance(1.0)
        reply.cancel()
        await busy
        assert [n for n, *_ in back.instance.seen] == [3]
        assert await balanced(t)

    testkit.run(test)


def test_a_refusal_reaches_the_first_asker() -> None:
    class Small(Back, mailbox=Mailbox(capacity=1)):
        pass

    async def test(t: TestSystem) -> None:
        back = t.spawn(Small)
        first = t.spawn(Front, back)
        replies = [first.ask(Job(1)) for _ in range(3)]
        await t.run_until_idle()
        with pytest.raises(MailboxFull):
            await replies[2]
        assert [await r for r in replies[:2]] == [2, 2]
        back.stop()
        await back.stopped()
        with pytest.raises(ActorStopped):
            await first.ask(Job(1))
        assert await balanced(t)

    testkit.run(test)


def test_a_told_message_goes_on_with_its_sender_and_deadline() -> None:
    async def test(t: TestSystem) -> None:
        back = t.spawn(Back)
        first = t.spawn(Front, back)
        probe = t.probe("probe")
        back.tell(Job(2))
        first.tell(Job(1), sender=probe.ref, deadline=1.0)
        first.tell(Job(4), sender=probe.ref)
        await t.advance(10.0)
        assert [(n, s) for n, s, _ in back.instance.seen] == [(2, None), (4, "/user/probe")]
        letter = await t.expect_dead_letter("expired")
        assert (letter.message, letter.path) == (Job(1), back.path)
        assert await balanced(t)

    testkit.run(test)


def test_a_message_is_handed_on_once() -> None:
    async def test(t: TestSystem) -> None:
        back = t.spawn(Back)
        first = t.spawn(Front, back)
        assert await first.ask("x") == 0
        await t.run_until_idle()
        assert len(back.instance.seen) == 1
        assert await balanced(t)

    testkit.run(test)


def test_the_request_of_a_stream_is_not() -> None:
    async def test(t: TestSystem) -> None:
        back = t.spawn(Back)
        with pytest.raises(HandlerError, match="the request for a stream cannot be taken away"):
            async for _ in t.spawn(Front, back).stream(b""):
                pass

    testkit.run(test)


def test_outside_of_a_handler_there_is_nothing_to_hand_on() -> None:
    async def test(t: TestSystem) -> None:
        with pytest.raises(UsageError, match=r"ref\.forward\(\) belongs in a handler"):
            t.spawn(Back).forward(Job(1))

    testkit.run(test)


def test_an_outer_deadline_stays_an_outer_deadline() -> None:
    class Outer(Actor):
        @on
        async def go(self, m: int) -> str:
            try:
                await front.ask(Job(m), 100.0)
            except DeadlineExceeded:
                return "over"
            return "answered"

    async def test(t: TestSystem) -> None:
        global front
        front = t.spawn(Front, t.spawn(Back))
        with pytest.raises(AskTimeout):
            await t.spawn(Outer).ask(50, 2.0)

    testkit.run(test)
