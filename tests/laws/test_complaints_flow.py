"""What users of other runtimes complain about, in matters of flow, does not happen here."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from actinium import testkit
from actinium.core import Actor, Mailbox, Message, PressureEvent, Settings, Unbounded, on
from actinium.testkit import TestSystem


class Item(Message):
    data: bytes = b""


class Sink(Actor):
    def __init__(self) -> None:
        self.seen = 0

    @on
    def item(self, m: Item) -> None:
        self.seen += 1


class Source(Actor):
    @on
    async def items(self, m: int) -> AsyncGenerator[Any]:
        for n in range(m):
            yield Item(bytes([n % 256]))


def test_complaint_3_memory_is_bounded_at_the_receiver_over_all_senders() -> None:
    """Ray: no flow control, memory grows until the process is killed."""

    async def test(t: TestSystem) -> None:
        sink = t.spawn(Sink, mailbox=Mailbox(100, max_bytes=10_000))
        for _ in range(50):  # fifty senders that know nothing of each other
            for _ in range(20):
                sink.tell(Item(bytes(300)))
        assert sink.depth <= 100 and sink.pressure()[2] <= 10_000
        sent = [await sink.send(Item(bytes(300))) for _ in range(100)]  # waits, loses nothing
        assert all(put.ok for put in sent)
        everything = t.spawn(Sink, mailbox=Unbounded())
        for _ in range(1000):
            everything.tell(Item(bytes(1000)))
        assert t.system.memory.report().used <= 50_000

    testkit.run(test, settings=Settings(memory_limit=50_000))


def test_complaint_5_the_depth_is_there_to_read_and_a_threshold_is_an_event() -> None:
    """Akka: unbounded by default; people write their own mailbox to see how deep it is."""

    async def test(t: TestSystem) -> None:
        seen: list[PressureEvent] = []
        t.system.events.subscribe(PressureEvent, seen.append)
        sink = t.spawn(Sink)  # bounded without being told to
        for n in range(2000):
            assert sink.depth == min(n, sink.capacity)
            sink.tell(Item())
        await t.run_until_idle()
        assert sink.capacity == 1024
        assert seen[0].state == "soft" and seen[0].depth >= 0.8 * 1024

    testkit.run(test)


def test_complaint_7_a_long_queue_costs_no_more_per_message_and_drains() -> None:
    """Erlang: long queues make collection and the queue's length slow; recovery never comes."""

    async def test(t: TestSystem) -> None:
        short, long = t.spawn(Sink, mailbox=Unbounded()), t.spawn(Sink, mailbox=Unbounded())
        for _ in range(50_000):
            long.tell(Item())
        assert long.depth == 50_000
        short.tell(Item())
        t.step(2 * 64)  # the short one does not wait for the long one's end
        assert short.instance.seen == 1
        await t.run_until_idle()
        assert long.instance.seen == 50_000 and long.depth == 0

    testkit.run(test)


def test_complaint_14_a_stream_carries_the_very_objects_and_loses_none() -> None:
    """Ray: streaming is bound by serialising each item, and once lost some."""

    async def test(t: TestSystem) -> None:
        source = t.spawn(Source)
        async with source.stream(500, items=7) as stream:
            got = [item async for item in stream]
        assert [item.data[0] for item in got] == [n % 256 for n in range(500)]
        assert all(type(item) is Item for item in got)

    testkit.run(test)
