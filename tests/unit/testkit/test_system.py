"""The schedule in the test's hands."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from actinium import testkit
from actinium.core import Actor, Durable, Message, Settings, on
from actinium.errors import SystemFailed, UsageError
from actinium.store import MemoryStore, SqliteStore
from actinium.testkit import TestSystem


class Ping(Message):
    n: int = 0


class Wait(Message):
    seconds: float


class Worker(Actor):
    def __init__(self) -> None:
        self.seen: list[int] = []

    @on
    def ping(self, m: Ping) -> int:
        self.seen.append(m.n)
        return len(self.seen)

    @on
    async def wait(self, m: Wait) -> float:
        await asyncio.sleep(m.seconds)
        return self.ctx.system.now()


class Endless(Actor):
    @on
    def ping(self, m: Ping) -> None:
        self.ctx.self_ref.tell(m)


class Total(msgspec.Struct, frozen=True):
    n: int = 0


class Account(Durable):
    State = Total

    @on
    def add(self, m: Ping) -> int:
        self.state = Total(self.state.n + m.n)
        return self.state.n


def test_nothing_happens_until_the_test_says_so() -> None:
    async def test(t: TestSystem) -> None:
        worker = t.spawn(Worker)
        for n in range(3):
            worker.tell(Ping(n))
        assert worker.instance.seen == []
        t.step()
        assert worker.instance.seen == [0]
        await t.run_until_idle()
        assert worker.instance.seen == [0, 1, 2]
        assert t.step() == 0

    testkit.run(test)


def test_an_awaited_ask_runs_the_system_and_the_clock() -> None:
    async def test(t: TestSystem) -> None:
        assert await t.spawn(Worker).ask(Wait(60.0), 100) == 60.0
        assert t.now() == 60.0

    testkit.run(test)


def test_advance_stops_at_its_time_and_runs_what_is_due_then() -> None:
    async def test(t: TestSystem) -> None:
        worker = t.spawn(Worker)
        ctx = worker.instance.ctx
        for due in (1.0, 2.0, 3.0, 3.001):
            ctx.schedule(due, Ping(int(due * 1000)))
        await t.advance(2.0)
        assert (t.now(), worker.instance.seen) == (2.0, [1000, 2000])
        await t.advance(1.0)
        assert (t.now(), worker.instance.seen) == (3.0, [1000, 2000, 3000])

    testkit.run(test)


def test_run_until_idle_leaves_the_clock_alone() -> None:
    async def test(t: TestSystem) -> None:
        reply = t.spawn(Worker).ask(Wait(1.0))
        await t.run_until_idle()
        assert t.now() == 0.0
        assert not reply.done()
        assert await reply == 1.0

    testkit.run(test)


def test_a_system_that_never_rests_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actinium.testkit.system.MOST_STEPS", 1000)

    async def test(t: TestSystem) -> None:
        endless = t.spawn(Endless)
        endless.tell(Ping())
        with pytest.raises(testkit.ExpectationFailed, match="did not come to rest in 1000"):
            await t.run_until_idle()
        endless.stop()

    testkit.run(test)


def test_TK_1_same_seed_same_events_and_other_seeds_other_schedules() -> None:
    async def test(t: TestSystem) -> str:
        probe = t.probe("p")
        for n in range(20):
            t.spawn(Forwarder, probe.ref).tell(Ping(n))
        await t.advance(1.0)
        return t.events.text()

    logs = {seed: testkit.run(test, seed=seed) for seed in range(1, 11)}
    for seed, log in logs.items():
        assert testkit.run(test, seed=seed) == log, f"TK-1: seed {seed}"
    assert len(set(logs.values())) > 5
    assert all(len(log.splitlines()) == 40 for log in logs.values())


class Forwarder(Actor):
    def __init__(self, to: object) -> None:
        self.to = to

    @on
    async def ping(self, m: Ping) -> None:
        self.to.tell(m)  # type: ignore[attr-defined]
        await asyncio.sleep(m.n * 0.01)
        self.to.tell(m)  # type: ignore[attr-defined]


def test_explore_names_the_failing_seed() -> None:
    async def test(t: TestSystem) -> None:
        probe = t.probe()
        for n in range(2):
            t.spawn(Forwarder, probe.ref).tell(Ping(n))
        assert [m.n for m in await probe.expect_all(Ping, Ping)] == [0, 1]

    with pytest.raises(AssertionError) as failure:
        testkit.explore(test, seeds=range(1, 50))
    assert "seed=" in failure.value.__notes__[0]


def test_a_failure_of_the_root_fails_the_test() -> None:
    class Fails(Actor):
        @on
        def ping(self, m: Ping) -> None:
            raise MemoryError

    async def test(t: TestSystem) -> None:
        t.spawn(Fails).tell(Ping())
        await t.run_until_idle()

    with pytest.raises(SystemFailed):
        testkit.run(test)


def test_the_shutdown_runs_in_virtual_time() -> None:
    async def test(t: TestSystem) -> None:
        t.spawn(Worker).tell(Wait(1e9))
        await t.run_until_idle()
        report = await t.shutdown()
        assert (report.forced, report.lost) == (1, 0)
        assert 30 <= t.now() < 40

    testkit.run(test, settings=Settings(drain_timeout=30.0))


def test_stores_in_memory_and_in_a_thread() -> None:
    async def test(t: TestSystem) -> int:
        account = t.system.entity(Account, "a")
        await account.ask(Ping(2))
        await account.stop()
        total: int = await account.ask(Ping(3))
        assert t.now() == 0.0
        return total

    assert testkit.run(test, store=MemoryStore()) == 5


def test_a_store_with_a_thread_needs_the_outside(tmp_path: object) -> None:
    async def test(t: TestSystem) -> int:
        account = t.system.entity(Account, "a")
        total: int = await account.ask(Ping(2))
        assert t.now() == 0.0
        return total

    store = SqliteStore(f"{tmp_path}/state.db")
    try:
        with pytest.raises(UsageError, match="a SqliteStore works in a thread of its own"):
            testkit.run(test, store=store)
        assert testkit.run(test, store=store, outside=True) == 2
    finally:
        asyncio.run(store.close())


@pytest.mark.parametrize("seed", [0, -1, 2**63])
def test_seeds_out_of_range_are_refused(seed: int) -> None:
    with pytest.raises(UsageError, match="a seed is a whole number from 1"):
        TestSystem(seed)


def test_a_real_loop_is_refused() -> None:
    async def main() -> None:
        async with TestSystem():
            pass

    with pytest.raises(UsageError, match=r"testkit\.run\(test\)"):
        asyncio.run(main())


def test_time_does_not_go_back() -> None:
    async def test(t: TestSystem) -> None:
        with pytest.raises(UsageError, match="time goes forward"):
            await t.advance(-1)

    testkit.run(test)


def test_dead_letters_are_expected_one_by_one() -> None:
    async def test(t: TestSystem) -> None:
        worker = t.spawn(Worker)
        worker.tell("no handler")
        worker.tell(b"none either")
        assert (await t.expect_dead_letter("unhandled")).message == "no handler"
        assert (await t.expect_dead_letter("unhandled")).message == b"none either"
        with pytest.raises(testkit.ExpectationFailed) as failure:
            await t.expect_dead_letter("mailbox_full", within=2.0)
        assert str(failure.value) == (
            "expected a dead letter (mailbox_full) within 2 s\n"
            "dead letters, in order:\n"
            f"  1. unhandled: 'no handler' for {worker.path}\n"
            f"  2. unhandled: b'none either' for {worker.path}"
        )

    testkit.run(test)


def test_no_dead_letters_reads_so() -> None:
    async def test(t: TestSystem) -> None:
        with pytest.raises(testkit.ExpectationFailed, match="within 1 s\nthere are none"):
            await t.expect_dead_letter()

    testkit.run(test)
