"""Groups of children against a model: who falls and who rises, in which order (SV-2)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actinium import testkit
from actinium.core import (
    Actor,
    AllForOne,
    LocalRef,
    Message,
    OneForOne,
    RestForOne,
    SupervisorStrategy,
    on,
)
from actinium.errors import ActorRestarted, ActorStopped, SystemFailed
from actinium.testkit import TestSystem

law = settings(max_examples=120, deadline=None, derandomize=True)

KINDS: dict[str, type[SupervisorStrategy]] = {
    "one": OneForOne,
    "all": AllForOne,
    "rest": RestForOne,
}
QUIET = {"backoff": (0.0, 0.0), "max_restarts": None}


class Fail(Message):
    pass


class Hang(Message):
    pass


class Member(Actor):
    """Writes its life into a book; ``slow`` members have hooks that wait."""

    def __init__(self, book: list[tuple[str, str]], name: str, slow: bool = False) -> None:
        self.book = book
        self.name = name
        self.slow = slow

    async def _note(self, what: str) -> None:
        if self.slow:
            await asyncio.sleep(0.01)
        self.book.append((what, self.name))

    async def started(self) -> None:  # type: ignore[override]
        await self._note("up")

    async def restarting(self, failure: BaseException) -> None:  # type: ignore[override]
        await self._note("down")

    async def stopping(self, reason: str) -> None:  # type: ignore[override]
        await self._note("stop")

    @on
    def fail(self, m: Fail) -> None:
        raise ValueError(self.name)

    @on
    async def hang(self, m: Hang) -> None:
        await asyncio.get_running_loop().create_future()

    @on
    def alive(self, m: int) -> int:
        return m


class Boss(Actor):
    @on
    def nothing(self, m: int) -> None: ...


def affected(kind: str, names: list[str], failed: str) -> list[str]:
    """The model."""
    return {
        "one": [failed],
        "all": names,
        "rest": names[names.index(failed) :],
    }[kind]


@law
@given(
    st.sampled_from(["one", "all", "rest"]),
    st.lists(st.booleans(), min_size=1, max_size=6),
    st.lists(st.integers(0, 5), min_size=1, max_size=5),
    st.sampled_from(["restart", "stop"]),
    st.integers(1, 2**32),
)
def test_SV_2_a_group_falls_and_rises_as_the_model_says(
    kind: str, slow: list[bool], fails: list[int], directive: Any, seed: int
) -> None:
    async def test(t: TestSystem) -> None:
        book: list[tuple[str, str]] = []
        strategy = KINDS[kind](decide={ValueError: directive}, **QUIET)  # type: ignore[arg-type]
        boss = t.spawn(Boss)
        ctx = boss.instance.ctx
        refs: dict[str, LocalRef[Any]] = {}
        for n, is_slow in enumerate(slow):
            refs[f"m{n}"] = ctx.spawn(Member, book, f"m{n}", is_slow, supervise=strategy)
            # One of another object, though equal, is in no group with them.
            same = KINDS[kind](decide={ValueError: directive}, **QUIET)  # type: ignore[arg-type]
            ctx.spawn(Member, book, f"x{n}", supervise=same)
        await t.advance(1.0)
        living = list(refs)
        for which in fails:
            if not living:
                break
            name = living[which % len(living)]
            book.clear()
            before = {n: refs[n].incarnation for n in living}
            refs[name].tell(Fail())
            await t.advance(1.0)
            due = affected(kind, living, name)
            if directive == "restart":
                model = [("down", n) for n in reversed(due)] + [("up", n) for n in due]
                for n in living:
                    assert refs[n].incarnation == before[n] + (n in due), "SV-2"
            else:
                model = [("stop", n) for n in reversed(due)]
                living = [n for n in living if n not in due]
            assert book == model, "SV-2"
            for n in living:
                assert refs[n].life_state == "active", "SV-5"
                assert await refs[n].ask(1) == 1
        assert all(k.alive for k in boss.children() if k not in refs.values())

    testkit.run(test, seed=seed)


def tree_of(
    t: TestSystem, shape: list[tuple[int, str]], book: list[tuple[str, str]]
) -> tuple[list[LocalRef[Any]], list[int], list[str]]:
    """Actors below one another, at most 4 deep; each parent has one strategy for its children."""
    strategies: dict[int, tuple[str, SupervisorStrategy]] = {}
    refs: list[LocalRef[Any]] = []
    parents: list[int] = []
    depth: list[int] = []
    kinds: list[str] = []
    for n, (above, kind) in enumerate(shape):
        up = above % (n + 1) - 1
        while up >= 0 and depth[up] >= 3:
            up = parents[up]
        if up not in strategies:
            strategies[up] = (kind, KINDS[kind](**QUIET))  # type: ignore[arg-type]
        ctx = (
            refs[up].instance.ctx
            if up >= 0
            else t.spawn(Boss, name="top").instance.ctx
            if (not refs)
            else t.system.lookup("/user/top").instance.ctx
        )
        refs.append(ctx.spawn(Member, book, f"n{n}", supervise=strategies[up][1]))
        parents.append(up)
        depth.append(depth[up] + 1 if up >= 0 else 0)
        kinds.append(strategies[up][0])
    return refs, parents, kinds


@law
@given(
    st.lists(st.tuples(st.integers(0, 50), st.sampled_from(["one", "all", "rest"])),
             min_size=1, max_size=14),
    st.lists(st.integers(0, 50), min_size=1, max_size=6),
    st.integers(1, 2**32),
)  # fmt: skip
def test_SV_2_random_trees_with_random_failures(
    shape: list[tuple[int, str]], fails: list[int], seed: int
) -> None:
    async def test(t: TestSystem) -> None:
        book: list[tuple[str, str]] = []
        refs, parents, kinds = tree_of(t, shape, book)
        await t.advance(1.0)
        alive = [True] * len(refs)
        incarnation = [0] * len(refs)
        for which in fails:
            candidates = [n for n in range(len(refs)) if alive[n]]
            failed = candidates[which % len(candidates)]
            book.clear()
            refs[failed].tell(Fail())
            await t.advance(1.0)
            siblings = [n for n in candidates if parents[n] == parents[failed]]
            start = {"one": [failed], "all": siblings, "rest": siblings[siblings.index(failed) :]}
            due = start[kinds[failed]]
            gone: set[int] = set()
            for n in range(len(refs)):  # all below the restarted ones stop
                if alive[n] and (parents[n] in due or parents[n] in gone) and n not in due:
                    gone.add(n)
            for n in due:
                incarnation[n] += 1
            for n in gone:
                alive[n] = False
            assert {x for what, x in book if what == "stop"} == {f"n{n}" for n in gone}, "SV-2"
            downs = [x for what, x in book if what == "down"]
            assert downs == [f"n{n}" for n in reversed(due)], "SV-2"
            assert [x for what, x in book if what == "up"] == [f"n{n}" for n in due], "SV-2"
            for n, ref in enumerate(refs):
                assert ref.alive == alive[n]
                if alive[n]:
                    assert ref.incarnation == incarnation[n], "SV-1"

    testkit.run(test, seed=seed)


def test_SV_2_asks_of_the_whole_group_end_with_ActorRestarted() -> None:
    async def test(t: TestSystem) -> None:
        group = AllForOne(**QUIET)  # type: ignore[arg-type]
        a, b = (t.spawn(Member, [], n, supervise=group) for n in "ab")
        waiting = b.ask(Hang(), 60.0)
        await t.run_until_idle()
        a.tell(Fail())
        with pytest.raises(ActorRestarted):
            await waiting
        assert await b.ask(2) == 2

    testkit.explore(test, seeds=range(1, 10))


def test_SV_2_asks_of_a_group_that_is_stopped_end_with_ActorStopped() -> None:
    async def test(t: TestSystem) -> None:
        group = AllForOne(decide={ValueError: "stop"})
        a, b = (t.spawn(Member, [], n, supervise=group) for n in "ab")
        waiting = b.ask(Hang(), 60.0)
        await t.run_until_idle()
        a.tell(Fail())
        with pytest.raises(ActorStopped):
            await waiting
        assert await a.stopped() == await b.stopped() == "failed: ValueError: a"

    testkit.run(test)


def test_SV_3_a_group_shares_one_window_and_a_failure_meanwhile_counts_once() -> None:
    async def test(t: TestSystem) -> None:
        group = AllForOne(max_restarts=2, within=5.0, backoff=(0.0, 0.0), on_limit="stop")
        a, b = (t.spawn(Member, [], n, slow=True, supervise=group) for n in "ab")
        await t.advance(1.0)
        a.tell(Fail())
        b.tell(Fail())  # handled before the first round reaches it, or by the new instance
        await t.advance(1.0)
        assert a.alive
        assert b.alive
        for _ in range(2):
            b.tell(Fail())
            await t.advance(0.5)
        assert not a.alive
        assert not b.alive

    testkit.explore(test, seeds=range(1, 20))


def test_SV_2_a_start_that_fails_begins_the_round_anew() -> None:
    class Shaky(Member):
        fails = 0

        async def started(self) -> None:  # type: ignore[override]
            await super().started()
            if Shaky.fails:
                Shaky.fails -= 1
                raise ValueError("not yet")

    async def test(t: TestSystem) -> None:
        book: list[tuple[str, str]] = []
        group = RestForOne(**QUIET)  # type: ignore[arg-type]
        a = t.spawn(Member, book, "a", supervise=group)
        b = t.spawn(Shaky, book, "b", supervise=group)
        c = t.spawn(Member, book, "c", supervise=group)
        await t.advance(1.0)
        Shaky.fails = 2
        b.tell(Fail())
        await t.advance(1.0)
        assert [r.life_state for r in (a, b, c)] == ["active"] * 3
        assert (a.incarnation, b.incarnation, c.incarnation) == (0, 3, 1)
        assert book.count(("down", "c")) == 1, "LC-1: each hook once per instance"

    testkit.explore(test, seeds=range(1, 10))


def test_a_member_that_is_killed_in_the_round_does_not_hold_it_up() -> None:
    async def test(t: TestSystem) -> None:
        group = AllForOne(**QUIET)  # type: ignore[arg-type]
        refs = [t.spawn(Member, [], n, slow=True, supervise=group) for n in "abcd"]
        await t.advance(1.0)
        refs[0].tell(Fail())
        t.step(t.seed % 7)
        refs[t.seed % 4].kill()
        await t.advance(1.0)
        for n, ref in enumerate(refs):
            assert ref.life_state == ("stopped" if n == t.seed % 4 else "active")

    testkit.explore(test, seeds=range(1, 30))


def test_keep_children_leaves_them_alive() -> None:
    async def test(t: TestSystem) -> None:
        keep = OneForOne(keep_children=True, **QUIET)  # type: ignore[arg-type]
        parent = t.spawn(Member, [], "p", supervise=keep)
        child = parent.instance.ctx.spawn(Member, [], "c")
        await t.advance(1.0)
        parent.tell(Fail())
        await t.advance(1.0)
        assert parent.incarnation == 1
        assert await child.ask(1) == 1

    testkit.run(test)


def test_SV_5_escalation_through_three_levels_keeps_the_cause() -> None:
    async def test(t: TestSystem) -> None:
        up = OneForOne(decide={Exception: "escalate"})
        ref = t.spawn(Boss, name="top", supervise=up)
        for name in ("middle", "low"):
            ref = ref.instance.ctx.spawn(Boss, name=name, supervise=up)
        leaf = ref.instance.ctx.spawn(Member, [], "leaf", name="leaf", supervise=up)
        leaf.tell(Fail())
        report = await t.system.ended()
        assert report.lost == 0
        assert "ChildFailed" in report.cause

    with pytest.raises(SystemFailed) as failed:
        testkit.run(test)
    chain = []
    cause = failed.value.__cause__
    while cause is not None:
        chain.append(str(cause))
        cause = cause.__cause__
    assert [c.split(" failed")[0] for c in chain[:-1]] == [
        "/user/top/middle", "/user/top/middle/low", "/user/top/middle/low/leaf",
    ]  # fmt: skip
    assert chain[-1] == "leaf"


def test_SV_5_stop_branch_ends_the_top_level_actor_alone() -> None:
    async def test(t: TestSystem) -> None:
        up = OneForOne(decide={Exception: "escalate"})
        bad = t.spawn(Member, [], "bad", supervise=up)
        good = t.spawn(Member, [], "good")
        bad.tell(Fail())
        assert await bad.stopped() == "failed: ValueError: bad"
        assert await good.ask(1) == 1

    from actinium.core import Settings

    testkit.run(test, settings=Settings(on_fatal="stop_branch"))
