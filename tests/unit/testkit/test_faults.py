"""Each fault point with each kind of fault: what strikes, what the program sees, what counts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import msgspec
import pytest

from actinium import testkit
from actinium.base import faults as seam
from actinium.core import Actor, Durable, Message, OneForOne, Settings, System, on
from actinium.errors import (
    ActorStopped,
    AskTimeout,
    HandlerError,
    MailboxFull,
    SpawnError,
    StoreError,
    UsageError,
)
from actinium.store import MemoryStore
from actinium.testkit import Faults, InjectedFault, TestSystem
from actinium.testkit.faults import POINTS


class Note(Message):
    n: int


class Slow(Message):
    n: int


class Book(Actor):
    def __init__(self, seen: list[int] | None = None) -> None:
        self.seen = seen if seen is not None else []

    @on
    def note(self, m: Note) -> int:
        self.seen.append(m.n)
        return m.n

    @on
    async def slow(self, m: Slow) -> int:
        await asyncio.sleep(0.001)
        self.seen.append(m.n)
        return m.n

    @on
    async def count(self, m: range) -> AsyncGenerator[int]:
        for n in m:
            yield n


def settled(t: TestSystem) -> None:
    """MS-1: every message has one fate, whatever strikes."""
    s = t.system.statistics()
    assert s["accepted"] == s["handled"] + s["dead_lettered"] + s["withdrawn"], "MS-1"


# -- mailbox.put


def test_put_drop_is_accepted_and_a_dead_letter() -> None:
    async def test(t: TestSystem) -> None:
        book = t.spawn(Book)
        t.faults.arm("mailbox.put", drop=1.0, times=1)
        assert book.tell(Note(1)).ok
        assert book.tell(Note(2)).ok
        await t.run_until_idle()
        assert book.instance.seen == [2]
        assert (await t.expect_dead_letter("fault")).message == Note(1)
        assert t.faults.struck == {("mailbox.put", "drop"): 1}
        t.faults.arm("mailbox.put", drop=1.0)
        with pytest.raises(AskTimeout):
            await book.ask(Note(3), 1.0)
        settled(t)

    testkit.run(test)


def test_put_fail_is_a_full_mailbox() -> None:
    async def test(t: TestSystem) -> None:
        book = t.spawn(Book)
        t.faults.arm("mailbox.put", fail=1.0)
        put = book.tell(Note(1))
        assert (put.ok, put.code) == (False, "rejected")
        with pytest.raises(MailboxFull):
            await book.ask(Note(2))
        await t.expect_dead_letter("mailbox_full")
        settled(t)

    testkit.run(test)


def test_put_delay_brings_it_later_with_its_sender_and_its_asker() -> None:
    async def test(t: TestSystem) -> None:
        probe, book = t.probe(), t.spawn(Book)
        t.faults.arm("mailbox.put", delay=1.0, seconds=0.5, times=2)
        probe.ref.tell(Note(1), sender=book)
        reply = book.ask(Note(2), 2.0)
        probe.ref.tell(Note(3))
        assert await probe.expect(Note) == Note(3)
        assert await probe.expect(Note) == Note(1)
        assert probe.sender is book
        assert t.now() == 0.5
        assert await reply == 2
        settled(t)

    testkit.run(test)


def test_put_duplicate_comes_twice_but_asks_do_not() -> None:
    async def test(t: TestSystem) -> None:
        book = t.spawn(Book)
        t.faults.arm("mailbox.put", duplicate=1.0)
        book.tell(Note(1), deadline=1.0)
        book.tell_many([Note(2), Note(3)])
        assert await book.ask(Note(4)) == 4
        assert book.instance.seen == [1, 1, 2, 2, 3, 3, 4]
        settled(t)

    testkit.run(test)


def test_put_kill_ends_the_receiver() -> None:
    async def test(t: TestSystem) -> None:
        book = t.spawn(Book)
        t.faults.arm("mailbox.put", kill=1.0, where=lambda path, what: what == Note(2))
        for n in range(4):
            book.tell(Note(n))
        assert await book.stopped() == "killed"
        settled(t)

    testkit.run(test)


def test_a_stream_that_a_fault_drops_is_told_at_its_timeout() -> None:
    async def test(t: TestSystem) -> None:
        book = t.spawn(Book)
        async with book.stream(range(3)) as numbers:
            assert [n async for n in numbers] == [0, 1, 2]
        t.faults.arm("handler.before", fail=1.0)
        with pytest.raises(HandlerError, match=r"injected fault at handler.before"):
            async with book.stream(range(3)) as numbers:
                assert [n async for n in numbers] == []
        settled(t)

    testkit.run(test)


# -- timers


@pytest.mark.parametrize(
    ("kind", "expected"), [("drop", []), ("delay", [(1, 1.5)]), ("duplicate", [(1, 1.0)] * 2)]
)
def test_timer_fire(kind: str, expected: list[tuple[int, float]]) -> None:
    async def test(t: TestSystem) -> None:
        seen: list[tuple[int, float]] = []

        class Timed(Actor):
            def started(self) -> None:
                self.ctx.schedule(1.0, Note(1))

            @on
            def note(self, m: Note) -> None:
                seen.append((m.n, t.now()))

        t.spawn(Timed)
        t.faults.arm("timer.fire", seconds=0.5, **{kind: 1.0})
        await t.advance(3.0)
        assert seen == expected
        settled(t)

    testkit.run(test)


# -- handlers


@pytest.mark.parametrize("message", [Note(1), Slow(1)])
@pytest.mark.parametrize("point", ["handler.before", "handler.after"])
def test_handler_fail_is_a_failure_of_its_actor(point: str, message: Any) -> None:
    async def test(t: TestSystem) -> None:
        seen: list[int] = []
        book = t.spawn(Book, seen)
        t.faults.arm(point, fail=1.0, times=1)
        with pytest.raises(HandlerError) as failure:
            await book.ask(message)
        assert isinstance(failure.value.__cause__, InjectedFault)
        assert seen == ([] if point == "handler.before" else [1])
        assert (await t.expect_failure(InjectedFault)).path == book.path
        assert await book.ask(message) == 1
        assert book.incarnation == 1
        settled(t)

    testkit.run(test)


@pytest.mark.parametrize("message", [Note(1), Slow(1)])
@pytest.mark.parametrize("point", ["handler.before", "handler.after"])
def test_handler_delay_takes_time(point: str, message: Any) -> None:
    async def test(t: TestSystem) -> None:
        book = t.spawn(Book)
        t.faults.arm(point, delay=1.0, seconds=2.0)
        assert await book.ask(message, 5.0) == 1
        assert 2.0 <= t.now() <= 2.01
        settled(t)

    testkit.run(test)


@pytest.mark.parametrize("message", [Note(1), Slow(1)])
@pytest.mark.parametrize("point", ["handler.before", "handler.after"])
def test_handler_kill_ends_its_actor(point: str, message: Any) -> None:
    async def test(t: TestSystem) -> None:
        seen: list[int] = []
        book = t.spawn(Book, seen)
        t.faults.arm(point, kill=1.0)
        reply = book.ask(message)
        assert await book.stopped() == "killed"
        if point == "handler.before":
            with pytest.raises(ActorStopped):
                await reply
        assert seen == ([] if point == "handler.before" else [1])
        settled(t)

    testkit.run(test)


# -- spawns, replays, stores


def test_spawn_fail() -> None:
    async def test(t: TestSystem) -> None:
        t.faults.arm("spawn", fail=1.0, times=1)
        with pytest.raises(SpawnError, match=r"Book\(\) could not be made: InjectedFault"):
            t.spawn(Book)
        assert await t.spawn(Book).ask(Note(1)) == 1

    testkit.run(test)


@pytest.mark.parametrize("sent", [False, True], ids=["before", "behind"])
@pytest.mark.parametrize("at", range(4))
def test_DL_2_a_replay_that_dies_at_any_step_loses_no_letter(at: int, sent: bool) -> None:
    async def test(t: TestSystem) -> None:
        seen: list[int] = []
        book = t.spawn(Book, seen)
        t.faults.arm("mailbox.put", drop=1.0)
        for n in range(4):
            book.tell(Note(n))
        t.faults.disarm("mailbox.put")
        passes: list[Any] = []

        def where(path: str, what: Any) -> bool:
            passes.append(what)
            return passes.count(Note(at)) == 1 + sent

        t.faults.arm("replay.step", fail=1.0, where=where)
        with pytest.raises(InjectedFault):
            await t.system.dead_letters.replay()
        t.faults.disarm()
        await t.system.dead_letters.replay()
        await t.run_until_idle()
        # Sent but not taken away yet, it is sent again: at least once.
        assert seen == [*range(at), *([at] * (1 + sent)), *range(at + 1, 4)], "DL-2"

    testkit.run(test)


class Sum(msgspec.Struct, frozen=True):
    n: int = 0


class Adder(Durable):
    State = Sum

    @on
    def add(self, m: Note) -> int:
        self.state = Sum(self.state.n + m.n)
        return self.state.n


def test_PS_1_a_write_that_fails_is_not_acknowledged_and_a_lost_answer_is_no_loss() -> None:
    async def test(t: TestSystem) -> None:
        adder = t.system.entity(Adder, "a")
        assert await adder.ask(Note(1)) == 1
        t.faults.arm("store.write", fail=1.0, times=1)
        with pytest.raises(HandlerError, match=r"StoreError: injected fault at store.write"):
            await adder.ask(Note(10))
        assert await adder.ask(Note(2)) == 3
        t.faults.arm("store.written", fail=1.0, times=1)
        with pytest.raises(HandlerError):
            await adder.ask(Note(20))
        assert await adder.ask(Note(0), 10.0) == 23

    testkit.run(test, store=MemoryStore())


def test_store_delays_and_errors_of_ones_own() -> None:
    async def test(t: TestSystem) -> None:
        store = t.system.store
        assert store is not None
        t.faults.arm("store.read", delay=1.0, seconds=3.0)
        assert await store.load("k") is None
        assert t.now() == 3.0
        t.faults.arm("store.read", fail=1.0, error=OSError("disk"))
        for call in (store.read("k"), store.last("k"), store.keys(), store.load("k")):
            with pytest.raises(OSError, match="disk"):
                await call
        t.faults.arm("store.write", fail=1.0)
        calls: list[Any] = [store.append("k", [b""], 0), store.save("k", b"", 0), store.delete("k")]
        for call in calls:
            with pytest.raises(StoreError):
                await call

    testkit.run(test, store=MemoryStore())


# -- arming


def test_arming_what_cannot_be_is_refused() -> None:
    faults = Faults()
    with pytest.raises(UsageError, match=r"unknown fault point 'mailbox'; use one of mailbox.put"):
        faults.arm("mailbox", drop=1.0)
    with pytest.raises(UsageError, match=r"spawn cannot drop; it can fail"):
        faults.arm("spawn", drop=1.0)
    with pytest.raises(UsageError, match=r"chances above 0.*faults.arm\(.spawn., fail=0.1\)"):
        faults.arm("spawn")
    for wrong in ({"fail": -0.1}, {"fail": 0.6, "drop": 0.6}):
        with pytest.raises(UsageError, match="sum up to 1 at most"):
            faults.arm("mailbox.put", **wrong)
    assert seam.plan is None


def test_nothing_stays_armed_after_the_test() -> None:
    async def test(t: TestSystem) -> None:
        t.faults.arm("replay.step", fail=1.0)
        assert seam.plan is t.faults

    testkit.run(test)
    assert seam.plan is None


def test_TK_1_the_seed_decides_what_strikes() -> None:
    async def test(t: TestSystem) -> str:
        t.faults.arm("mailbox.put", drop=0.3, delay=0.2)
        book = t.spawn(Book)
        for n in range(30):
            book.tell(Note(n))
        await t.advance(1.0)
        return t.events.text() + str(book.instance.seen)

    logs = {seed: testkit.run(test, seed=seed) for seed in range(1, 6)}
    assert all(testkit.run(test, seed=seed) == log for seed, log in logs.items()), "TK-1"
    assert len(set(logs.values())) == 5


def test_a_search_finds_the_one_fault_that_matters() -> None:
    async def test(t: TestSystem) -> None:
        t.faults.arm("mailbox.put", drop=0.1)
        book = t.spawn(Book)
        for n in range(8):
            book.tell(Note(n))
        await t.run_until_idle()
        assert 5 in book.instance.seen

    found = testkit.find_failure(test)
    assert found is not None
    assert found.schedule == "f6:drop"
    assert any("fault drop at mailbox.put: /user/$3 Note(n=5)" in line for line in found.events)


# -- a system of one's own, on the real clock


@pytest.mark.parametrize("point", sorted(set(POINTS) - {"store.read", "store.write"}))
def test_MS_1_holds_in_a_real_system_with_faults(point: str) -> None:
    async def main() -> None:
        policy = OneForOne(max_restarts=None, backoff=(0.0, 0.0))
        async with System(settings=Settings(supervise=policy)) as system:
            with testkit.inject(system, seed=3) as faults:
                kinds = [kind for kind in POINTS[point] if kind not in ("kill", "delay")]
                faults.arm(point, **dict.fromkeys(kinds, 0.2))
                books = []
                while len(books) < 5:
                    try:
                        books.append(system.spawn(Book))
                    except SpawnError:
                        continue
                for n in range(200):
                    books[n % 5].tell(Note(n))
                await system.idle()
            assert seam.plan is None
            report = await system.shutdown()
        assert report.lost == 0, "MS-1"
        assert report.accepted >= 100
        assert sum(faults.struck.values()) > 0 or point not in ("mailbox.put", "handler.before")

    asyncio.run(main())
