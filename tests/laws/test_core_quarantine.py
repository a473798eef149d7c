"""Quarantine: out of service, and exactly one message per probe (SV-6)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actinium import testkit
from actinium.core import Actor, CoolDown, Message, OneForOne, on
from actinium.errors import HandlerError, Quarantined, UsageError
from actinium.testkit import TestSystem

law = settings(max_examples=80, deadline=None, derandomize=True)


class Job(Message):
    n: int


class Later(Message):
    n: int


class Sick(Actor):
    """Fails as long as ``ill`` says so."""

    def __init__(self, seen: list[int], ill: list[bool]) -> None:
        self.seen = seen
        self.ill = ill

    @on
    def job(self, m: Job) -> int:
        self.seen.append(m.n)
        if self.ill[0]:
            raise ValueError(m.n)
        return m.n

    @on
    async def later(self, m: Later) -> int:
        self.seen.append(m.n)
        await asyncio.sleep(0.5)
        if self.ill[0]:
            raise ValueError(m.n)
        return m.n


def policy(**kwargs: Any) -> OneForOne:
    return OneForOne(decide={ValueError: "quarantine"}, **kwargs)


@pytest.mark.parametrize("kind", [Job, Later])
def test_SV_6_one_message_per_probe_and_the_others_keep_their_order(kind: Any) -> None:
    async def test(t: TestSystem) -> None:
        seen: list[int] = []
        ill = [True]
        ref = t.spawn(Sick, seen, ill, supervise=policy(cool_down=CoolDown(probes=5)))
        for n in range(6):
            ref.tell(kind(n))
        await t.advance(1.0)
        assert (seen, ref.life_state, ref.depth) == ([0], "quarantined", 5)
        refused = ref.tell(Job(99))
        assert (refused.ok, refused.code) == (False, "quarantined")
        assert 28.0 <= refused.retry_after <= 30.0
        with pytest.raises(Quarantined) as error:
            await ref.ask(Job(98))
        assert error.value.retry_after is not None
        assert ref.try_tell(Job(97)).code == "quarantined"
        await t.advance(31.0)
        assert seen == [0, 1], "SV-6"
        await t.advance(55.0)
        assert seen == [0, 1], "the second time is twice as long"
        ill[0] = False
        await t.advance(10.0)
        assert seen == [0, 1, 2, 3, 4, 5], "SV-6: order kept"
        assert ref.life_state == "active"
        assert await ref.ask(Job(7)) == 7
        assert len(t.system.dead_letters.find(reason="quarantined")) == 1  # the tell

    testkit.explore(test, seeds=range(1, 8))


@law
@given(st.lists(st.booleans(), min_size=1, max_size=6), st.integers(0, 4), st.booleans(),
       st.integers(1, 2**32))  # fmt: skip
def test_SV_6_probes_against_a_model(
    probes: list[bool], queued: int, slow: bool, seed: int
) -> None:
    """``probes`` are the outcomes of one probe after the other; True: it works again."""

    async def test(t: TestSystem) -> None:
        seen: list[int] = []
        ill = [True]
        cool = CoolDown(first=10.0, longest=40.0, probes=len(probes) + 1)
        ref = t.spawn(Sick, seen, ill, supervise=policy(cool_down=cool))
        kind: Any = Later if slow else Job
        for n in range(queued + 1):
            ref.tell(kind(n))
        await t.advance(2.0)
        wait = 10.0
        handled = 1
        for works in probes:
            assert len(seen) == handled, "SV-6"
            assert ref.life_state == "quarantined"
            ill[0] = not works
            await t.advance(wait + 1.0)
            if not ref.depth and len(seen) == handled:  # it waits for a message to try
                assert ref.tell(kind(100)).ok, "the next one is the probe"
                assert ref.tell(kind(101)).code == "quarantined"
            await t.advance(1.0)
            handled += 1
            if works:
                await t.advance(10.0)
                assert ref.life_state == "active"
                assert ref.depth == 0
                return
            assert len(seen) == handled, "SV-6"
            wait = min(2 * wait, 40.0)
        assert (await t.shutdown()).lost == 0

    testkit.run(test, seed=seed)


def test_after_the_failed_probes_comes_on_limit() -> None:
    async def test(t: TestSystem) -> None:
        seen: list[int] = []
        ref = t.spawn(Sick, seen, [True], supervise=policy(on_limit="stop"))
        for n in range(9):
            ref.tell(Job(n))
        assert (await ref.stopped()).startswith("failed: ValueError")
        assert seen == [0, 1, 2, 3]
        assert 30 + 60 + 120 <= t.now() < 212

    testkit.run(test)


def test_on_limit_quarantine_follows_too_many_restarts() -> None:
    async def test(t: TestSystem) -> None:
        strategy = OneForOne(max_restarts=2, backoff=(0.0, 0.0), on_limit="quarantine")
        ill = [True]
        ref = t.spawn(Sick, [], ill, supervise=strategy)
        for n in range(3):
            ref.tell(Job(n))
        await t.advance(1.0)
        assert ref.life_state == "quarantined"
        ill[0] = False
        await t.advance(31.0)
        assert await ref.ask(Job(1)) == 1
        assert ref.life_state == "active"

    testkit.run(test)


def test_an_operator_takes_an_actor_out_and_puts_it_back_with_its_state() -> None:
    async def test(t: TestSystem) -> None:
        seen: list[int] = []
        ref = t.spawn(Sick, seen, [False])
        instance = ref.instance
        t.system.quarantine(ref, seconds=60.0, reason="maintenance")
        assert ref.tell(Job(1)).code == "quarantined"
        with pytest.raises(UsageError, match="only an active actor"):
            t.system.quarantine(ref)
        await t.advance(30.0)
        assert t.system.release(ref), "while the probe's timer is pending"
        assert not t.system.release(ref)
        assert await ref.ask(Job(2)) == 2
        await t.advance(60.0)
        assert ref.instance is instance
        assert (seen, ref.incarnation) == ([2], 0)

    testkit.run(test)


def test_release_makes_a_new_instance_of_one_that_failed() -> None:
    async def test(t: TestSystem) -> None:
        ill = [True]
        ref = t.spawn(Sick, [], ill, supervise=policy())
        with pytest.raises(HandlerError):
            await ref.ask(Job(0))
        assert ref.life_state == "quarantined"
        ill[0] = False
        t.system.release(ref)
        assert await ref.ask(Job(1)) == 1
        assert ref.incarnation == 1

    testkit.run(test)


def test_senders_that_wait_for_room_go_on_after_a_release() -> None:
    async def test(t: TestSystem) -> None:
        ref = t.spawn(Sick, [], [False])
        t.system.quarantine(ref)
        sending = asyncio.create_task(ref.send(Job(1), timeout=20.0))
        late = asyncio.create_task(ref.send(Job(2), timeout=1.0))
        with pytest.raises(Quarantined):
            await late
        t.system.release(ref)
        assert (await sending).ok

    testkit.run(test)


def test_poison_retries_the_message_first_and_then_lets_it_go() -> None:
    async def test(t: TestSystem) -> None:
        seen: list[int] = []
        ill = [True]
        ref = t.spawn(Sick, seen, ill, supervise=OneForOne(poison="retry:2", backoff=(0.0, 0.0)))
        asked = ref.ask(Job(1), 60.0)
        ref.tell(Later(2))
        await t.run_until_idle()
        assert seen[:3] == [1, 1, 1], "in its old place, three times in all"
        with pytest.raises(HandlerError):
            await asked
        ill[0] = False
        await t.advance(1.0)
        assert seen == [1, 1, 1, 2]
        assert [x.message for x in t.system.dead_letters] == [Job(1)]
        assert (await t.shutdown()).lost == 0

    testkit.run(test)


def test_poison_that_works_the_second_time_is_answered() -> None:
    class Twice(Actor):
        tries = 0

        @on
        def job(self, m: Job) -> int:
            Twice.tries += 1
            if Twice.tries == 1:
                raise ValueError
            return m.n

    async def test(t: TestSystem) -> None:
        ref = t.spawn(Twice, supervise=OneForOne(poison="retry:2"))
        assert await ref.ask(Job(5)) == 5
        assert len(t.system.dead_letters) == 0

    testkit.run(test)
