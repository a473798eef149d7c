"""Dead letters: looked at, filtered, limited, watched and told again."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from typing import Any

import pytest

from actinium import testkit
from actinium.core import (
    Actor,
    DeadLetterEvent,
    LocalRef,
    Mailbox,
    Message,
    Missed,
    OneForOne,
    Settings,
    System,
    on,
)
from actinium.core.deadletters.weight import weight
from actinium.errors import ConfigError, UsageError
from actinium.testkit import TestSystem


class Job(Message):
    n: int
    data: bytes = b""


class SpecialJob(Job, frozen=True):
    pass


class Worker(Actor, mailbox=Mailbox(3)):
    def __init__(self, done: list[int]) -> None:
        self.done = done

    @on
    def job(self, m: Job) -> None:
        if m.n < 0:
            raise ValueError(m.n)
        self.done.append(m.n)


async def stopped(t: TestSystem, name: str | None = None) -> LocalRef[Worker]:
    ref = t.spawn(Worker, [], name=name) if name else t.spawn(Worker, [])
    ref.stop()
    await ref.stopped()
    return ref


def numbers(letters: Any) -> list[int]:
    return [letter.message.n for letter in letters]


def test_a_letter_says_all_that_is_known() -> None:
    async def test(t: TestSystem) -> None:
        sender = t.probe().ref
        worker = t.spawn(Worker, [], name="w", supervise=OneForOne(decide={ValueError: "resume"}))
        worker.tell(Job(-1, b"x" * 1000), sender=sender)
        worker.tell(Job(0))
        await t.run_until_idle()
        (letter,) = t.system.dead_letters
        assert letter.reason == "handler_failed" and letter.target is worker
        assert (letter.path, letter.sender, letter.kept) == ("/user/w", sender, "whole")
        assert letter.type.endswith(":Job") and letter.message == Job(-1, b"x" * 1000)
        assert letter.error == "ValueError: -1" and "raise ValueError" in letter.trace
        assert letter.size > 1000 and letter.capacity == 3 and letter.time > 0

    testkit.run(test)


def test_letters_are_found_by_reason_target_type_and_age() -> None:
    async def test(t: TestSystem) -> None:
        a, b = await stopped(t, "a"), await stopped(t, "b")
        full = t.spawn(Worker, [], mailbox=Mailbox(1))
        a.tell(Job(1))
        await t.advance(10)
        b.tell(SpecialJob(2))
        full.tell(Job(3))
        full.tell(Job(4))
        find = t.system.dead_letters.find
        assert numbers(find()) == [1, 2, 4]
        assert numbers(find(reason="mailbox_full")) == [4]
        assert numbers(find(target="/user/b")) == [2]
        assert numbers(find(target="/user/?")) == [1, 2]
        assert numbers(find(target="**")) == [1, 2, 4]
        assert numbers(find(type=SpecialJob)) == [2]
        assert numbers(find(type=Job)) == [1, 2, 4], "a class means its subclasses too"
        assert numbers(find(type="SpecialJob")) == [2]
        assert numbers(find(older_than=5)) == [1]
        assert numbers(find(newer_than=5, reason="actor_stopped")) == [2]

    testkit.run(test)


@pytest.mark.parametrize(
    ("limits", "left"),
    [
        ({"dead_letters": 4}, [6, 7, 8, 9]),
        ({"dead_letters": 0}, []),
        ({"dead_letter_bytes": 3500}, [7, 8, 9]),
        ({"dead_letter_age": 2.5}, [7, 8, 9]),
    ],
)
def test_the_oldest_letters_go_at_each_limit_and_are_counted(
    limits: dict[str, Any], left: list[int]
) -> None:
    async def test(t: TestSystem) -> None:
        gone = await stopped(t)
        for n in range(10):
            gone.tell(Job(n, b"x" * 1000))
            if n < 9:
                await t.advance(1)
        dead = t.system.dead_letters
        assert numbers(dead) == left and len(dead) == len(left)
        assert dead.lost == 10 - len(left)
        assert dead.counts == {"actor_stopped": 10}
        assert dead.statistics()["recorded"] == 10
        assert (dead.bytes == 0) == (not left)

    testkit.run(test, settings=Settings(**limits))


def test_meta_keeps_no_message_and_cannot_be_replayed() -> None:
    async def test(t: TestSystem) -> None:
        gone = await stopped(t)
        gone.tell(Job(1))
        (letter,) = t.system.dead_letters
        assert letter.message is None and letter.kept == "meta" and letter.type.endswith(":Job")
        (result,) = await t.system.dead_letters.replay()
        assert result.outcome == "not_replayable"
        assert result.code == 'the system keeps dead letters as "meta"'
        assert len(t.system.dead_letters) == 1

    testkit.run(test, settings=Settings(dead_letter_keep="meta"))


def test_watchers_get_letters_by_filter_and_the_exact_number_missed() -> None:
    async def test(t: TestSystem) -> None:
        a, b = await stopped(t, "a"), await stopped(t, "b")
        async with t.system.dead_letters.watch(target="/user/a", max_pending=3) as letters:
            for n in range(8):
                a.tell(Job(n))
                b.tell(Job(100 + n))
            got = [await anext(letters) for _ in range(4)]
            assert numbers(e.letter for e in got[:3] if isinstance(e, DeadLetterEvent)) == [0, 1, 2]
            assert got[3] == Missed(5)

    testkit.run(test)


def test_a_dead_letter_about_an_event_makes_no_circle() -> None:
    class Slow(Actor, mailbox=Mailbox(1, on_full="drop_old")):
        @on
        def take(self, m: DeadLetterEvent) -> None:
            pass

    async def test(t: TestSystem) -> None:
        gone = await stopped(t)
        t.system.events.subscribe(DeadLetterEvent, t.spawn(Slow))
        for n in range(5):
            gone.tell(Job(n))
        await t.run_until_idle()
        reasons = [letter.reason for letter in t.system.dead_letters]
        assert reasons.count("actor_stopped") == 5 and reasons.count("mailbox_full") == 4

    testkit.run(test)


# -- replay


def test_replay_waits_for_room_and_keeps_the_order() -> None:
    async def test(t: TestSystem) -> None:
        gone = await stopped(t)
        for n in range(20):
            gone.tell(Job(n))
        done: list[int] = []
        results = await t.system.dead_letters.replay(to=t.spawn(Worker, done))
        await t.run_until_idle()
        assert {r.outcome for r in results} == {"accepted"} and done == list(range(20))
        assert len(t.system.dead_letters) == 0

    testkit.run(test)


def test_a_refused_letter_holds_back_later_ones_for_its_actor_only() -> None:
    async def test(t: TestSystem) -> None:
        gone = await stopped(t, "gone")
        done: list[int] = []
        busy = t.spawn(Worker, done)
        for n in range(5):  # three fit
            busy.tell(Job(n))
        gone.tell(Job(5))
        gone.tell(Job(6))
        await t.run_until_idle()
        results = await t.system.dead_letters.replay()
        assert [(r.outcome, r.code) for r in results] == [
            ("accepted", "accepted"), ("accepted", "accepted"),
            ("refused", "closed"), ("refused", "order"),
        ]  # fmt: skip
        assert numbers(t.system.dead_letters) == [5, 6]
        await t.run_until_idle()
        assert done == [0, 1, 2, 3, 4]

    testkit.run(test)


def test_expired_letters_need_more_time_and_attempts_end() -> None:
    async def test(t: TestSystem) -> None:
        done: list[int] = []
        worker = t.spawn(Worker, done, supervise=OneForOne(decide={ValueError: "resume"}))
        worker.tell(Job(1), deadline=1.0)
        worker.pause()
        await t.advance(2.0)
        worker.unpause()
        await t.run_until_idle()
        replay = t.system.dead_letters.replay
        assert [(r.outcome, r.code) for r in await replay()] == [("refused", "expired")]
        assert [r.outcome for r in await replay(renew=1.0)] == ["accepted"]
        await t.run_until_idle()
        assert done == [1]
        worker.tell(Job(-1))
        await t.run_until_idle()
        for _ in range(3):
            assert [r.outcome for r in await replay()] == ["accepted"]
            await t.run_until_idle()
        assert [r.code for r in await replay()] == ["attempts"]
        assert [r.outcome for r in await replay(force=True)] == ["accepted"]
        await t.run_until_idle()
        assert [letter.attempt for letter in t.system.dead_letters] == [4]

    testkit.run(test)


def test_a_rate_spreads_a_replay_over_time() -> None:
    async def test(t: TestSystem) -> None:
        gone = await stopped(t)
        for n in range(11):
            gone.tell(Job(n))
        began = t.now()
        await t.system.dead_letters.replay(to=t.spawn(Worker, []), rate=10)
        assert t.now() - began == pytest.approx(1.0, abs=0.05)
        with pytest.raises(UsageError, match="rate is messages a second and above 0, got 0"):
            await t.system.dead_letters.replay(rate=0)

    testkit.run(test)


def test_two_replays_at_once_deliver_each_letter_once() -> None:
    async def test(t: TestSystem) -> None:
        gone = await stopped(t)
        for n in range(10):
            gone.tell(Job(n))
        done: list[int] = []
        worker = t.spawn(Worker, done)
        replay = t.system.dead_letters.replay
        await asyncio.gather(replay(to=worker, rate=100), replay(to=worker, rate=100))
        await t.run_until_idle()
        assert done == list(range(10))

    testkit.run(test)


def test_a_cancelled_replay_keeps_what_it_did_not_send() -> None:
    async def test(t: TestSystem) -> None:
        gone = await stopped(t)
        for n in range(10):
            gone.tell(Job(n))
        done: list[int] = []
        worker = t.spawn(Worker, done)
        task = asyncio.ensure_future(t.system.dead_letters.replay(to=worker, rate=1))
        await t.advance(4.5)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await t.run_until_idle()
        assert done + numbers(t.system.dead_letters) == list(range(10))
        await t.system.dead_letters.replay(to=worker)
        await t.run_until_idle()
        assert done == list(range(10))

    testkit.run(test)


def test_equal_messages_to_other_actors_are_no_replays() -> None:
    async def test(t: TestSystem) -> None:
        gone, other = await stopped(t), await stopped(t)
        job = Job(-1)
        failing = t.spawn(Worker, [])
        gone.tell(job)
        await t.system.dead_letters.replay(to=failing)
        other.tell(job)
        await t.run_until_idle()
        attempts = {letter.target: letter.attempt for letter in t.system.dead_letters}
        assert attempts == {failing: 1, other: 0}

    testkit.run(test)


# -- odd ways in


def test_letters_from_other_threads_are_kept() -> None:
    async def test(t: TestSystem) -> None:
        gone = await stopped(t)
        got: list[Any] = []
        t.system.events.subscribe(DeadLetterEvent, got.append)
        threads = [
            threading.Thread(target=lambda: [gone.tell(Job(n)) for n in range(50)])
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if not getattr(sys, "_is_gil_enabled", lambda: True)():
            await t.run_until_idle()  # there the system's own thread writes them
        assert len(t.system.dead_letters) == 200
        assert len({letter.id for letter in t.system.dead_letters}) == 200
        await t.run_until_idle()
        assert len(got) == 200

    testkit.run(test, outside=True)


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError


def test_what_cannot_be_described_is_recorded_all_the_same() -> None:
    class Broken(Actor):
        @on
        def job(self, m: Job) -> None:
            raise Unspeakable

    async def test(t: TestSystem) -> None:
        broken = t.spawn(Broken)
        t.system.dead_letters.record("handler_failed", broken, None, Job(1), Unspeakable())
        (letter,) = t.system.dead_letters
        assert letter.error == "Unspeakable: (its text failed: RuntimeError)"
        assert t.system.dead_letters.record("unhandled", object(), None, Job(1)) is None
        assert t.system.dead_letters.failures == 1

    testkit.run(test)


def test_the_log_has_one_line_per_kind_and_ten_seconds(caplog: pytest.LogCaptureFixture) -> None:
    async def test(t: TestSystem) -> None:
        gone = await stopped(t)
        for n in range(5):
            gone.tell(Job(n))
        gone.tell(SpecialJob(1))
        await t.advance(11)
        gone.tell(Job(6))

    with caplog.at_level(logging.WARNING, "actinium.deadletters"):
        testkit.run(test)
    lines = [r.getMessage() for r in caplog.records if r.name == "actinium.deadletters"]
    assert len(lines) == 3
    assert lines[0] == "dead letter (actor_stopped): Job for /user/$3"
    assert lines[2].endswith("; and 4 more of this kind since the last line")


def test_weights_are_about_right_and_bounded() -> None:
    assert weight(Job(1, b"x" * 10_000)) >= 10_000
    assert weight((b"x" * 1000,) * 3) >= 3000
    assert weight({"a": [b"x" * 1000]}) >= 1000
    assert weight(memoryview(bytearray(5000))) >= 5000
    endless: list[Any] = []
    endless.append(endless)
    assert weight(endless) > 0


def test_limits_are_checked() -> None:
    async def main() -> None:
        with pytest.raises(ConfigError, match="an age above 0 seconds, got 1, 1, 0"):
            await System(
                settings=Settings(dead_letters=1, dead_letter_bytes=1, dead_letter_age=0)
            ).start()

    asyncio.run(main())


@pytest.mark.slow
def test_a_flood_of_a_million_letters_stays_within_its_limits() -> None:
    limits = Settings(dead_letters=1000, dead_letter_bytes=100_000)

    async def test(t: TestSystem) -> None:
        gone = await stopped(t)
        dead = t.system.dead_letters
        for n in range(1_000_000):
            gone.tell(Job(n))
            if n % 10_000 == 0:
                assert len(dead) <= 1000 and dead.bytes <= 100_000
        assert dead.counts == {"actor_stopped": 1_000_000}
        assert dead.lost == 1_000_000 - len(dead)
        assert numbers(dead)[-1] == 999_999

    testkit.run(test, settings=limits)
