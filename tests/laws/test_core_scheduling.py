"""Ranks, ageing and deadlines: SC-3, SC-6, MS-2, MS-4."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import actinium as ac
from actinium.errors import UsageError
from actinium.testkit import TestSystem, run


class Work(ac.Message):
    n: int


class Worker(ac.Actor, mailbox=ac.Unbounded()):
    def __init__(self, log: list[Any], name: str, seconds: float = 0.0) -> None:
        self.log = log
        self.name = name
        self.seconds = seconds

    @ac.on
    async def work(self, m: Work) -> None:
        if self.seconds:
            await self.ctx.sleep(self.seconds)
        self.log.append((self.name, m.n))


class Quick(ac.Actor, mailbox=ac.Unbounded()):
    def __init__(self, log: list[Any], name: str) -> None:
        self.log = log
        self.name = name

    @ac.on
    def work(self, m: Work) -> None:
        self.log.append((self.name, m.n))


LEVELS = ("critical", "high", "normal", "low")


def test_sc_3_actors_of_four_ranks_share_by_8_4_2_1() -> None:
    async def test(t: TestSystem) -> None:
        log: list[tuple[str, int]] = []
        refs = [t.spawn(Quick, log, level, priority=level) for level in LEVELS]
        for ref in refs:
            ref.tell_many([Work(i) for i in range(6000)])
        t.step(6000)
        counts = Counter(name for name, _ in log)
        for level, weight in zip(LEVELS, (8, 4, 2, 1), strict=True):
            assert 0.9 < counts[level] / 6000 / (weight / 15) < 1.1
        assert counts["low"] >= 6000 / 15 * 0.9
        for level in LEVELS:
            mine = [n for name, n in log if name == level]
            assert mine == sorted(mine)

    run(test, schedule="arrival")


def test_sc_3_a_class_says_its_rank_and_a_wrong_one_is_refused() -> None:
    class Low(Quick, priority="low"):
        pass

    async def test(t: TestSystem) -> None:
        log: list[tuple[str, int]] = []
        low, high = t.spawn(Low, log, "low"), t.spawn(Quick, log, "high", priority="high")
        low.tell(Work(0))
        high.tell(Work(0))
        await t.run_until_idle()
        assert log == [("high", 0), ("low", 0)]
        with pytest.raises(UsageError, match="critical, high, normal, low"):
            t.spawn(Quick, log, "x", priority="urgent")

    run(test, schedule="arrival")
    with pytest.raises(UsageError, match="priority 'top' is unknown"):

        class Top(ac.Actor, priority="top"):  # type: ignore[call-arg]
            pass


def test_sc_3_a_better_message_lifts_an_actor_that_stands_in_line() -> None:
    async def test(t: TestSystem) -> None:
        log: list[tuple[str, int]] = []
        laned = t.spawn(Quick, log, "laned", mailbox=ac.Unbounded(lanes=4))
        laned.tell(Work(0), priority="low")
        others = [t.spawn(Quick, log, "other") for _ in range(5)]
        for other in others:
            other.tell_many([Work(i) for i in range(64)])
        laned.tell(Work(1), priority="critical")
        await t.run_until_idle()
        assert log[0] == ("laned", 1)
        assert log.count(("laned", 0)) == 1

    run(test, schedule="arrival")


def test_sc_6_urgent_messages_go_first_by_deadline_but_take_half_at_most() -> None:
    async def main() -> None:
        log: list[tuple[str, int]] = []
        async with ac.System() as system:
            for name in ("flood", "other"):
                system.spawn(Quick, log, name).tell_many([Work(i) for i in range(2000)])
            for i in range(20):
                ref = system.spawn(Quick, log, f"u{i}")
                for n in range(100):
                    ref.tell(Work(n), deadline=10.0 - i / 10)
            await system.idle()
        assert log[0][0] == "u19"  # the earliest deadline
        while_both = [name for name, _ in log[:3900]]
        plain = sum(name in ("flood", "other") for name in while_both)
        assert 0.45 <= plain / len(while_both) <= 0.55
        for who in {name for name, _ in log}:
            mine = [n for name, n in log if name == who]
            assert mine == sorted(mine)  # MS-2: an actor's own order is untouched

    asyncio.run(main())


def test_sc_6_an_urgent_message_pulls_what_waits_before_it_along() -> None:
    async def main() -> None:
        log: list[tuple[str, int]] = []
        async with ac.System() as system:
            for _ in range(10):
                system.spawn(Quick, log, "crowd").tell_many([Work(i) for i in range(64)])
            late = system.spawn(Quick, log, "late")
            for i in range(5):
                late.tell(Work(i))
            late.tell(Work(5), deadline=1.0)
            late.tell(Work(6))
            await system.idle()
        assert log[:7] == [*(("late", i) for i in range(6)), ("crowd", 0)]

    asyncio.run(main())


@pytest.mark.parametrize(
    "mailbox",
    [
        ac.Mailbox(10, high=0.5, low=0.2),
        ac.Mailbox(4, "overflow", overflow=10),
        ac.Mailbox(4, "signal"),
        ac.Mailbox(5, "drop_old"),
        ac.Mailbox(100, max_bytes=1_000_000),
    ],
    ids=lambda m: m.on_full,
)
def test_sc_6_an_urgent_message_is_urgent_in_a_mailbox_under_pressure_too(mailbox: Any) -> None:
    async def main() -> None:
        log: list[tuple[str, int]] = []
        async with ac.System() as system:
            for _ in range(5):
                system.spawn(Quick, log, "crowd").tell_many([Work(i) for i in range(64)])
            late = system.spawn(Quick, log, "late", mailbox=mailbox)
            for i in range(5):
                assert late.tell(Work(i)).ok
            assert late.tell(Work(5), deadline=1.0).ok
            late.tell(Work(6))
            await system.idle()
        kept = range(2 if mailbox.on_full == "drop_old" else 0, 6)
        assert log[: len(kept)] == [("late", i) for i in kept]

    asyncio.run(main())


def test_ms_4_earliest_deadline_first_meets_what_first_come_misses() -> None:
    """A load that fits: each actor needs 2 ms; in order of arrival the last would be late."""

    async def test(t: TestSystem) -> None:
        log: list[tuple[str, int]] = []
        refs = [t.spawn(Worker, log, f"w{i}", 0.002) for i in range(30)]
        for i, ref in enumerate(refs):  # the last to arrive is the first to be due
            ref.tell(Work(i), deadline=0.010 + 0.002 * (30 - i))
        await t.advance(1.0)
        assert len(log) == 30
        assert not list(t.system.dead_letters)

    run(test, schedule="arrival")


def test_urgent_messages_to_an_actor_that_is_busy_wait_for_it_and_are_not_lost() -> None:
    async def test(t: TestSystem) -> None:
        log: list[tuple[str, int]] = []
        slow = t.spawn(Worker, log, "slow", 0.1)
        crowd = [t.spawn(Quick, log, "crowd") for _ in range(4)]
        for i in range(5):
            slow.tell(Work(i), deadline=5.0)
        for ref in crowd:
            ref.tell_many([Work(i) for i in range(200)])
        await t.advance(2.0)
        assert [n for name, n in log if name == "slow"] == [0, 1, 2, 3, 4]
        doomed = t.spawn(Worker, log, "doomed", 1000.0)
        for ref in crowd:
            ref.tell_many([Work(i) for i in range(200)])
        for i in range(3):
            doomed.tell(Work(i), deadline=500.0)
        await t.advance(1.0)
        doomed.kill()
        report = await t.shutdown()
        assert report.lost == 0

    run(test, schedule="arrival")


PLAN = st.lists(
    st.tuples(
        st.integers(0, 3),  # actor
        st.sampled_from(["tell", "urgent", "expired", "critical", "low", "ask"]),
        st.integers(0, 5),  # steps taken after it
    ),
    max_size=60,
)


@given(PLAN, st.integers(1, 5))
def test_ms_1_ms_2_nothing_is_lost_or_reordered_whatever_the_ranks(
    plan: list[tuple[int, str, int]], seed: int
) -> None:
    async def test(t: TestSystem) -> None:
        log: list[tuple[str, int]] = []
        refs = [
            t.spawn(Quick, log, "0"),
            t.spawn(Quick, log, "1", priority="critical"),
            t.spawn(Quick, log, "2", priority="low"),
            t.spawn(Quick, log, "3", mailbox=ac.Unbounded(lanes=4)),
        ]
        asks = []
        for number, (who, how, steps) in enumerate(plan):
            ref = refs[who]
            if how == "ask":
                asks.append(ref.ask(Work(number), 2.0))
            elif how in ("urgent", "expired"):
                ref.tell(Work(number), deadline=1.0 if how == "urgent" else 0.0)
            elif how == "tell":
                ref.tell(Work(number))
            else:
                ref.tell(Work(number), priority=how)
            if steps:
                t.step(steps)
        await t.run_until_idle()
        for ask in asks:
            await ask
        for who in ("0", "1", "2"):
            mine = [n for name, n in log if name == who]
            assert mine == sorted(mine)
        report = await t.shutdown()
        assert report.lost == 0
        assert len(log) == report.handled

    run(test, seed=seed)
