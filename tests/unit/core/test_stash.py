"""Messages set aside keep what came with them, and end in one place each."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from actinium import testkit
from actinium.core import Actor, Mailbox, Message, OneForOne, Terminated, on
from actinium.errors import (
    ActorStopped,
    DeadlineExceeded,
    HandlerError,
    StashFull,
    UsageError,
)
from actinium.testkit import TestSystem

STEADY = OneForOne(max_restarts=None, backoff=(0.0, 0.0))


class Job(Message):
    n: int


class Open(Message):
    pass


class Shut(Message):
    pass


class Fail(Message):
    pass


class Gate(Actor, initial="shut"):
    """Sets jobs aside until it is opened."""

    def __init__(self, seen: list[Any]) -> None:
        self.seen = seen

    @on(state="shut")
    def keep(self, m: Job) -> str:
        kept = self.ctx.stash()
        return f"nobody gets this ({kept})"

    @on(state="shut")
    async def keep_slowly(self, m: float) -> None:
        await asyncio.sleep(0.01)
        self.ctx.stash()

    @on
    def open(self, m: Open) -> int:
        self.ctx.become("open")
        return self.ctx.unstash_all()

    @on
    def fail(self, m: Fail) -> None:
        raise ValueError

    @on(state="open")
    def work(self, m: Job | float) -> str:
        sender = self.ctx.sender
        self.seen.append((m.n if isinstance(m, Job) else m, sender and sender.path))
        return f"done {m}"

    @on(state="open")
    def shut(self, m: Shut) -> None:
        self.ctx.become("shut")


async def balanced(t: TestSystem) -> bool:
    await t.run_until_idle()
    s = t.system.statistics()
    return s["accepted"] == s["handled"] + s["dead_lettered"] + s["withdrawn"]


def test_a_stashed_ask_is_answered_once_it_is_handled() -> None:
    async def test(t: TestSystem) -> None:
        seen: list[Any] = []
        gate = t.spawn(Gate, seen)
        replies = [gate.ask(Job(1)), gate.ask(0.5), gate.ask(Job(2))]
        await t.advance(0.1)
        assert not any(reply.done() for reply in replies)
        assert gate.instance.ctx.stashed == 3
        assert await gate.ask(Open()) == 3
        assert [await reply for reply in replies] == ["done " + str(Job(1)), "done 0.5",
                                                      "done " + str(Job(2))]  # fmt: skip
        assert [m for m, _ in seen] == [1, 0.5, 2]
        assert await balanced(t)

    testkit.run(test)


def test_the_sender_stays_with_a_stashed_message() -> None:
    class Asker(Actor):
        @on
        def go(self, m: int) -> None:
            gate.tell(Job(m))

    async def test(t: TestSystem) -> None:
        nonlocal gate
        seen: list[Any] = []
        gate = t.spawn(Gate, seen)
        t.spawn(Asker, name="asker").tell(7)
        await t.run_until_idle()
        gate.tell(Open())
        await t.run_until_idle()
        assert seen == [(7, "/user/asker")]

    gate: Any = None
    testkit.run(test)


def test_an_ask_stashed_past_its_deadline_gets_DeadlineExceeded() -> None:
    async def test(t: TestSystem) -> None:
        seen: list[Any] = []
        gate = t.spawn(Gate, seen)
        with pytest.raises(DeadlineExceeded, match="had the message stashed"):
            await gate.ask(Job(1), 2.0)
        assert t.now() == pytest.approx(2.0, abs=0.002)
        gate.tell(Job(2), deadline=1.0)
        await t.advance(1.5)
        await gate.ask(Open())
        await t.run_until_idle()
        assert seen == [], "MS-4: an expired message entered a handler"
        reasons = [letter.reason for letter in t.system.dead_letters]
        assert reasons == ["expired", "expired"]
        assert await balanced(t)

    testkit.run(test)


def test_an_ask_cancelled_in_the_stash_is_withdrawn() -> None:
    async def test(t: TestSystem) -> None:
        seen: list[Any] = []
        gate = t.spawn(Gate, seen)
        reply = gate.ask(Job(1))
        await t.run_until_idle()
        reply.cancel()
        await gate.ask(Open())
        await t.run_until_idle()
        assert seen == []
        assert t.system.statistics()["withdrawn"] == 1
        assert await balanced(t)

    testkit.run(test)


def test_beyond_its_limit_the_asker_gets_StashFull_and_the_message_is_a_dead_letter() -> None:
    class Small(Gate, stash=2):
        pass

    async def test(t: TestSystem) -> None:
        gate = t.spawn(Small, [])
        gate.tell(Job(1))
        gate.tell(Job(2))
        with pytest.raises(StashFull, match=r"stash of /user/\$\d+ is full \(2 messages\)") as e:
            await gate.ask(Job(3))
        assert e.value.retryable
        letter = await t.expect_dead_letter("stash_full")
        assert letter.message == Job(3)
        assert gate.incarnation == 0, "a full stash is no failure of the actor"
        await gate.ask(Open())
        await t.run_until_idle()
        assert [n for n, _ in gate.instance.seen] == [1, 2]
        assert await balanced(t)

    testkit.run(test)


def test_asks_that_nobody_waits_for_make_room_in_the_stash() -> None:
    class Small(Gate, stash=2):
        pass

    async def test(t: TestSystem) -> None:
        gate = t.spawn(Small, [])
        first, second = gate.ask(Job(1), 1.0), gate.ask(Job(2), 9.0)
        with pytest.raises(DeadlineExceeded):
            await first
        third = gate.ask(Job(3), 9.0)
        await t.run_until_idle()
        await gate.ask(Open())
        await t.run_until_idle()
        assert [await second, await third] == [f"done {Job(2)}", f"done {Job(3)}"]
        assert await balanced(t)

    testkit.run(test)


def test_SV_1_a_restart_puts_the_stash_back_before_the_mailbox() -> None:
    async def test(t: TestSystem) -> None:
        seen: list[Any] = []
        gate = t.spawn(Gate, seen, supervise=STEADY)
        reply = gate.ask(Job(1), 60.0)
        gate.tell(Job(2))
        await t.run_until_idle()
        for m in (Fail(), Job(3), Open()):
            gate.tell(m)
        await t.run_until_idle()
        assert [n for n, _ in seen] == [1, 2, 3]
        assert await reply == f"done {Job(1)}"
        assert gate.incarnation == 1
        assert await balanced(t)

    testkit.run(test)


def test_a_stop_makes_dead_letters_of_the_stash() -> None:
    async def test(t: TestSystem) -> None:
        gate = t.spawn(Gate, [])
        reply = gate.ask(Job(1))
        gate.tell(Job(2))
        await t.run_until_idle()
        gate.stop()
        with pytest.raises(ActorStopped):
            await reply
        assert [x.message for x in t.system.dead_letters] == [Job(1), Job(2)]
        assert {x.reason for x in t.system.dead_letters} == {"actor_stopped"}
        report = await t.shutdown()
        assert report.lost == 0

    testkit.run(test)


def test_a_shutdown_by_force_counts_the_stash() -> None:
    class Deaf(Gate):
        @on
        async def never(self, m: bytes) -> None:
            while True:
                try:
                    await asyncio.sleep(3600)
                except asyncio.CancelledError:
                    continue

    async def test(t: TestSystem) -> None:
        gate = t.spawn(Deaf, [])
        gate.tell(Job(1))
        gate.tell(b"")
        await t.run_until_idle()
        report = await t.shutdown(drain_timeout=1.0)
        assert report.forced == 1
        assert report.lost == 0

    async def outer(t: TestSystem) -> None:
        await test(t)
        for task in asyncio.all_tasks():
            if task is not asyncio.current_task():
                task.cancel()

    testkit.run(outer)


def test_it_goes_before_the_mailbox_and_over_its_capacity() -> None:
    class Tight(Gate, mailbox=Mailbox(capacity=3)):
        pass

    async def test(t: TestSystem) -> None:
        seen: list[Any] = []
        gate = t.spawn(Tight, seen)
        for n in range(6):
            gate.tell(Job(n))
            await t.run_until_idle()
        for m in (Open(), Job(6), Job(7)):
            assert gate.tell(m)
        await t.run_until_idle()
        assert [n for n, _ in seen] == list(range(8))
        assert await balanced(t)

    testkit.run(test)


class Laned(Gate, mailbox=Mailbox(lanes=4)):
    pass


def test_with_lanes_a_stashed_message_goes_back_to_the_head_of_its_own() -> None:
    async def test(t: TestSystem) -> None:
        seen: list[Any] = []
        gate = t.spawn(Laned, seen)
        for n, lane in enumerate(["low", "normal", "critical", "low", "high"]):
            gate.tell(Job(n), priority=lane)
        await t.run_until_idle()
        assert gate.instance.ctx.stashed == 5
        gate.tell(Open(), priority="critical")
        gate.tell(Job(7), priority="low")
        gate.tell(Job(9), priority="critical")
        await t.run_until_idle()
        assert [n for n, _ in seen] == [2, 9, 4, 1, 0, 3, 7], "MS-2 in each lane"
        assert await balanced(t)

    testkit.run(test)


def test_with_lanes_one_stashed_after_an_await_knows_its_lane_too() -> None:
    class Wide(Gate, mailbox=Mailbox(lanes=4), concurrent=8):
        pass

    async def test(t: TestSystem) -> None:
        seen: list[Any] = []
        gate = t.spawn(Wide, seen)
        for n, lane in enumerate(["low", "critical", "high", "low"]):
            gate.tell(n / 10, priority=lane)
        await t.advance(1.0)
        assert gate.instance.ctx.stashed == 4
        gate.tell(Open(), priority="critical")
        await t.run_until_idle()
        in_order = [n for n, _ in seen]
        assert in_order[:2] == [0.1, 0.2], "first critical, then high"
        assert sorted(in_order[2:]) == [0.0, 0.3]
        assert await balanced(t)

    testkit.run(test)


def test_with_lanes_a_retried_message_goes_back_to_its_own() -> None:
    class Weak(Actor, mailbox=Mailbox(lanes=4)):
        def __init__(self, seen: list[Any], ill: list[int]) -> None:
            self.seen = seen
            self.ill = ill

        @on
        async def work(self, m: Job) -> None:
            await asyncio.sleep(0.01)
            if self.ill:
                self.ill.pop()
                raise ValueError
            self.seen.append(m.n)

    async def test(t: TestSystem) -> None:
        seen: list[Any] = []
        ref = t.spawn(Weak, seen, [1], supervise=OneForOne(poison="retry:1", backoff=(0.0, 0.0)))
        ref.tell(Job(0), priority="low")
        t.step()
        for n, lane in enumerate(["low", "normal", "critical"], 1):
            ref.tell(Job(n), priority=lane)
        await t.advance(1.0)
        assert seen == [3, 2, 0, 1]

    testkit.run(test)


def test_a_stashed_notice_is_not_lost() -> None:
    """WD-1: whether it is wanted is asked once, when it first came."""

    class Watcher(Actor):
        def __init__(self, seen: list[Any]) -> None:
            self.seen = seen

        @on
        def watch(self, m: Job) -> None:
            child = self.ctx.spawn(Gate, [])
            self.ctx.watch(child)
            child.stop()

        @on
        def ended(self, m: Terminated) -> None:
            self.ctx.become("late")
            self.ctx.stash()

        @on
        def open(self, m: Open) -> None:
            self.ctx.unstash_all()

        @on(state="late")
        def really(self, m: Terminated) -> None:
            self.seen.append(m.reason)

    async def test(t: TestSystem) -> None:
        seen: list[Any] = []
        watcher = t.spawn(Watcher, seen)
        watcher.tell(Job(0))
        await t.run_until_idle()
        watcher.tell(Open())
        await t.run_until_idle()
        assert seen == ["stopped"]
        assert await balanced(t)

    testkit.run(test)


def test_TM_2_the_message_of_a_timer_cancelled_in_the_stash_never_comes_back() -> None:
    async def test(t: TestSystem) -> None:
        seen: list[Any] = []
        gate = t.spawn(Gate, seen)
        timer = gate.instance.ctx.schedule(1.0, Job(1))
        await t.advance(2.0)
        assert gate.instance.ctx.stashed == 1
        timer.cancel()
        await gate.ask(Open())
        await t.run_until_idle()
        assert seen == []
        assert await balanced(t)

    testkit.run(test)


class Wrong(Actor):
    @on
    def twice(self, m: Job) -> None:
        self.ctx.stash()
        self.ctx.stash()

    @on
    def deferred(self, m: Open) -> None:
        self.token = self.ctx.defer()
        self.ctx.stash()

    @on
    async def stream(self, m: Shut) -> AsyncIterator[int]:
        self.ctx.stash()
        yield 1

    @on
    def after(self, m: str) -> str:
        self.ctx.stash()
        self.ctx.reply("too late")
        return m


@pytest.mark.parametrize(
    ("m", "text"),
    [
        (Job(1), r"the current message was stashed or forwarded already"),
        (Open(), r"ctx\.defer\(\) took the reply of this message already"),
        ("x", r"nobody waits|belongs in a handler"),
    ],
)
def test_wrong_uses_are_refused(m: Any, text: str, caplog: pytest.LogCaptureFixture) -> None:
    async def test(t: TestSystem) -> None:
        # A restart would put the stash back, and the handler would fail again.
        wrong = t.spawn(Wrong, supervise=OneForOne(decide={UsageError: "stop"}))
        wrong.ask(m) if isinstance(m, Open) else wrong.tell(m)
        await t.run_until_idle()
        assert re.search(text, caplog.text)
        assert await balanced(t)

    testkit.run(test)


def test_the_request_of_a_stream_is_not_stashed() -> None:
    async def test(t: TestSystem) -> None:
        with pytest.raises(HandlerError, match="the request for a stream cannot be taken away"):
            async for _ in t.spawn(Wrong).stream(Shut()):
                pass

    testkit.run(test)


def test_outside_of_a_handler_there_is_nothing_to_stash() -> None:
    async def test(t: TestSystem) -> None:
        with pytest.raises(TypeError, match=r"ctx\.stash\(\) belongs in a handler"):
            t.spawn(Gate, []).instance.ctx.stash()

    testkit.run(test)
