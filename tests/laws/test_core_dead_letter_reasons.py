"""DL-1: each reason of a dead letter, brought about."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from actinium import testkit
from actinium.core import Actor, Mailbox, on
from actinium.patterns import Group, RoundRobin, Router
from actinium.testkit import TestSystem


class Worker(Actor, mailbox=Mailbox(1), max_live=1):
    def __init__(self, key: str = "") -> None:
        pass

    @on
    async def work(self, m: str) -> None:
        if m == "fail":
            raise ValueError
        await asyncio.sleep(1.0)


async def mailbox_full(t: TestSystem) -> None:
    worker = t.spawn(Worker)
    worker.tell("a")
    worker.tell("b")


async def mailbox_closed(t: TestSystem) -> None:
    worker = t.spawn(Worker)
    worker.tell("a")
    await t.run_until_idle()
    worker.stop()
    worker.tell("b")


async def actor_not_found(t: TestSystem) -> None:
    Router(RoundRobin(), Group(t.system, "nobody/*")).tell("a")


async def actor_stopped(t: TestSystem) -> None:
    worker = t.spawn(Worker)
    worker.stop()
    await worker.stopped()
    worker.tell("a")


async def unhandled(t: TestSystem) -> None:
    t.spawn(Worker).tell(7)


async def handler_failed(t: TestSystem) -> None:
    t.spawn(Worker).tell("fail")


async def expired(t: TestSystem) -> None:
    worker = t.spawn(Worker)
    worker.tell("a")
    await t.run_until_idle()
    worker.tell("b", deadline=0.1)
    await t.advance(2.0)


async def activation_refused(t: TestSystem) -> None:
    t.system.entity(Worker, "a").tell("a")
    t.system.entity(Worker, "b").tell("a")


async def forced_stop(t: TestSystem) -> None:
    worker = t.spawn(Worker)
    worker.tell("a")
    await t.run_until_idle()
    worker.tell("b")
    worker.kill()


PRODUCERS: dict[str, Callable[[TestSystem], Awaitable[None]]] = {
    made.__name__: made
    for made in (
        mailbox_full, mailbox_closed, actor_not_found, actor_stopped, unhandled, handler_failed,
        expired, activation_refused, forced_stop,
    )
}  # fmt: skip


@pytest.mark.parametrize("reason", PRODUCERS)
def test_DL_1_each_reason_comes_with_its_message(reason: str) -> None:
    async def test(t: TestSystem) -> None:
        await PRODUCERS[reason](t)
        await t.run_until_idle()
        (letter,) = t.system.dead_letters.find(reason=reason)
        assert letter.kept == "whole" and letter.message is not None, "DL-1"

    testkit.run(test)
