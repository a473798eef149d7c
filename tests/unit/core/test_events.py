"""Publish and subscribe: who gets what, what a slow subscriber is told, what nobody pays for."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from actinium import testkit
from actinium.core import (
    Actor,
    ActorEvent,
    ActorFailedEvent,
    ActorRestartedEvent,
    ActorStartedEvent,
    ActorStoppedEvent,
    Event,
    Mailbox,
    Message,
    Missed,
    OneForOne,
    Stop,
    Unchecked,
    on,
)
from actinium.core.feed import Feed
from actinium.errors import UsageError
from actinium.testkit import TestSystem


class Order(Message):
    n: int


class BigOrder(Order, frozen=True):
    pass


class Keeper(Actor, mailbox=Mailbox(3)):
    """Keeps what it gets; a small mailbox makes it slow."""

    def __init__(self, seen: Unchecked[list[Any]]) -> None:
        self.seen = seen.value

    @on
    def order(self, m: Order | Missed | ActorEvent) -> None:
        self.seen.append(m)


class Child(Actor):
    @on
    def do(self, m: str) -> None:
        if m == "fail":
            raise ValueError(m)
        if m == "stop":
            raise Stop


def test_a_subscriber_of_a_class_gets_its_subclasses_and_nothing_else() -> None:
    async def test(t: TestSystem) -> None:
        orders: list[Any] = []
        big: list[Any] = []
        t.system.events.subscribe(Order, orders.append)
        t.system.events.subscribe(BigOrder, t.spawn(Keeper, Unchecked(big)))
        assert t.system.events.publish(Order(1)) == 1
        assert t.system.events.publish(BigOrder(2)) == 2
        assert t.system.events.publish("no order") == 0
        await t.run_until_idle()
        assert orders == [Order(1), BigOrder(2)]
        assert big == [BigOrder(2)]

    testkit.run(test)


def test_topics_take_patterns_and_are_apart_from_events_without_one() -> None:
    async def test(t: TestSystem) -> None:
        seen: dict[str | None, list[Any]] = {None: [], "orders/*": [], "orders/**": [], "**": []}
        for topic, got in seen.items():
            t.system.events.subscribe(Order, got.append, topic=topic)
        events = t.system.events
        assert events.publish(Order(0)) == 1
        assert events.publish(Order(1), topic="orders/eu") == 3
        assert events.publish(Order(2), topic="orders/eu/de") == 2
        assert events.publish(Order(3), topic="other") == 1
        await t.run_until_idle()
        assert [[m.n for m in got] for got in seen.values()] == [[0], [1], [1, 2], [1, 2, 3]]
        with pytest.raises(UsageError, match=r"a topic cannot hold '\*' or '\?', got 'orders/\*'"):
            events.publish(Order(1), topic="orders/*")

    testkit.run(test)


def test_a_slow_actor_gets_one_missed_with_the_exact_number() -> None:
    async def test(t: TestSystem) -> None:
        seen: list[Any] = []
        slow = t.spawn(Keeper, Unchecked(seen))
        subscription = t.system.events.subscribe(Order, slow)
        for n in range(10):  # three fit into its mailbox
            t.system.events.publish(Order(n))
        assert (subscription.delivered, subscription.missed) == (3, 7)
        await t.run_until_idle()
        # It is told as soon as it has room, without waiting for another event.
        assert seen == [Order(0), Order(1), Order(2), Missed(7)]
        t.system.events.publish(Order(10))
        await t.run_until_idle()
        assert seen[4:] == [Order(10)]
        assert len(t.system.dead_letters) == 0, "what was missed is counted, not a dead letter"

    testkit.run(test)


def test_a_slow_function_gets_one_missed_in_the_place_of_the_gap() -> None:
    async def test(t: TestSystem) -> None:
        seen: list[Any] = []

        async def take(event: Any) -> None:
            seen.append(event)
            await asyncio.sleep(1)

        t.system.events.subscribe(Order, take, max_pending=2)
        for n in range(9):
            t.system.events.publish(Order(n))
            if n == 0:
                await t.run_until_idle()  # the first is being worked on: it waits no more
        await asyncio.sleep(1.5)
        t.system.events.publish(Order(9))
        await t.advance(60)
        assert seen == [Order(0), Order(1), Order(2), Missed(6), Order(9)]

    testkit.run(test)


def test_a_watch_is_read_and_ends_with_its_block() -> None:
    async def test(t: TestSystem) -> None:
        events = t.system.events
        async with events.watch(Order, max_pending=2, where=lambda m: m.n != 1) as feed:
            for n in range(5):
                events.publish(Order(n))
            assert [await anext(feed) for _ in range(3)] == [Order(0), Order(2), Missed(2)]
            events.publish(Order(5))
            assert await anext(feed) == Order(5)
        assert not events.active
        events.publish(Order(6))
        assert [m async for m in feed] == []

    testkit.run(test)


def test_the_runtime_tells_of_its_actors() -> None:
    async def test(t: TestSystem) -> None:
        seen: list[ActorEvent] = []
        t.system.events.subscribe(ActorEvent, seen.append)
        child = t.spawn(Child, name="child")
        child.tell("fail")
        child.tell("stop")
        await t.run_until_idle()
        assert [type(e) for e in seen] == [
            ActorStartedEvent, ActorFailedEvent, ActorRestartedEvent, ActorStoppedEvent,
        ]  # fmt: skip
        assert {e.path for e in seen} == {"/user/child"}
        failed, restarted, stopped = seen[1:]
        assert isinstance(failed, ActorFailedEvent) and isinstance(failed.failure, ValueError)
        assert failed.directive == "restart"
        assert isinstance(restarted, ActorRestartedEvent) and restarted.incarnation == 1
        assert isinstance(stopped, ActorStoppedEvent) and stopped.reason == "stopped"

    testkit.run(test)


def test_every_way_to_stop_is_told_once_and_a_failed_constructor_is_no_actor() -> None:
    class Refuses(Actor):
        def __init__(self) -> None:
            raise ValueError

    class Plain(Actor):
        pass

    async def test(t: TestSystem) -> None:
        reasons: list[str] = []
        t.system.events.subscribe(ActorStoppedEvent, lambda e: reasons.append(e.reason))
        with pytest.raises(Exception, match="could not be made"):
            t.spawn(Refuses)
        t.spawn(Plain).stop()
        t.spawn(Plain).kill()
        t.spawn(Child, supervise=OneForOne(decide={ValueError: "stop"})).tell("fail")
        await t.run_until_idle()
        assert sorted(reasons) == ["failed: ValueError: fail", "killed", "stopped"]

    testkit.run(test)


def test_nobody_subscribed_means_that_no_event_is_made() -> None:
    async def test(t: TestSystem) -> None:
        made: list[Any] = []

        class Counted(Event):
            def __post_init__(self) -> None:
                made.append(self)

        events = t.system.events
        events.emit(Counted)
        assert not events.active and made == []
        subscription = events.subscribe(Order, made.append)
        events.emit(Counted)
        assert made == [], "somebody is subscribed to something else"
        subscription.cancel()
        assert not events.active
        events.subscribe(Event, lambda e: None)
        events.emit(Counted)
        assert len(made) == 1

    testkit.run(test)


def test_an_actor_that_stops_is_no_longer_subscribed() -> None:
    async def test(t: TestSystem) -> None:
        keeper = t.spawn(Keeper, Unchecked([]))
        t.system.events.subscribe(Order, keeper)
        keeper.stop()
        await t.run_until_idle()
        assert not t.system.events.active
        again = t.spawn(Keeper, Unchecked([]))
        t.system.events.subscribe(Order, again).cancel()
        assert t.system.events.publish(Order(1)) == 0

    testkit.run(test)


def test_a_function_that_raises_is_logged_and_stays(caplog: pytest.LogCaptureFixture) -> None:
    async def test(t: TestSystem) -> None:
        seen: list[int] = []

        def take(m: Order) -> None:
            seen.append(m.n)
            if m.n == 0:
                raise ValueError

        t.system.events.subscribe(Order, take)
        t.system.events.publish(Order(0))
        t.system.events.publish(Order(1))
        await t.run_until_idle()
        assert seen == [0, 1]
        assert "failed on a Order; it stays subscribed" in caplog.text

    testkit.run(test)


def test_publishing_is_safe_from_another_thread() -> None:
    async def test(t: TestSystem) -> None:
        got: asyncio.Queue[Order] = asyncio.Queue()
        t.system.events.subscribe(Order, got.put_nowait)
        thread = threading.Thread(target=lambda: t.system.events.publish(Order(4)))
        thread.start()
        thread.join()
        assert await got.get() == Order(4)

    testkit.run(test, outside=True)


def test_the_end_of_the_system_ends_subscriptions_and_leaves_no_task() -> None:
    async def test(t: TestSystem) -> None:
        feed = t.system.events.watch(Order)
        t.system.events.subscribe(Order, lambda e: None)
        t.system.events.publish(Order(1))
        await t.shutdown()
        await asyncio.sleep(0)
        assert [m async for m in feed] == [Order(1)]
        assert not [x for x in asyncio.all_tasks() if "actinium" in x.get_name()]
        with pytest.raises(UsageError, match="the system has ended"):
            t.system.events.subscribe(Order, lambda e: None)

    testkit.run(test)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda e: e.subscribe("Order", print), "subscribe to a class of events"),
        (lambda e: e.subscribe(Order, 7), "delivers to a ref or to a function, got 7"),
        (lambda e: e.watch(Order, max_pending=0), "max_pending must be 1 or more, got 0"),
        (lambda e: e.watch(Order, topic="a//b"), "pattern 'a//b' has an empty segment"),
        (lambda e: e.watch(Order, topic="a**"), r"'\*\*' is a segment of its own"),
        (lambda e: e.publish(Order(1), topic="x" * 513), "has 513 bytes in UTF-8; at most 512"),
    ],
)
def test_misuse_says_what_to_write(call: Any, text: str) -> None:
    async def test(t: TestSystem) -> None:
        with pytest.raises(UsageError, match=text):
            call(t.system.events)

    testkit.run(test)


def test_a_feed_has_one_reader() -> None:
    async def test(t: TestSystem) -> None:
        feed: Feed[Any] = t.system.events.watch(Order)
        first = asyncio.ensure_future(anext(feed))
        await asyncio.sleep(0)
        with pytest.raises(UsageError, match="a feed has one reader"):
            await anext(feed)
        t.system.events.publish(Order(1))
        assert await first == Order(1)

    testkit.run(test)
