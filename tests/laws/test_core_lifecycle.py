"""Laws of life and death: hooks once, children first, one notice per watch (LC, WD)."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actinium import testkit
from actinium.core import Actor, LocalRef, Message, OneForOne, Settings, Terminated, on
from actinium.testkit import TestSystem

law = settings(max_examples=80, deadline=None, derandomize=True)


class Say(Message):
    n: int


class Node(Actor):
    """Writes down its own life; ``slow`` gives it hooks that wait."""

    def __init__(self, book: list[tuple[str, int]], number: int) -> None:
        self.book = book
        self.number = number
        self.last: list[Any] = []

    def started(self) -> None:
        self.book.append(("started", self.number))

    def stopping(self, reason: str) -> None:
        self.book.append(("stopping", self.number))

    @on
    def say(self, m: Say) -> None:
        self.last.append(m.n)
        if m.n < 0:
            raise ValueError

    @on
    async def wait(self, m: float) -> None:
        await asyncio.sleep(m)

    @on
    def ended(self, m: Terminated) -> None:
        self.last.append(m.ref)


class SlowNode(Node):
    async def started(self) -> None:  # type: ignore[override]
        await asyncio.sleep(0.01)
        self.book.append(("started", self.number))

    async def stopping(self, reason: str) -> None:  # type: ignore[override]
        await asyncio.sleep(0.01)
        self.book.append(("stopping", self.number))


trees = st.lists(st.tuples(st.integers(0, 100), st.booleans()), min_size=1, max_size=20)


def grow(
    t: TestSystem, tree: list[tuple[int, bool]], book: list[tuple[str, int]]
) -> tuple[list[LocalRef[Any]], dict[int, int]]:
    """Actors in a tree: each below an earlier one; returns them and who is whose parent."""
    refs: list[LocalRef[Any]] = []
    parent_of: dict[int, int] = {}
    for n, (above, slow) in enumerate(tree):
        cls = SlowNode if slow else Node
        if n == 0:
            refs.append(t.spawn(cls, book, n))
        else:
            parent_of[n] = above % n
            refs.append(refs[above % n].instance.ctx.spawn(cls, book, n))
    return refs, parent_of


@law
@given(trees, st.booleans(), st.booleans(), st.integers(1, 2**32))
def test_LC_2_children_stop_before_their_parent(
    tree: list[tuple[int, bool]], drain: bool, early: bool, seed: int
) -> None:
    async def test(t: TestSystem) -> None:
        book: list[tuple[str, int]] = []
        refs, parent_of = grow(t, tree, book)
        if not early:
            await t.advance(1.0)
        for ref in refs:
            ref.tell(Say(1))
        ends: list[int] = []
        watching = [asyncio.create_task(ended(ref, n, ends)) for n, ref in enumerate(refs)]
        refs[0].stop(drain=drain)
        await asyncio.gather(*watching)
        for n, above in parent_of.items():
            assert ends.index(n) < ends.index(above), "LC-2"
        stops = [n for what, n in book if what == "stopping"]
        assert sorted(stops) == list(range(len(tree))), "LC-1: each hook once"
        if drain:
            assert len(t.system.dead_letters) == 0, "drained means handled"

    async def ended(ref: LocalRef[Any], n: int, ends: list[int]) -> None:
        await ref.stopped()
        ends.append(n)

    testkit.run(test, seed=seed)


@law
@given(trees, st.lists(st.tuples(st.integers(0, 19), st.integers(-1, 3)), max_size=30),
       st.integers(1, 2**32))  # fmt: skip
def test_LC_1_hooks_run_once_per_incarnation_and_nothing_after_stopping(
    tree: list[tuple[int, bool]], says: list[tuple[int, int]], seed: int
) -> None:
    async def test(t: TestSystem) -> None:
        book: list[tuple[str, int]] = []
        refs, _ = grow(t, tree, book)
        for which, n in says:
            ref = refs[which % len(refs)]
            if n == 3:
                ref.stop()
            else:
                ref.tell(Say(n))
            t.step(2)
        await t.advance(30.0)
        report = await t.shutdown()
        assert report.lost == 0, "LC-3"
        for n in range(len(tree)):
            mine = [what for what, number in book if number == n]
            assert mine.count("stopping") <= 1, "LC-1"
            if "stopping" in mine:
                assert mine.index("stopping") == len(mine) - 1, "LC-1: life after death"

    testkit.run(test, seed=seed)


@pytest.mark.parametrize("slow", [False, True])
def test_LC_3_shutdown_under_load_with_a_hung_handler_loses_nothing(slow: bool) -> None:
    async def test(t: TestSystem) -> None:
        book: list[tuple[str, int]] = []
        refs, _ = grow(t, [(n // 2, slow) for n in range(15)], book)
        for ref in refs:
            for n in range(20):
                ref.tell(Say(n))
        refs[7].tell(1e9)
        for n in range(5):
            refs[7].tell(Say(n))
        asked = refs[7].ask(2e9, 1e10)
        report = await t.shutdown()
        assert report.lost == 0, "LC-3"
        assert report.forced >= 1
        assert report.accepted == report.handled + report.dead_lettered
        assert t.now() <= 10.0 + 2.0 + 1.0, "LC-3"
        assert asked.done(), "MS-3"
        assert t.system.statistics()["running"] == 0
        assert t.system.statistics()["actors"] == 0

    testkit.run(test, settings=Settings(drain_timeout=10.0))


def test_LC_3_a_handler_that_swallows_its_cancellation_is_left_behind() -> None:
    class Stubborn(Actor):
        @on
        async def hang(self, m: Say) -> None:
            while not released:
                try:
                    await asyncio.sleep(1000.0)
                except asyncio.CancelledError:
                    continue

    released: list[int] = []

    async def test(t: TestSystem) -> None:
        ref = t.spawn(Stubborn)
        asked = ref.ask(Say(1), 1e6)
        ref.tell(Say(2))
        await t.run_until_idle()
        report = await t.shutdown()
        released.append(1)
        assert report.lost == 0, "LC-3"
        assert report.forced == 1
        assert asked.done(), "MS-3: no ask is left hanging"
        await asyncio.sleep(2000.0)

    testkit.run(test, settings=Settings(drain_timeout=1.0))


def test_LC_3_no_task_and_no_instance_is_left() -> None:
    async def test(t: TestSystem) -> None:
        refs, _ = grow(t, [(n // 3, n % 2 == 0) for n in range(10)], [])
        for ref in refs:
            ref.tell(0.5)
        await t.run_until_idle()
        await t.shutdown()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        assert not tasks, "LC-3"

    testkit.run(test)
    gc.collect()
    assert not [o for o in gc.get_objects() if type(o) in (Node, SlowNode)], "LC-3"


@law
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["watch", "unwatch", "tell", "stop", "kill", "step", "idle"]),
            st.integers(0, 2),
            st.integers(0, 3),
        ),
        max_size=50,
    ),
    st.integers(1, 2**32),
)
def test_WD_1_one_notice_per_watch_after_all_messages_and_none_after_unwatch(
    ops: list[tuple[str, int, int]], seed: int
) -> None:
    async def test(t: TestSystem) -> None:
        book: list[tuple[str, int]] = []
        watchers = [t.spawn(Node, book, n) for n in range(3)]
        targets = [t.spawn(Teller, watchers) for n in range(4)]
        watching: set[tuple[int, int]] = set()
        watches: dict[tuple[int, int], int] = {}  # since the last unwatch
        before: dict[tuple[int, int], int] = {}  # notices handled at the last unwatch
        for op, w, x in ops:
            key = (w, x)
            ctx = watchers[w].instance.ctx
            match op:
                case "watch":
                    ctx.watch(targets[x])
                    if key not in watching or targets[x].stopped_flag:
                        watches[key] = watches.get(key, 0) + 1
                        watching.add(key)
                case "unwatch":
                    ctx.unwatch(targets[x])
                    watching.discard(key)
                    watches[key] = 0
                    before[key] = notices(watchers[w], targets[x])
                case "tell":
                    targets[x].tell(Say(w))
                case "stop":
                    targets[x].stop()
                case "kill":
                    targets[x].kill()
                case "step":
                    t.step(x)
                case "idle":
                    await t.run_until_idle()
        for target in targets:
            target.stop()
        await t.run_until_idle()
        for w, watcher in enumerate(watchers):
            for x, target in enumerate(targets):
                count = notices(watcher, target) - before.get((w, x), 0)
                most = watches.get((w, x), 0)
                assert min(1, most) <= count <= most, f"WD-1: {count} notices of {most} watches"

    def notices(watcher: LocalRef[Any], target: LocalRef[Any]) -> int:
        return sum(1 for m in watcher.instance.last if m is target)

    testkit.run(test, seed=seed)


class Teller(Actor):
    def __init__(self, to: list[LocalRef[Any]]) -> None:
        self.to = to

    @on
    def say(self, m: Say) -> None:
        self.to[m.n].tell(m)


def test_WD_1_the_notice_comes_after_all_messages_of_the_dead() -> None:
    class Last(Teller):
        def stopping(self, reason: str) -> None:
            self.to[0].tell(Say(99))

    async def test(t: TestSystem) -> None:
        p = t.probe()
        ref = t.spawn(Last, [p.ref])
        p.watch(ref)
        p.watch(ref)
        for _ in range(5):
            ref.tell(Say(0))
        ref.stop(drain=True)
        for _ in range(5):
            await p.expect(Say, where=lambda m: m.n == 0)
        await p.expect(Say, where=lambda m: m.n == 99)
        await p.expect(Terminated)
        await p.expect_none()
        p.watch(ref)
        await p.expect(Terminated)
        await p.expect_none()

    testkit.explore(test, seeds=range(1, 20))


def test_watching_each_other_and_oneself() -> None:
    async def test(t: TestSystem) -> None:
        a, b = t.spawn(Node, [], 0), t.spawn(Node, [], 1)
        a.instance.ctx.watch(b)
        b.instance.ctx.watch(a)
        a.instance.ctx.watch(a)
        a.kill()
        await a.stopped()
        await t.run_until_idle()
        assert b.instance.last == [a]
        b.kill()
        await b.stopped()

    testkit.run(test)


def test_stopped_names_are_free_and_reasons_told() -> None:
    async def test(t: TestSystem) -> None:
        policy = OneForOne(decide={ValueError: "stop"})
        for reason in ("stopped", "killed", "failed: ValueError: "):
            ref = t.spawn(Node, [], 0, name="n", supervise=policy)
            if reason == "stopped":
                ref.stop()
            elif reason == "killed":
                ref.kill()
            else:
                ref.tell(Say(-1))
            assert await ref.stopped() == reason

    testkit.run(test)
