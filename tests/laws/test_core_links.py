"""Links and watches against models: who is taken along, who hears of what (WD-1)."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from actinium import testkit
from actinium.core import (
    Actor,
    Exited,
    LocalRef,
    Message,
    OneForOne,
    Restarted,
    Terminated,
    on,
)
from actinium.errors import LinkedExit
from actinium.testkit import TestSystem


class Fail(Message):
    pass


class Node(Actor):
    def __init__(self, seen: list[Any]) -> None:
        self.seen = seen

    @on
    def fail(self, m: Fail) -> None:
        raise ValueError

    @on
    async def wait(self, m: float) -> None:
        await asyncio.sleep(m)

    @on
    def notice(self, m: Terminated | Exited | Restarted) -> None:
        self.seen.append(m)


class Trapping(Node, trap_exit=True):
    pass


STOPS = OneForOne(decide={ValueError: "stop"})


@pytest.mark.parametrize("how", ["kill", "fail", "stop"])
@pytest.mark.parametrize("direction", [0, 1])
def test_a_link_takes_the_other_along_unless_the_end_is_normal(how: str, direction: int) -> None:
    async def test(t: TestSystem) -> None:
        pair = [t.spawn(Node, [], supervise=STOPS) for _ in range(2)]
        third = t.spawn(Node, [])
        pair[0].instance.ctx.link(pair[1])
        pair[1].instance.ctx.link(third)
        end, other = pair[direction], pair[1 - direction]
        waiting = asyncio.ensure_future(other.ask(1000.0, 5000.0))
        await t.run_until_idle()
        if how == "fail":
            end.tell(Fail())
        else:
            getattr(end, how)()
        await t.advance(1.0)
        assert not end.alive
        assert other.alive == third.alive == (how == "stop")
        if how != "stop":
            assert (await other.stopped()).startswith("failed: LinkedExit")
            assert waiting.done(), "its handler was interrupted"
        waiting.cancel()

    testkit.explore(test, seeds=range(1, 6))


def test_trap_exit_makes_it_a_message_and_unlink_takes_it_back() -> None:
    async def test(t: TestSystem) -> None:
        seen: list[Any] = []
        trapping = t.spawn(Trapping, seen)
        refs = [t.spawn(Node, []) for _ in range(4)]
        ctx = trapping.instance.ctx
        for ref in refs:
            ctx.link(ref)
        refs[0].kill()
        ctx.unlink(refs[1])
        refs[1].kill()
        refs[2].stop()
        await t.run_until_idle()
        assert seen == [Exited(refs[0], "killed")]
        refs[3].kill()
        t.step(1)
        ctx.unlink(refs[3])  # also when the notice is in the mailbox already
        await t.run_until_idle()
        ctx.link(refs[0])  # of one that is dead already: at once
        await t.run_until_idle()
        assert [m.ref for m in seen][-1] is refs[0]
        assert trapping.alive

    testkit.explore(test, seeds=range(1, 6))


def test_a_restart_is_no_end_and_a_supervisor_may_restart_the_linked_one() -> None:
    async def test(t: TestSystem) -> None:
        a = t.spawn(Node, [])
        b = t.spawn(Node, [], supervise=OneForOne(decide={LinkedExit: "restart"}))
        a.instance.ctx.link(b)
        a.tell(Fail())
        await t.advance(1.0)
        assert (a.incarnation, b.incarnation) == (1, 0)
        a.kill()
        await t.advance(1.0)
        assert (b.alive, b.incarnation) == (True, 1)

    testkit.run(test)


def test_watch_with_restarts_tells_each_new_instance() -> None:
    async def test(t: TestSystem) -> None:
        seen: list[Any] = []
        watcher, deaf = t.spawn(Node, seen), t.spawn(Node, [])
        ref = t.spawn(Node, [])
        watcher.instance.ctx.watch(ref, restarts=True)
        deaf.instance.ctx.watch(ref)
        for _ in range(2):
            ref.tell(Fail())
            await t.advance(1.0)
        ref.kill()
        await t.run_until_idle()
        assert [type(m).__name__ for m in seen] == ["Restarted", "Restarted", "Terminated"]
        assert [m.incarnation for m in seen] == [1, 2, 2]
        assert [type(m).__name__ for m in deaf.instance.seen] == ["Terminated"]

    testkit.run(test)


def test_WD_1_a_hundred_thousand_watches_unwatches_and_stops_equal_the_model() -> None:
    """Each step is settled at once, so the model is exact: a set of pairs."""

    async def test(t: TestSystem) -> None:
        rng = random.Random(5)
        books: list[list[Any]] = [[] for _ in range(8)]
        watchers = [t.spawn(Node, book) for book in books]
        contexts = [w.instance.ctx for w in watchers]
        targets: list[LocalRef[Any]] = [t.spawn(Node, []) for _ in range(8)]
        watching: set[tuple[int, int]] = set()
        due = [0] * 8
        for step in range(100_000):
            w, x = rng.randrange(8), rng.randrange(8)
            what = rng.random()
            if what < 0.6:
                contexts[w].watch(targets[x])
                watching.add((w, x))
            elif what < 0.9:
                contexts[w].unwatch(targets[x])
                watching.discard((w, x))
            else:
                targets[x].stop()
                targets[x] = t.spawn(Node, [])
                for pair in [p for p in watching if p[1] == x]:
                    due[pair[0]] += 1
                    watching.remove(pair)
                while t.step(100):
                    pass
            if step % 10_000 == 0:
                await t.run_until_idle()
        await t.run_until_idle()
        assert [len(book) for book in books] == due, "WD-1"

    testkit.run(test)
