"""What users of other runtimes complain about in what an actor costs and how it ends, answered."""

from __future__ import annotations

import asyncio
import multiprocessing
import threading
from typing import Any

import pytest

import actinium as ac
from actinium import testkit
from actinium.core import Actor, LocalRef, Mailbox, Message, OneForOne, System, Terminated, on
from actinium.errors import HandlerError, SystemFailed
from actinium.testkit import TestSystem


class Work(Message):
    n: int


class Wait(Message):
    pass


class Node(Actor):
    __slots__ = ("seen",)

    def __init__(self, seen: list[Any]) -> None:
        self.seen = seen

    @on
    def work(self, m: Work) -> int:
        self.seen.append(m.n)
        return m.n

    @on
    async def wait(self, m: Wait) -> None:
        await asyncio.get_running_loop().create_future()

    @on
    def fail(self, m: str) -> None:
        raise ValueError(m)

    @on
    def ended(self, m: Terminated) -> None:
        self.seen.append(m)


def test_complaint_1_thousands_of_actors_need_no_process_thread_or_task() -> None:
    """One actor creation per second; two thousand took twenty minutes."""

    async def main() -> None:
        async with System() as system:
            before = threading.active_count(), len(asyncio.all_tasks())
            seen: list[int] = []
            refs = [system.spawn(Node, seen) for _ in range(20_000)]
            for n, ref in enumerate(refs):
                ref.tell(Work(n))
            await system.idle()
            assert seen == list(range(20_000))
            assert (threading.active_count(), len(asyncio.all_tasks())) == before
            assert multiprocessing.active_children() == []

    asyncio.run(main())


def test_complaint_2_an_idle_actor_is_a_few_hundred_bytes_and_an_idle_entity_none() -> None:
    """A thousand tiny actors ate all memory."""

    class Session(Node, passivate=10.0):
        def __init__(self, key: str) -> None:
            super().__init__([])

    async def test(t: TestSystem) -> None:
        refs = [t.spawn(Node, []) for _ in range(1_000)]
        assert LocalRef.__basicsize__ <= 300, "bytes of an actor beyond the user's object"
        for ref in refs:
            ref.tell(Work(1))
        await t.run_until_idle()
        assert all(ref.extra is None for ref in refs), "the rarely needed part was not made"
        before = t.system.statistics()["actors"]
        for n in range(1_000):
            t.system.entity(Session, f"user {n}").tell(Work(n))
        await t.run_until_idle()
        assert t.system.statistics()["actors"] == before + 1_000
        await t.advance(30.0)
        assert t.system.statistics()["actors"] == before

    testkit.run(test)


def test_complaint_10_what_is_urgent_passes_a_flood_and_the_flood_goes_on() -> None:
    """No task priorities."""

    async def test(t: TestSystem) -> None:
        seen: list[Any] = []
        ref = t.spawn(Node, seen, mailbox=Mailbox(10_000, lanes=4))
        for n in range(1_000):
            ref.tell(Work(n), priority="low")
        for n in range(1_000, 1_100):
            ref.tell(Work(n), priority="critical")
        t.step(120)
        assert sum(n >= 1_000 for n in seen) == 100, "control before data"
        assert sum(n < 1_000 for n in seen) >= 120 // 15, "SC-3: and data is not starved"

    testkit.run(test)


def test_complaint_13_one_call_that_never_ends_holds_up_its_own_actor_only() -> None:
    """Head-of-line stalls: a call that was never ready blocked later ones to other actors."""

    async def test(t: TestSystem) -> None:
        seen: list[Any] = []
        stuck, free = t.spawn(Node, []), t.spawn(Node, seen)
        sender = t.spawn(Node, [])
        for n in range(100):
            stuck.tell(Wait(), sender=sender)
            free.tell(Work(n), sender=sender)
        await t.run_until_idle()
        assert seen == list(range(100)), "MS-2"
        assert stuck.running == 1
        assert stuck.depth == 99

    testkit.run(test)


def test_complaint_18_a_death_carries_its_reason() -> None:
    """A dead actor showed only as "0 bytes read on a total of 11 expected bytes"."""

    async def test(t: TestSystem) -> None:
        notices: list[Any] = []
        watcher = t.spawn(Node, notices)
        policy = OneForOne(decide={ValueError: "stop"})
        ends = {}
        for how in ("failed", "killed", "stopped"):
            ref = t.spawn(Node, [], supervise=policy)
            watcher.instance.ctx.watch(ref)
            if how == "failed":
                with pytest.raises(HandlerError, match="ValueError: disk full") as error:
                    await ref.ask("disk full")
                assert isinstance(error.value.cause, ValueError)
            else:
                (ref.kill if how == "killed" else ref.stop)()
            ends[how] = await ref.stopped()
        assert ends == {
            "failed": "failed: ValueError: disk full", "killed": "killed", "stopped": "stopped",
        }  # fmt: skip
        await t.run_until_idle()
        assert [m.reason for m in notices] == list(ends.values())
        (letter,) = t.system.dead_letters.find(reason="handler_failed")
        assert "disk full" in letter.trace
        assert "test_complaints_runtime.py" in letter.trace, "down to the line"

    testkit.run(test)


def test_complaint_18_the_end_of_a_system_names_each_actor_on_the_way_up() -> None:
    class Parent(Node):
        def started(self) -> None:
            everything = OneForOne(decide={Exception: "escalate"})
            self.ctx.spawn(Node, [], name="child", supervise=everything).tell("disk full")

    async def test(t: TestSystem) -> None:
        t.spawn(Parent, [], name="parent", supervise=OneForOne(decide={Exception: "escalate"}))
        await t.advance(1.0)

    with pytest.raises(SystemFailed) as failure:
        testkit.run(test)
    causes = []
    cause: BaseException | None = failure.value.__cause__
    while cause is not None:
        causes.append(f"{type(cause).__name__}: {cause}")
        cause = cause.__cause__
    assert causes == [
        "ChildFailed: /user/parent/child failed: disk full", "ValueError: disk full",
    ]  # fmt: skip


def test_complaint_20_a_handler_is_plain_asyncio() -> None:
    """asyncio was asked for and did not come."""

    class Crawler(ac.Actor):
        @ac.on
        async def crawl(self, m: int) -> list[int]:
            queue: asyncio.Queue[int] = asyncio.Queue()
            async with asyncio.timeout(10.0), asyncio.TaskGroup() as group:
                for n in range(m):
                    group.create_task(self._page(queue, n))
            return sorted(queue.get_nowait() for _ in range(m))

        async def _page(self, queue: asyncio.Queue[int], n: int) -> None:
            await asyncio.sleep(0.001 * n)
            await queue.put(n * n)

    async def test(t: TestSystem) -> None:
        assert await t.spawn(Crawler).ask(5) == [0, 1, 4, 9, 16]

    testkit.run(test)
