"""PS-4: no message is lost or handled twice across passivation; one activation per key."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from typing import Any

import msgspec
import pytest

from actinium import testkit
from actinium.core import Actor, Durable, EntityRef, Message, OneForOne, Settings, on
from actinium.errors import ActiniumError, ActivationRefused, UsageError
from actinium.store import MemoryStore
from actinium.testkit import TestSystem

HANDLED: Counter[int] = Counter()
LIVE: Counter[str] = Counter()
MOST: Counter[str] = Counter()


class Job(Message):
    n: int = 0
    takes: float = 0.0


class Unit(Actor, max_live=10):
    """Counts how many of its key are at work at once."""

    def __init__(self, key: str) -> None:
        self.key = key

    def started(self) -> None:
        LIVE[self.key] += 1
        MOST[self.key] = max(MOST[self.key], LIVE[self.key])

    def stopping(self, reason: str) -> None:
        LIVE[self.key] -= 1

    @on
    async def job(self, m: Job) -> str:
        if m.takes:
            await asyncio.sleep(m.takes)
        HANDLED[m.n] += 1
        return self.key


@pytest.fixture(autouse=True)
def fresh() -> None:
    for counter in (HANDLED, LIVE, MOST):
        counter.clear()


@pytest.mark.parametrize("seed", range(1, 9))
def test_PS_4_each_message_is_handled_once_however_entities_come_and_go(seed: int) -> None:
    async def test(t: TestSystem) -> None:
        rng = random.Random(seed)
        taken: set[int] = set()
        for n in range(600):
            ref = t.system.entity(Unit, f"k{rng.randrange(40)}")
            if ref.tell(Job(n, rng.choice([0.0, 0.0, 0.01]))).ok:
                taken.add(n)
            if rng.random() < 0.05:
                cell = ref.cell
                if cell is not None:
                    cell.stop(drain=True)
            t.step(rng.randrange(4))
            if rng.random() < 0.1:
                await t.advance(0.005)
            assert t.system.statistics()["entities"] <= 10, "the budget"
        await t.advance(5.0)
        assert taken == set(HANDLED) and set(HANDLED.values()) == {1}, "PS-4"
        assert max(MOST.values()) == 1, "two activations of one key"
        refused = t.system.dead_letters.find(reason="activation_refused")
        assert len(refused) == 600 - len(taken)

    testkit.run(test, seed=seed)


def test_complaint_16_a_budget_lets_go_of_the_one_used_longest_ago() -> None:
    """Orleans collects by idle time only and dies of memory; shedding naively made it thrash.

    Here a budget lets go of idle entities, last used first out, never of one that has work; and
    when all have work a newcomer is refused, with an error that says so.
    """

    async def test(t: TestSystem) -> None:
        def live() -> set[str]:
            return {e.key for e in (ref(f"k{n}") for n in range(20)) if e.active}

        def ref(key: str) -> EntityRef[Unit]:
            return t.system.entity(Unit, key)

        for n in range(10):
            await ref(f"k{n}").ask(Job(n))
            await t.advance(1.0)
        await ref("k0").ask(Job(20))  # used again: it is no longer the oldest
        await ref("k10").ask(Job(21))
        assert live() == {f"k{n}" for n in range(11)} - {"k1"}
        for key in sorted(live()):
            ref(key).tell(Job(30, 10.0))  # all of them have work now
        await t.run_until_idle()
        before = live()
        with pytest.raises(ActivationRefused, match=r"max_live=10\) allows no more, and none that"):
            ref("k11").ask(Job(31))
        put = ref("k11").tell(Job(32))
        assert (put.ok, put.code) == (False, "rejected")
        assert live() == before, "nobody was thrown out for it"
        (letter,) = t.system.dead_letters
        assert (letter.reason, letter.path) == ("activation_refused", "/entity/Unit/k11")
        assert t.system.statistics()["activations_refused"] == 2
        waiting = asyncio.ensure_future(ref("k12").send(Job(33), timeout=20.0))
        await t.advance(11.0)
        assert (await waiting).ok, "send waits for a place"
        assert [r.outcome for r in await t.system.dead_letters.replay()] == ["accepted"]
        await t.run_until_idle()
        assert HANDLED[32] == HANDLED[33] == 1

    testkit.run(test)


def test_complaint_16_no_newcomer_while_memory_is_short() -> None:
    async def test(t: TestSystem) -> None:
        await t.system.entity(Other, "old").ask(Job())
        t.system.memory.account("cache", 990)
        with pytest.raises(ActivationRefused, match="near its memory limit"):
            t.system.entity(Other, "new").ask(Job())
        t.system.memory.account("cache", -990)
        assert await t.system.entity(Other, "new").ask(Job()) == "new"

    testkit.run(test, settings=Settings(memory_limit=1000))


class Other(Actor, passivate=100.0):
    def __init__(self, key: str) -> None:
        self.key = key

    @on
    def job(self, m: Job) -> str:
        return self.key


def test_a_budget_of_the_whole_system_counts_all_classes() -> None:
    async def test(t: TestSystem) -> None:
        for n in range(3):
            await t.system.entity(Unit, f"u{n}").ask(Job())
            await t.advance(1)
            await t.system.entity(Other, f"o{n}").ask(Job())
            await t.advance(1)
        assert t.system.statistics()["entities"] == 4
        assert not t.system.entity(Unit, "u0").active
        assert not t.system.entity(Other, "o0").active

    testkit.run(test, settings=Settings(max_live=4))


class SlowEnd(Actor):
    log: list[str]

    def __init__(self, key: str, log: list[str] | None = None) -> None:
        self.number = len(LOG)

    async def started(self) -> None:
        LOG.append("started")

    async def stopping(self, reason: str) -> None:
        await asyncio.sleep(2.0)
        LOG.append("stopped")

    @on
    def job(self, m: Job) -> None:
        LOG.append(f"job {m.n}")


LOG: list[str] = []


def test_PS_4_a_new_activation_waits_until_the_old_one_has_stopped() -> None:
    LOG.clear()

    async def test(t: TestSystem) -> None:
        ref = t.system.entity(SlowEnd, "a")
        ref.tell(Job(1))
        await t.run_until_idle()
        ending = asyncio.ensure_future(ref.stop())
        await t.run_until_idle()
        ref.tell(Job(2))  # the old one is in `stopping`: this one makes the new one
        ref.tell(Job(3))
        await t.advance(1.0)
        assert LOG == ["started", "job 1"]
        await ending
        await t.run_until_idle()
        assert LOG == ["started", "job 1", "stopped", "started", "job 2", "job 3"]
        assert t.system.statistics()["entities"] == 1

    testkit.run(test)


class Count(msgspec.Struct, frozen=True):
    n: int = 0


class Counter1(Durable, max_live=300):
    State = Count

    @on
    def add(self, m: Job) -> int:
        self.state = Count(self.state.n + 1)
        return self.state.n


@pytest.mark.parametrize("keys", [600, pytest.param(10_000, marks=pytest.mark.slow)])
def test_PS_4_many_keys_with_random_kills_are_one_history_each(keys: int) -> None:
    """The replies of a counter are linearisable: they grow, by 1 and by what has no known end."""
    rounds = 2
    policy = OneForOne(max_restarts=None, backoff=(0.0, 0.0))

    async def test(t: TestSystem) -> None:
        rng = random.Random(11)
        replies: dict[int, list[int]] = defaultdict(list)
        unknown: Counter[int] = Counter()
        kills = 0

        async def add(key: int) -> None:
            try:
                replies[key].append(await t.system.entity(Counter1, f"k{key}").ask(Job(), 60.0))
            except ActiniumError:
                unknown[key] += 1  # it may have counted, or not

        for _ in range(rounds):
            order = rng.sample(range(keys), keys)
            for start in range(0, keys, 200):
                asks = [asyncio.ensure_future(add(key)) for key in order[start : start + 200]]
                await asyncio.sleep(0)
                for key in rng.sample(order[start : start + 200], 20):
                    cell = t.system.entity(Counter1, f"k{key}").cell
                    if cell is not None:
                        cell.kill()
                        kills += 1
                        asks.append(asyncio.ensure_future(add(key)))
                await asyncio.gather(*asks)
        assert kills > keys / 10 and sum(unknown.values()) > keys / 20, "too little happened"
        assert t.system.statistics()["passivations"] > keys / 2
        for key in range(keys):
            last = await t.system.entity(Counter1, f"k{key}").ask(Job(), 60.0)
            got = [*replies[key], last]
            assert sorted(set(got)) == sorted(got), f"PS-4: a count came twice: {got}"
            assert len(got) <= last <= len(got) + unknown[key], f"PS-4: {got}, {unknown[key]}"

    testkit.run(test, store=MemoryStore(), settings=Settings(supervise=policy))


@pytest.mark.parametrize("key", ["", "x" * 513, "\ud800", 7, None, b"x"])
def test_keys_that_are_no_keys_are_refused(key: Any) -> None:
    async def test(t: TestSystem) -> None:
        with pytest.raises(UsageError, match="an entity's key is text of 1-512 bytes in UTF-8"):
            t.system.entity(Unit, key)

    testkit.run(test)


def test_an_entity_belongs_to_its_loop_and_its_class_is_an_actor() -> None:
    async def test(t: TestSystem) -> None:
        ref = t.system.entity(Unit, "a")
        with pytest.raises(UsageError, match="used from another thread"):
            await asyncio.to_thread(ref.tell, Job())
        with pytest.raises(UsageError, match=r"entity\(\) takes an actor class"):
            t.system.entity(int, "a")  # type: ignore[type-var]
        with pytest.raises(UsageError, match="max_live must be 1 or more entities, got 0"):

            class Wrong(Actor, max_live=0):
                pass

    testkit.run(test, outside=True)


def test_an_entity_shows_its_key_in_paths_and_letters_lead_back_to_it() -> None:
    class Failing(Actor):
        def __init__(self, key: str) -> None:
            pass

        @on
        def job(self, m: Job) -> None:
            if m.n < 3:
                raise ValueError

    async def test(t: TestSystem) -> None:
        ref = t.system.entity(Failing, "a/b")
        probe = t.probe()
        probe.ref.tell(ref)
        assert await probe.expect(EntityRef) == ref, "an entity ref may be sent"
        ref.tell(Job(1))
        await t.run_until_idle()
        cell = ref.cell
        assert cell is not None and cell.path == ref.path
        assert ref.path.endswith("Failing/a/b")
        await ref.stop()
        (letter,) = t.system.dead_letters
        assert letter.target == ref and letter.path == ref.path
        await t.system.dead_letters.replay()
        await t.run_until_idle()
        (letter,) = t.system.dead_letters
        assert letter.attempt == 1, "it reached the new activation, and failed again"

    testkit.run(test)
