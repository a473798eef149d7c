"""Laws of messages: every one has one owner, one order and one end (MS, DL, SC)."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actinium import testkit
from actinium.core import Actor, LocalRef, Mailbox, Message, OneForOne, Stop, on
from actinium.errors import (
    ActiniumError,
    ActorStopped,
    AskCycle,
    AskTimeout,
    DeadlineExceeded,
    HandlerError,
    MailboxFull,
    Unhandled,
)
from actinium.testkit import TestSystem

seeds = st.integers(1, 2**32)
law = settings(max_examples=60, deadline=None, derandomize=True)


class Job(Message):
    """What a worker shall do: ``do`` names it."""

    origin: int
    n: int
    do: str = "work"


class Book:
    def __init__(self) -> None:
        self.started: list[Job] = []
        self.handled: list[Job] = []


class Worker(Actor, mailbox=Mailbox(8)):
    """Does what its jobs say, and writes them down in a book that outlives it."""

    def __init__(self, book: Book) -> None:
        self.book = book
        self.inside = 0

    def _enter(self, job: Job) -> None:
        self.book.started.append(job)

    @on
    def plain(self, job: Job) -> int:
        self._enter(job)
        if job.do == "fail":
            raise ValueError(job.n)
        if job.do == "stop":
            raise Stop
        if job.do == "spawn":
            self.ctx.spawn(Worker, self.book).tell(Job(job.origin, job.n))
        self.book.handled.append(job)
        return job.n


class SlowJob(Message):
    origin: int
    n: int
    seconds: float = 0.0
    fails: bool = False


class Slow(Actor):
    """An async worker that notices when two of its handlers run at once."""

    inside = 0
    most = 0

    def __init__(self, book: list[int]) -> None:
        self.book = book

    @on
    async def slow(self, job: SlowJob) -> int:
        cls = type(self)
        cls.inside += 1
        cls.most = max(cls.most, cls.inside)
        try:
            await asyncio.sleep(job.seconds)
            if job.fails:
                raise ValueError(job.n)
            self.book.append(job.n)
            return job.n
        finally:
            cls.inside -= 1


Worker_ops = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.sampled_from(["work", "work", "work", "fail", "stop", "spawn", "kill", "unhandled"]),
        st.integers(0, 3),
    ),
    max_size=60,
)


@law
@given(Worker_ops, seeds, st.sampled_from(["restart", "resume", "stop"]))
def test_MS_1_accepted_is_handled_plus_dead_letters_at_every_step(
    ops: list[tuple[int, str, int]], seed: int, directive: Any
) -> None:
    async def test(t: TestSystem) -> None:
        book = Book()
        policy = OneForOne(max_restarts=None, backoff=(0.0, 0.0), decide={ValueError: directive})
        workers = [t.spawn(Worker, book, supervise=policy) for _ in range(4)]
        refused = 0
        for n, (which, do, steps) in enumerate(ops):
            ref = workers[which]
            if do == "kill":
                ref.kill()
            elif do == "unhandled":
                refused += not ref.tell(f"text {n}")
            else:
                refused += not ref.tell(Job(which, n, do))
            t.step(steps)
            stats = t.system.statistics()
            waiting = sum(w.depth for w in everyone(workers))
            assert stats["accepted"] == stats["handled"] + stats["dead_lettered"] + waiting, "MS-1"
        await t.run_until_idle()
        stats = t.system.statistics()
        assert stats["accepted"] == stats["handled"] + stats["dead_lettered"], "MS-1"
        assert stats["dead_letters"] == stats["dead_lettered"] + refused, "MS-1"
        report = await t.shutdown()
        assert report.lost == 0, "MS-1"

    testkit.run(test, seed=seed)


def everyone(refs: list[LocalRef[Any]]) -> list[LocalRef[Any]]:
    found = list(refs)
    for ref in refs:
        found += everyone(ref.children())
    return found


class Burst(Message):
    to: Any
    origin: int
    first: int
    count: int


class Relay(Actor):
    """Sends on, so that its messages have it as their sender."""

    @on
    def relay(self, m: Burst) -> None:
        for n in range(m.first, m.first + m.count):
            m.to.tell(Job(m.origin, n))


class Keeper(Actor, mailbox=Mailbox(100_000)):
    def __init__(self, fail_every: int, book: list[Job]) -> None:
        self.fail_every = fail_every
        self.book = book

    @on
    def job(self, m: Job) -> None:
        self.book.append(m)
        if self.fail_every and m.n % self.fail_every == 0:
            raise ValueError


@law
@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(1, 9)), max_size=30),
    st.integers(0, 4),
    seeds,
)
def test_MS_2_order_per_sender_holds_over_schedules_and_restarts(
    bursts: list[tuple[int, int]], fail_every: int, seed: int
) -> None:
    async def test(t: TestSystem) -> None:
        book: list[Job] = []
        policy = OneForOne(max_restarts=None, backoff=(0.01, 0.02))
        keeper = t.spawn(Keeper, fail_every, book, supervise=policy)
        relays = [t.spawn(Relay) for _ in range(5)]
        sent: dict[int, int] = defaultdict(int)
        for origin, count in bursts:
            relays[origin].tell(Burst(keeper, origin, sent[origin], count))
            sent[origin] += count
        await t.advance(60.0)
        for origin, count in sent.items():
            got = [m.n for m in book if m.origin == origin]
            assert got == list(range(count)), f"MS-2: sender {origin}"

    testkit.run(test, seed=seed)


@law
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["reply", "fail", "never", "drop", "late", "unhandled", "stop"]),
            st.sampled_from([0.0, 0.001, 0.5, None]),
            st.booleans(),
        ),
        min_size=1,
        max_size=15,
    ),
    seeds,
)
def test_MS_3_an_ask_ends_exactly_once_and_no_later_than_its_deadline(
    asks: list[tuple[str, float | None, bool]], seed: int
) -> None:
    async def test(t: TestSystem) -> None:
        await t.advance(1.0)
        answerer = t.spawn(Answerer, mailbox=Mailbox(10))
        ends: list[list[Any]] = []
        replies = []
        for kind, timeout, cancel in asks:
            reply = answerer.ask(kind if kind != "unhandled" else 1.5, timeout)
            ends.append([])
            reply.add_done_callback(ends[-1].append)
            replies.append((reply, timeout, cancel))
        t.step(3)
        for reply, _, cancel in replies:
            if cancel:
                reply.cancel()
        for reply, timeout, _ in replies:
            await t.loop.until(reply.done, 5.0 if timeout is None else timeout)
            await t.advance(0.002)
            assert reply.done(), "MS-3: an ask hangs past its deadline"
            if not reply.cancelled() and reply.exception() is not None:
                assert isinstance(reply.exception(), ActiniumError)
        await t.advance(20.0)
        assert [len(e) for e in ends] == [1] * len(asks), "MS-3: completed other than once"
        assert t.system.statistics()["timers"] == 0, "MS-3: a timer of an ask was left"

    testkit.run(test, seed=seed)


class Answerer(Actor):
    def __init__(self) -> None:
        self.kept: list[Any] = []

    @on
    async def answer(self, kind: str) -> str | None:
        match kind:
            case "fail":
                raise ValueError(kind)
            case "never":
                self.kept.append(self.ctx.defer())
            case "drop":
                self.ctx.defer()
            case "late":
                await asyncio.sleep(0.6)
            case "stop":
                raise Stop
        return kind


@law
@given(st.lists(st.tuples(st.floats(0, 2), st.floats(0, 0.3)), max_size=15), seeds)
def test_MS_4_an_expired_message_never_enters_a_handler(
    plan: list[tuple[float, float]], seed: int
) -> None:
    async def test(t: TestSystem) -> None:
        await t.advance(1.0)
        entered: list[tuple[float, float]] = []

        class Picky(Actor):
            @on
            async def job(self, m: SlowJob) -> None:
                entered.append((float(m.n) / 1e6, self.ctx.system.now()))
                await asyncio.sleep(m.seconds)

        picky = t.spawn(Picky)
        for deadline, seconds in plan:
            picky.tell(SlowJob(0, round(deadline * 1e6), seconds), deadline=deadline)
        await t.advance(60.0)
        for deadline, at in entered:
            assert at <= 1.0 + deadline + 1e-6, "MS-4"
        letters = t.system.dead_letters.find(reason="expired")
        assert len(letters) + len(entered) == len(plan), "MS-1"

    testkit.run(test, seed=seed)


def test_MS_5_a_ref_never_reaches_a_successor_of_the_same_name() -> None:
    async def test(t: TestSystem) -> None:
        book = Book()
        old = t.spawn(Worker, book, name="w")
        old.stop()
        await old.stopped()
        new = t.spawn(Worker, book, name="w")
        assert t.system.lookup("/user/w") is new
        assert not old.tell(Job(0, 1))
        with pytest.raises(ActorStopped):
            await old.ask(Job(0, 2))
        assert book.started == [], "MS-5"
        assert await new.ask(Job(0, 3)) == 3
        assert old != new

    testkit.run(test)


@pytest.mark.parametrize("most", [1, 3])
def test_SC_1_no_more_handlers_at_once_than_declared(most: int) -> None:
    async def test(t: TestSystem) -> None:
        class Few(Slow, concurrent=most):
            pass

        book: list[int] = []
        policy = OneForOne(max_restarts=None, decide={ValueError: "resume"})
        few = t.spawn(Few, book, supervise=policy)
        for n in range(40):
            few.tell(SlowJob(0, n, 0.01 * (n % 5), fails=n % 7 == 0))
        await t.advance(60.0)
        assert Few.most == most, f"SC-1: {Few.most} of {most}"
        assert sorted(book) == [n for n in range(40) if n % 7], "MS-1"

    testkit.explore(test, seeds=range(1, 15))


@law
@given(st.lists(st.integers(0, 5), max_size=40), seeds)
def test_SC_2_an_actor_is_in_the_ready_queue_at_most_once(tells: list[int], seed: int) -> None:
    async def test(t: TestSystem) -> None:
        keepers = [t.spawn(Keeper, 0, []) for _ in range(6)]
        for n, which in enumerate(tells):
            keepers[which].tell(Job(0, n))
            ready = t.system.statistics()["ready"]
            with_work = sum(1 for k in keepers if k.depth)
            assert ready == with_work, "SC-2, MB-2"
            if n % 3 == 0:
                t.step()

    testkit.run(test, seed=seed)


REASONS = {
    "mailbox_full": MailboxFull,
    "actor_stopped": ActorStopped,
    "unhandled": Unhandled,
    "handler_failed": HandlerError,
    "expired": DeadlineExceeded,
}


def test_DL_1_everything_undelivered_is_a_dead_letter_with_its_whole_payload() -> None:
    async def test(t: TestSystem) -> None:
        book = Book()
        ref = t.spawn(Worker, book, mailbox=Mailbox(1))
        ref.tell(Job(0, 0, "fail"))
        ref.tell(Job(0, 1))
        letter = await t.expect_dead_letter("mailbox_full")
        assert letter.message == Job(0, 1)
        letter = await t.expect_dead_letter("handler_failed")
        assert letter.message == Job(0, 0, "fail")
        assert "ValueError: 0" in letter.trace
        assert "plain" in letter.trace
        ref.tell("text")
        assert (await t.expect_dead_letter("unhandled")).message == "text"
        ref.tell(Job(0, 2), deadline=0.0)
        await t.advance(0.0)
        ref.stop()
        ref.tell(Job(0, 3))
        assert (await t.expect_dead_letter("mailbox_closed")).message == Job(0, 3)
        await ref.stopped()
        ref.tell(Job(0, 4))
        assert (await t.expect_dead_letter("actor_stopped")).message == Job(0, 4)
        stamps = [x.time for x in t.system.dead_letters]
        assert stamps == sorted(set(stamps)), "HC-1"

    testkit.run(test)


@law
@given(st.integers(1, 30), st.integers(1, 40), st.integers(1, 5), seeds)
def test_DL_2_replay_keeps_order_and_loses_nothing(
    letters: int, room: int, attempts: int, seed: int
) -> None:
    async def test(t: TestSystem) -> None:
        book = Book()
        gone = t.spawn(Worker, book)
        gone.stop()
        await gone.stopped()
        for n in range(letters):
            gone.tell(Job(0, n))
        new = t.spawn(Worker, book, mailbox=Mailbox(room))
        dead = t.system.dead_letters
        for _ in range(attempts):
            results = await dead.replay(to=new, timeout=0)
            assert all(r.outcome in ("accepted", "refused") for r in results)
            assert len(dead) + new.depth + len(book.handled) == letters, "DL-2: a letter is lost"
            await t.run_until_idle()
        while len(dead):
            await dead.replay(to=new, timeout=0)
            await t.run_until_idle()
        assert [j.n for j in book.handled] == list(range(letters)), "DL-2: order"

    testkit.run(test, seed=seed)


def test_DL_2_attempts_end() -> None:
    async def test(t: TestSystem) -> None:
        policy = OneForOne(max_restarts=None, decide={ValueError: "resume"})
        ref = t.spawn(Worker, Book(), supervise=policy)
        ref.tell(Job(0, 1, "fail"))
        await t.run_until_idle()
        for attempt in range(1, 4):
            assert [r.outcome for r in await t.system.dead_letters.replay()] == ["accepted"]
            await t.run_until_idle()
            assert [x.attempt for x in t.system.dead_letters] == [attempt]
        results = await t.system.dead_letters.replay()
        assert [(r.outcome, r.code) for r in results] == [("refused", "attempts")]
        assert len(t.system.dead_letters) == 1

    testkit.run(test)


def test_asks_in_a_circle_fail_at_once() -> None:
    class Round(Actor):
        other: LocalRef[Any]

        @on
        async def go(self, m: int) -> int:
            value: int = await self.other.ask(m + 1)
            return value

    async def test(t: TestSystem) -> None:
        refs = [t.spawn(Round) for _ in range(3)]
        for n, ref in enumerate(refs):
            ref.instance.other = refs[(n + 1) % 3]
        with pytest.raises(HandlerError) as failure:
            await refs[0].ask(0)
        cause: BaseException | None = failure.value
        while isinstance(cause, HandlerError):
            cause = cause.cause
        assert isinstance(cause, AskCycle)
        assert t.now() < 1.0

    testkit.run(test)


def test_deadlines_are_inherited_by_inner_asks() -> None:
    class Outer(Actor):
        @on
        async def go(self, m: SlowJob) -> str:
            inner = self.ctx.spawn(Slow, [])
            try:
                await inner.ask(m, 100.0)
            except DeadlineExceeded:
                return f"over at {self.ctx.system.now():.1f}"
            return "answered"

    async def test(t: TestSystem) -> None:
        outer = t.spawn(Outer)
        with pytest.raises(AskTimeout):
            await outer.ask(SlowJob(0, 0, 50.0), 1.0)
        assert t.now() == pytest.approx(1.0, abs=0.002)

    testkit.run(test)
