"""What the runtime is to show by counting, where no law says it: nothing is done twice or left."""

from __future__ import annotations

import asyncio
import gc
import inspect
import random
import weakref
from typing import Any

import pytest

from actinium import testkit
from actinium.core import Actor, LocalRef, Mailbox, Message, OneForOne, System, on
from actinium.errors import ActiniumError
from actinium.testkit import TestSystem


class Ask(Message):
    how: str


class Servant(Actor, mailbox=Mailbox(50)):
    """Ends an ask in every way there is."""

    def __init__(self) -> None:
        self.tokens: list[Any] = []

    @on(raises=(KeyError,))
    async def serve(self, m: Ask) -> str:
        match m.how:
            case "declared":
                raise KeyError
            case "fails":
                raise ValueError
            case "slow":
                await asyncio.sleep(0.05)
            case "late":
                await asyncio.sleep(10.0)
            case "deferred":
                token = self.ctx.defer()
                self.ctx.pipe(self._give(token), ok=str)
            case "dropped":
                self.ctx.defer()
            case "stash":
                self.ctx.stash()
        return m.how

    async def _give(self, token: Any) -> str:
        await asyncio.sleep(0.01)
        token.reply("deferred")
        return "given"

    @on
    def text(self, m: str) -> None:
        self.ctx.unstash_all()

    @on
    def number(self, m: int) -> int:
        return m


HOW = ("fine", "declared", "fails", "slow", "late", "deferred", "dropped", "stash", "unhandled")


async def many_asks(t: TestSystem, count: int) -> None:
    rng = random.Random(7)
    patient = OneForOne(max_restarts=None, backoff=(0.0, 0.0))
    servants = [t.spawn(Servant, supervise=patient) for _ in range(8)]
    replies: list[Any] = []
    for n in range(count):
        at = rng.randrange(8)
        how = rng.choice(HOW)
        message: Any = Ask(how) if how != "unhandled" else b"?"
        replies.append(servants[at].ask(message, rng.choice((None, 0.02, 1.0))))
        if rng.random() < 0.05:
            replies[rng.randrange(len(replies))].cancel()
        if rng.random() < 0.01:
            servants[at].kill()
            servants[at] = t.spawn(Servant, supervise=patient)
        if n % 20 == 0:
            await t.advance(0.02)
        if len(replies) > 2_000:
            await t.advance(20.0)
            assert all(r.done() for r in replies), "MS-3"
            replies.clear()
    for servant in servants:
        servant.tell("unstash")
    await t.advance(30.0)
    assert all(r.done() for r in replies), "MS-3"
    for servant in servants:
        servant.stop()
    await t.run_until_idle()
    core = t.system._running()
    assert core.next_timer() is None, "MS-3: a pending ask is left behind"
    stats = t.system.statistics()
    assert stats["running"] == 0
    assert stats["accepted"] == stats["handled"] + stats["dead_lettered"] + stats["withdrawn"]


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    import logging

    for name in ("supervision", "deadletters"):
        monkeypatch.setattr(logging.getLogger(f"actinium.{name}"), "disabled", True)


def test_MS_3_nothing_is_pending_after_asks_of_every_outcome() -> None:
    async def test(t: TestSystem) -> None:
        await many_asks(t, 3_000)

    testkit.run(test)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_MS_3_nothing_is_pending_after_a_million_asks_of_every_outcome() -> None:
    async def test(t: TestSystem) -> None:
        await many_asks(t, 1_000_000)

    testkit.run(test)


def test_a_message_is_the_senders_object_and_no_copy() -> None:
    seen: list[Any] = []

    class Keep(Actor):
        @on
        def keep(self, m: Ask | str | bytes | tuple | frozenset | int) -> Any:  # type: ignore[type-arg]
            seen.append(m)
            return m

    async def test(t: TestSystem) -> None:
        ref = t.spawn(Keep)
        for m in (Ask("x"), "text" * 100, b"bytes" * 100, (1, "a"), frozenset((1,)), 10**30):
            answer = await ref.ask(m)
            assert seen.pop() is m
            assert answer is m

    testkit.run(test)


def test_handlers_are_read_once_when_the_class_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    class Plain(Servant):
        pass

    def never(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("inspect was called after the class was made")

    async def main() -> None:
        async with System() as system:
            ref = system.spawn(Plain)
            with monkeypatch.context() as patched:
                patched.setattr(inspect, "signature", never)
                for _ in range(3):
                    assert await ref.ask(Ask("fine")) == "fine"
                    assert await system.spawn(Plain).ask(7) == 7

    asyncio.run(main())


def test_MS_5_refs_to_dead_actors_hold_no_instance() -> None:
    async def test(t: TestSystem) -> None:
        dead: list[LocalRef[Any]] = []
        instances: weakref.WeakSet[Any] = weakref.WeakSet()
        for _ in range(2_000):
            ref = t.spawn(Servant)
            instances.add(ref.instance)
            dead.append(ref)
            ref.stop()
        await t.run_until_idle()
        gc.collect()
        assert len(dead) == 2_000
        assert len(instances) == 0

    testkit.run(test)


def test_the_time_that_is_left_gets_less_with_each_hop() -> None:
    class Hop(Actor):
        def __init__(self, next_: LocalRef[Any] | None) -> None:
            self.next = next_

        @on
        async def hop(self, m: int) -> list[float]:
            left = self.ctx.remaining
            assert left is not None
            await self.ctx.sleep(0.1)
            after = await self.next.ask(m, 1e6) if self.next is not None else []
            return [left, *after]

    async def test(t: TestSystem) -> None:
        ref = t.spawn(Hop, t.spawn(Hop, t.spawn(Hop, None)))
        first, second, third = await ref.ask(1, 5.0)
        assert 5.0 >= first > second > third > 4.7
        assert first - third >= 0.2

    testkit.run(test)


def test_an_idle_system_does_nothing() -> None:
    async def main() -> None:
        async with System() as system:
            for _ in range(5_000):
                system.spawn(Servant).tell("x")
            await system.idle()
            before = system.statistics()["slices"]
            for _ in range(1_000):  # other work of the event loop
                await asyncio.sleep(0)
            assert system.statistics()["slices"] == before

    asyncio.run(main())


def test_two_seeds_wait_for_different_times_before_a_restart() -> None:
    def waits(seed: int) -> list[float]:
        found: list[float] = []

        async def test(t: TestSystem) -> None:
            ref = t.spawn(Servant, supervise=OneForOne(backoff=(0.1, 0.4)))
            for _ in range(4):
                ref.tell(Ask("fails"))
                at = t.now()
                assert await ref.ask(1, 10.0) == 1
                found.append(t.now() - at)

        testkit.run(test, seed=seed)
        return found

    assert waits(1) == waits(1)
    assert waits(1)[1:] != waits(2)[1:]


def test_what_is_refused_says_so_by_its_class() -> None:
    async def test(t: TestSystem) -> None:
        ref = t.spawn(Servant)
        for n in range(50):
            ref.tell(n)
        with pytest.raises(ActiniumError, match="mailbox") as refused:
            await ref.ask(1)
        assert refused.value.retryable

    testkit.run(test)
