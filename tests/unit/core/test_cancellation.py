"""Code that computes asks whether it is still wanted, on the loop's thread or on another."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

import actinium as ac
from actinium import testkit
from actinium.errors import AskTimeout, DeadlineExceeded, HandlerError, UsageError
from actinium.testkit import TestSystem


class Compute(ac.Message):
    rounds: int


class Relay(ac.Message):
    rounds: int


class Answer(ac.Message):
    """Deferred: answered at once, and computed on for."""


class Engine(ac.Actor):
    """Computes in rounds of 10 ms, and gives up when it is no longer wanted."""

    def __init__(self, book: list[Any]) -> None:
        self.book = book

    def _round(self) -> None:
        core = self.ctx.self_ref.core
        core.set_time(core.now() + 0.01)  # what a computation does to the clock

    @ac.on
    def compute(self, m: Compute) -> int:
        done = 0
        try:
            for _ in range(m.rounds):
                self._round()
                self.ctx.check()
                done += 1
        finally:
            self.book.append(done)
        return done

    @ac.on
    async def asked(self, m: str) -> str:
        wanted = self.ctx.cancellation
        self.book.append((wanted.cancelled, wanted.remaining))
        await asyncio.sleep(1.0)
        self.book.append((wanted.cancelled, self.ctx.cancelled, wanted.reason))
        return m

    @ac.on
    async def stream(self, m: int) -> AsyncIterator[int]:
        wanted = self.ctx.cancellation
        try:
            for n in range(m):
                yield n
        finally:
            self.book.append(wanted.cancelled)

    @ac.on
    def answer(self, m: Answer) -> None:
        self.ctx.reply("early")
        self.book.append(self.ctx.cancelled)


class Front(ac.Actor):
    def __init__(self, engine: Any) -> None:
        self.engine = engine

    @ac.on
    async def relay(self, m: Relay) -> int:
        done: int = await self.engine.ask(Compute(m.rounds), 100.0)
        return done


def test_complaint_8_sync_code_ends_once_its_deadline_has_passed_and_that_is_no_failure() -> None:
    """A running sync method could not be interrupted."""

    async def test(t: TestSystem) -> None:
        book: list[Any] = []
        engine = t.spawn(Engine, book)
        with pytest.raises(AskTimeout):
            await engine.ask(Compute(1000), 0.1)
        assert book == [9], "it ended with the round in which its time was over"
        engine.tell(Compute(1000), deadline=0.2)
        await t.run_until_idle()
        assert book == [9, 19]
        assert t.system.statistics()["dead_lettered"] == 0
        with pytest.raises(HandlerError) as failure:  # the deadline of the outer ask
            await t.spawn(Front, engine).ask(Relay(1000), 0.3)
        assert isinstance(failure.value.cause, DeadlineExceeded)
        assert len(book) == 3
        assert book[2] < 30
        assert await engine.ask(Compute(5), 0.1) == 5
        assert await engine.ask(Compute(1000), 1e9) == 1000
        assert engine.incarnation == 0

    testkit.run(test)


def test_the_asker_that_gave_up_is_seen_by_a_handler_that_is_not_cancelled() -> None:
    async def test(t: TestSystem) -> None:
        book: list[Any] = []
        engine = t.spawn(Engine, book)
        asked = asyncio.ensure_future(engine.ask("x", 10.0))
        await t.run_until_idle()
        asked.cancel()
        await t.advance(2.0)
        assert book[0][0] is False
        assert 9.0 < book[0][1] <= 10.0
        assert book[1] == (True, True, "nobody waits for the answer any more")
        book.clear()
        with pytest.raises(AskTimeout):
            await engine.ask("x", 0.5)
        await t.advance(2.0)
        assert book[1] == (True, True, "the deadline has passed")
        book.clear()
        engine.tell("x")
        await t.advance(2.0)
        assert book == [(False, None), (False, False, None)], "a tell has no asker"

    testkit.run(test)


def test_a_reply_that_was_given_is_no_cancellation() -> None:
    async def test(t: TestSystem) -> None:
        book: list[Any] = []
        assert await t.spawn(Engine, book).ask(Answer()) == "early"
        assert book == [False]

    testkit.run(test)


@pytest.mark.parametrize("early", [True, False])
def test_the_reader_of_a_stream_that_left(early: bool) -> None:
    async def test(t: TestSystem) -> None:
        book: list[Any] = []
        async with t.spawn(Engine, book).stream(100 if early else 1) as items:
            async for _ in items:
                if early:
                    break
        await t.run_until_idle()
        assert book == [early]

    testkit.run(test)


def test_a_kill_a_restart_and_a_stop_are_seen_from_outside_of_the_handler() -> None:
    class Stubborn(ac.Actor):
        def __init__(self, book: list[Any]) -> None:
            self.book = book

        @ac.on
        async def work(self, m: str) -> None:
            self.book.append(self.ctx.cancellation)
            try:
                await asyncio.sleep(1e6)
            finally:
                self.book.append(self.ctx.cancellation.reason)

    async def test(t: TestSystem) -> None:
        book: list[Any] = []
        ref = t.spawn(Stubborn, book)
        ref.tell("x")
        await t.run_until_idle()
        wanted = book[0]
        assert not wanted.cancelled
        ref.kill()
        await ref.stopped()
        assert book[1] == "its actor ends it"
        assert wanted.reason == "its actor has gone on without it"
        with pytest.raises(asyncio.CancelledError, match=r"/user/\$\d+: its actor has gone on"):
            wanted.check()

    testkit.run(test)


def test_outside_of_a_handler_there_is_nothing_to_ask() -> None:
    class Wide(ac.Actor, concurrent=4):
        @ac.on
        async def work(self, m: int) -> None:
            await asyncio.sleep(10.0)

    async def test(t: TestSystem) -> None:
        ref = t.spawn(Wide)
        ctx = ref.instance.ctx
        with pytest.raises(UsageError, match="belongs in a handler, while its message is current"):
            _ = ctx.cancelled
        ref.tell(1)
        ref.tell(2)
        await t.run_until_idle()
        with pytest.raises(UsageError, match=r"2 handlers under way.*hand it over"):
            _ = ctx.cancelled

    testkit.run(test)


# -- handlers in threads


class Blocking(ac.Actor):
    """Waits in a thread for what a test lets happen."""

    def __init__(self, begun: Any, go_on: Any, book: list[Any]) -> None:
        self.begun = begun
        self.go_on = go_on
        self.book = book

    @ac.on(thread=True)
    def block(self, m: str) -> tuple[str, int]:
        self.begun.set()
        assert self.go_on.wait(20.0)
        self.book.append(m)
        return m, threading.get_ident()

    @ac.on(thread=True)
    def spin(self, m: Compute) -> None:
        self.begun.set()
        while True:
            self.ctx.check()
            self.go_on.wait(0.001)

    @ac.on(thread=True)
    def tell(self, m: ac.LocalRef) -> Any:  # type: ignore[type-arg]
        m.tell(7)
        return (self.ctx.sender, self.ctx.remaining, ac.blocking(self.ctx.system).ask(m, "x"))

    @ac.on(thread=True, batch=8)
    def many(self, m: list[float]) -> None:
        self.book.append((len(m), threading.get_ident()))

    @ac.on(thread=True)
    def fail(self, m: bytes) -> None:
        raise ValueError(m)

    @ac.on
    def quick(self, m: int) -> int:
        return threading.get_ident()


class Listener(ac.Actor):
    def __init__(self, book: list[Any]) -> None:
        self.book = book

    @ac.on
    def take(self, m: int) -> None:
        self.book.append(m)

    @ac.on
    def echo(self, m: str) -> str:
        return m


def in_real_time(test: Any) -> None:
    async def main() -> None:
        async with ac.System(settings=ac.Settings(ask_timeout=30.0)) as system:
            begun, go_on = threading.Event(), threading.Event()
            book: list[Any] = []
            ref = system.spawn(Blocking, begun, go_on, book)
            await test(system, ref, begun, go_on, book)
            go_on.set()
        assert not [x for x in asyncio.all_tasks() if x is not asyncio.current_task()], "LC-3"

    asyncio.run(main())


async def until(event: threading.Event) -> None:
    assert await asyncio.to_thread(event.wait, 20.0)


def test_complaint_12_a_handler_that_blocks_runs_in_a_thread_and_nobody_else_waits() -> None:
    """Sync methods of an async actor shared its loop, and one that blocked held up all."""

    async def test(system: ac.System, ref: Any, begun: Any, go_on: Any, book: list[Any]) -> None:
        other = system.spawn(Listener, [])
        slow, after = ref.ask("slow"), ref.ask(1)
        await until(begun)
        assert await other.ask("the loop goes on") == "the loop goes on"
        assert not after.done(), "SC-1: it is the one handler of its actor"
        go_on.set()
        m, thread = await slow
        assert (m, book) == ("slow", ["slow"])
        assert thread != threading.get_ident() == await after

    in_real_time(test)


def test_what_a_thread_may_do() -> None:
    async def test(system: ac.System, ref: Any, begun: Any, go_on: Any, book: list[Any]) -> None:
        heard: list[Any] = []
        other = system.spawn(Listener, heard)
        sender, remaining, answer = await ref.ask(other, 20.0)
        assert sender is None
        assert 10.0 < remaining <= 21.0
        assert answer == "x"
        assert heard == [7], "MS-2"
        for n in range(20):
            ref.tell(float(n))
        await system.idle()
        assert [n for n, _ in book] == [8, 8, 4]
        assert threading.get_ident() not in {thread for _, thread in book}
        with pytest.raises(HandlerError, match="ValueError: b'x'"):
            await ref.ask(b"x")
        assert await ref.ask(1) == threading.get_ident()
        assert ref.incarnation == 1

    in_real_time(test)


@pytest.mark.parametrize("how", ["kill", "timeout", "cancel"])
def test_complaint_8_a_thread_that_checks_ends_when_it_is_not_wanted(how: str) -> None:
    async def test(system: ac.System, ref: Any, begun: Any, go_on: Any, book: list[Any]) -> None:
        asked = asyncio.ensure_future(ref.ask(Compute(1), 0.05 if how == "timeout" else None))
        await until(begun)
        if how == "kill":
            ref.kill()
        elif how == "cancel":
            asked.cancel()
        assert isinstance((await asyncio.gather(asked, return_exceptions=True))[0], BaseException)
        if how == "kill":
            assert await ref.stopped() == "killed"
        else:
            assert await ref.ask(1) == threading.get_ident()
            assert ref.incarnation == 0, "it did not fail"

    in_real_time(test)


def test_sc_1_a_killed_actor_is_not_gone_before_its_thread_has_ended() -> None:
    async def test(system: ac.System, ref: Any, begun: Any, go_on: Any, book: list[Any]) -> None:
        asked = ref.ask("slow")
        await until(begun)
        ref.kill()
        for _ in range(10):
            await asyncio.sleep(0)
        assert not ref.stopped_flag
        go_on.set()
        await ref.stopped()
        assert book == ["slow"]
        with pytest.raises(ac.ActiniumError):
            await asked

    in_real_time(test)


def test_a_call_that_has_not_begun_is_dropped() -> None:
    async def test(system: ac.System, ref: Any, begun: Any, go_on: Any, book: list[Any]) -> None:
        loop = asyncio.get_running_loop()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            loop.set_default_executor(pool)
            holds_the_only_thread = loop.run_in_executor(None, go_on.wait, 20.0)
            ref.tell("never begun")
            for _ in range(10):
                await asyncio.sleep(0)
            assert ref.running
            ref.kill()
            assert await ref.stopped() == "killed"
            go_on.set()
            await holds_the_only_thread
        assert book == []

    in_real_time(test)


def test_what_cannot_run_in_a_thread_is_refused() -> None:
    with pytest.raises(UsageError, match=r"with thread=True must be a `def` method"):

        class Awaits(ac.Actor):
            @ac.on(thread=True)
            async def work(self, m: int) -> None: ...

    with pytest.raises(UsageError, match=r"leave concurrent=4 out"):

        class Many(ac.Actor):
            @ac.on(thread=True, concurrent=4)
            def work(self, m: int) -> None: ...

    with pytest.raises(UsageError, match="must be alone with the actor's state"):

        class Beside(ac.Actor, concurrent=2):
            @ac.on(thread=True)
            def work(self, m: int) -> None: ...

    async def test(t: TestSystem) -> None:
        ref = t.spawn(Blocking, None, None, [])
        with pytest.raises(HandlerError, match="UsageError"):
            await ref.ask(b"x")

    testkit.run(test)
