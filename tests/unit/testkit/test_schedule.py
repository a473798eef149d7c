"""Schedules: what a text names, what a seed repeats, and how a failing one is made short."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actinium import testkit
from actinium.core import Actor, Message, on
from actinium.errors import ConfigError, UsageError
from actinium.testkit import Faults, TestSystem
from actinium.testkit.schedule import Decision, Preempt, schedule_of, text_of
from actinium.testkit.shrink import shrink

NAMES = ["arrival", "random", "interleave", "preempt", "none"]


class Note(Message):
    n: int


class Writer(Actor):
    def __init__(self, book: list[int]) -> None:
        self.book = book

    @on
    async def write(self, m: Note) -> None:
        self.book.append(m.n)
        await asyncio.sleep(0)
        self.book.append(-m.n)


async def writers(t: TestSystem) -> list[int]:
    book: list[int] = []
    for n in range(1, 7):
        t.spawn(Writer, book).tell(Note(n))
    await t.run_until_idle()
    return book


@pytest.mark.parametrize("name", NAMES)
def test_TK_1_each_kind_of_schedule_repeats(name: str) -> None:
    books = [testkit.run(writers, seed=5, schedule=name) for _ in range(3)]
    assert books[0] == books[1] == books[2], "TK-1"


@given(st.integers(1, 2**40), st.sampled_from(["interleave", "preempt"]))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_TK_1_the_decisions_of_a_run_repeat_it(seed: int, name: str) -> None:
    async def test(t: TestSystem) -> tuple[list[int], str]:
        book = await writers(t)
        return book, text_of(t.schedule.decisions)

    book, text = testkit.run(test, seed=seed, schedule=name)
    assert testkit.run(test, seed=seed, schedule=text)[0] == book, "TK-1"


@pytest.mark.parametrize(
    ("name", "turns"),
    [("random", "0030144011041527"), ("interleave", "0030144011041527"),
     ("preempt", "0222557702225577")],
)  # fmt: skip
def test_TK_1_a_seed_means_the_same_on_every_python(name: str, turns: str) -> None:
    """Written down once: another version, or another machine, must draw alike."""
    schedule = schedule_of(name, 42)
    sizes = [*range(2, 10)] * 2
    assert "".join(str(schedule.choose(n, lambda n=n: range(n))) for n in sizes) == turns, "TK-1"


def test_TK_1_faults_mean_the_same_on_every_python() -> None:
    faults = Faults(42)
    faults.arm("mailbox.put", drop=0.3, delay=0.3, kill=0.1)
    struck = [faults.at("mailbox.put", "/user/a") for _ in range(8)]
    faults.disarm()
    assert [(s.kind, round(s.seconds, 6)) if s is not None else None for s in struck] == [
        ("delay", 0.064828), ("drop", 0.031237), None, ("drop", 0.082113),
        ("delay", 0.094395), None, ("kill", 0.012209), ("delay", 0.06132),
    ]  # fmt: skip


def test_the_order_of_arrival() -> None:
    expected = [1, 2, 3, 4, 5, 6, -1, -2, -3, -4, -5, -6]
    assert testkit.run(writers, schedule="arrival") == expected
    assert testkit.run(writers, schedule="none") == expected


def test_actors_may_come_before_the_event_loop_only_where_it_is_asked_for() -> None:
    async def test(t: TestSystem) -> int:
        book: list[int] = []
        t.spawn(Writer, book).tell(Note(1))
        await asyncio.sleep(0)
        return len(book)

    for name in ("arrival", "random"):
        assert {testkit.run(test, seed=s, schedule=name) for s in range(1, 30)} == {0}
    for name in ("interleave", "preempt"):
        assert {testkit.run(test, seed=s, schedule=name) for s in range(1, 30)} >= {0, 1}


@pytest.mark.parametrize("text", ["", "fifo", "1", "1:x", "f1", "x1:drop", "1:2,,"])
def test_what_names_no_schedule_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"a schedule is 'arrival', 'random'.*7:2,f3:drop"):
        schedule_of(text, 1)


def test_a_schedule_as_text() -> None:
    decisions = [Decision(7, 2), Decision(3, "drop"), Decision(9, 1)]
    assert text_of(decisions) == "7:2,f3:drop,9:1"
    assert text_of([]) == "none"
    given_back = schedule_of("7:2,f3:drop,9:1", 1)
    turns = [given_back.choose(3, lambda: [1, 2, 3]) for _ in range(10)]
    faults = [given_back.fault("kill") for _ in range(4)]
    assert turns == [0, 0, 0, 0, 0, 0, 2, 0, 1, 0]
    assert faults == [None, None, "drop", None]


def test_a_place_that_is_not_there_any_more_is_the_first() -> None:
    assert schedule_of("1:9", 1).choose(2, lambda: [1, 2]) == 0


def test_preempt_keeps_to_one_until_it_changes_and_starves_nobody() -> None:
    for seed in range(1, 40):
        strategy = Preempt(seed)
        row = [strategy.pick(3, lambda: [10, 11, 12]) for _ in range(2000)]
        switches = sum(a != b for a, b in itertools.pairwise(row))
        assert 3 <= switches <= 30, seed
        assert set(row) == {0, 1, 2}, seed


# -- making it short


@given(st.sets(st.integers(0, 60), max_size=5), st.integers(0, 60))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_shrink_finds_exactly_what_is_needed(needed: set[int], size: int) -> None:
    items = list(range(size))
    needed = {n for n in needed if n < size}
    assert shrink(items, lambda part: needed <= set(part), 10_000) == sorted(needed)


def test_shrink_stops_at_its_limit_with_something_that_fails() -> None:
    trials = 0

    def fails(part: list[int]) -> bool:
        nonlocal trials
        trials += 1
        return {3, 77} <= set(part)

    found = shrink(list(range(100)), fails, 10)
    assert trials <= 10
    assert {3, 77} <= set(found)
    assert len(found) < 100


# -- explore


class Pair(Actor):
    def __init__(self, book: list[int]) -> None:
        self.book = book

    @on
    def note(self, m: Note) -> None:
        self.book.append(m.n)


async def in_order(t: TestSystem) -> None:
    book: list[int] = []
    for n in range(8):
        t.spawn(Pair, book).tell(Note(n))
    await t.run_until_idle()
    assert book.index(5) < book.index(6)


def test_find_failure_needs_one_decision_and_tells_what_happens() -> None:
    found = testkit.find_failure(in_order)
    assert found is not None
    assert found.schedule.count(":") == 1
    assert found.decisions > 1
    seed = found.seed
    lines = found.story("in_order").splitlines()
    assert lines[0] == f"found by run {found.run}, seed={seed}: AC_SEED={seed} repeats it"
    assert lines[1] == (
        f"the schedule needs 1 of its {found.decisions} decisions: "
        f"AC_SEED={seed} AC_SCHEDULE={found.schedule} repeats that, as does"
    )
    assert lines[2] == f'  testkit.run(in_order, seed={seed}, schedule="{found.schedule}")'
    assert lines[4].startswith("  1. 0.000000 /user/$")
    assert lines[4].endswith(")")
    assert len(lines) == 4 + 8


def test_find_failure_finds_none_where_there_is_none() -> None:
    async def test(t: TestSystem) -> None:
        assert sorted(await writers(t))[0] == -6

    assert testkit.find_failure(test, runs=20) is None


def test_explore_as_a_decorator_makes_a_test_without_parameters() -> None:
    @testkit.explore(runs=50)
    async def test_it(t: TestSystem) -> None:
        """Its text."""
        await in_order(t)

    assert (test_it.__name__, test_it.__doc__) == ("test_it", "Its text.")
    with pytest.raises(AssertionError) as failure:
        test_it()
    assert "found by run" in failure.value.__notes__[0]
    bare = testkit.explore(in_order)
    with pytest.raises(AssertionError):
        bare()


def test_explore_with_a_store_makes_a_new_one_for_each_run() -> None:
    from actinium.store import MemoryStore

    made: list[Any] = []

    def store() -> MemoryStore:
        made.append(MemoryStore())
        return made[-1]

    @testkit.explore(runs=3, store=store)
    async def test_it(t: TestSystem) -> None:
        assert t.system.store is not None
        assert await t.system.store.keys() == []
        await t.system.store.save("k", b"v", 0)

    test_it()
    assert len(made) == 3


def test_AC_SEED_and_AC_SCHEDULE_repeat_one_run(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, str]] = []

    async def test(t: TestSystem) -> None:
        await writers(t)
        seen.append((t.seed, text_of(t.schedule.decisions)))

    monkeypatch.setenv("AC_SEED", "18")
    testkit.explore(runs=200)(test)()
    testkit.run(test)
    assert [seed for seed, _ in seen] == [18, 18]
    monkeypatch.setenv("AC_SCHEDULE", "2:1")
    testkit.explore(runs=200)(test)()
    assert seen[-1] == (18, "2:1")
    for wrong in ("x", "0", "-1", str(2**63), "1.5"):
        monkeypatch.setenv("AC_SEED", wrong)
        with pytest.raises(ConfigError, match="AC_SEED must be a whole number"):
            testkit.run(test)


def test_random_begins_with_the_seed_and_goes_on_where_it_was() -> None:
    import random

    async def test(t: TestSystem) -> float:
        return random.random()

    random.seed(1)
    expected = random.random()
    random.seed(1)
    assert testkit.run(test, seed=3) == testkit.run(test, seed=3)
    assert random.random() == expected


# -- one actor, or so many messages


def test_run_handles_what_waits_for_one_actor_and_nothing_else() -> None:
    async def test(t: TestSystem) -> None:
        one, other = [], []
        a, b = t.spawn(Pair, one), t.spawn(Pair, other)
        for n in range(4):
            b.tell(Note(n))
            a.tell(Note(n))
        assert t.run(a, messages=3) == 3
        assert (one, other) == ([0, 1, 2], [])
        assert t.run(a) == 1
        assert t.run(a) == 0
        assert (one, other) == ([0, 1, 2, 3], [])
        await t.run_until_idle()
        assert other == [0, 1, 2, 3]

    testkit.run(test)


def test_drain_says_whether_it_came_to_rest() -> None:
    async def test(t: TestSystem) -> None:
        book: list[int] = []
        for n in range(10):
            t.spawn(Writer, book).tell(Note(n))
        assert not await t.drain(4)
        assert 3 <= len(book) < 20
        assert await t.drain(1000)
        assert len(book) == 20

    testkit.run(test)
