"""The end of a system: phases in order, limits held, nothing lost (LC-3)."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from typing import Any

import pytest

from actinium import testkit
from actinium.core import Actor, Message, PhaseEvent, PhaseLimits, Settings, System, on
from actinium.errors import ActorRestarted, ActorStopped, SystemFailed, UsageError
from actinium.testkit import TestSystem

PHASES = ["ingress", "drain_user", "drain_system", "leave_cluster", "flush"]


class Job(Message):
    n: int


class Hang(Message):
    pass


class Swallow(Message):
    pass


class Worker(Actor):
    def __init__(self) -> None:
        self.done: list[int] = []

    @on
    def job(self, m: Job) -> None:
        self.done.append(m.n)
        if m.n < 0:
            raise SystemExit(-m.n)

    @on
    async def hang(self, m: Hang) -> None:
        await asyncio.get_running_loop().create_future()

    @on
    async def swallow(self, m: Swallow) -> None:
        ended = asyncio.get_running_loop().create_future()
        while True:
            try:
                await asyncio.shield(ended)
            except asyncio.CancelledError:
                if ended.done():
                    raise


def test_LC_3_phases_come_in_order_with_their_hooks() -> None:
    async def test(t: TestSystem) -> None:
        book: list[str] = []
        t.system.events.subscribe(PhaseEvent, lambda e: book.append(e.phase))
        refused: list[bool] = []
        ref = t.spawn(Worker)

        async def slow() -> None:
            refused.append(bool(ref.tell(Job(0))))
            await asyncio.sleep(1.0)
            book.append("hook")

        def fails() -> None:
            raise ValueError

        t.system.on_phase("ingress", slow)
        t.system.on_phase("flush", fails)
        t.system.on_phase("leave_cluster", lambda: asyncio.sleep(100.0), limit=3.0)
        with pytest.raises(UsageError, match="unknown phase"):
            t.system.on_phase("never", fails)  # type: ignore[arg-type]
        report = await t.shutdown()
        assert refused == [True], "ingress hooks run before the first refusal"
        assert list(report.phases) == PHASES
        assert (report.hooks_failed, report.lost, report.forced) == (2, 0, 0)
        assert t.now() == pytest.approx(4.0, abs=0.1)
        with pytest.raises(UsageError, match="too late"):
            t.system.on_phase("ingress", fails)

    testkit.run(test)


@pytest.mark.parametrize("policy", ["drain", "drop"])
def test_LC_3_policies(policy: Any) -> None:
    async def test(t: TestSystem) -> None:
        refs = [t.spawn(Worker) for _ in range(5)]
        for n in range(20):
            refs[n % 5].tell(Job(n))
        report = await t.system.shutdown(policy=policy)
        assert (report.lost, report.accepted) == (0, 20)
        assert report.handled + report.dead_lettered == 20
        assert (report.handled == 20) == (policy == "drain")
        with pytest.raises(UsageError, match="unknown policy"):
            await t.system.shutdown(policy="snapshot")  # type: ignore[arg-type]

    testkit.run(test)


def test_LC_3_a_hung_handler_ends_within_the_sum_of_limits() -> None:
    async def test(t: TestSystem) -> None:
        ref = t.spawn(Worker)
        asked = ref.ask(Hang(), 1e6)
        for n in range(5):
            ref.tell(Job(n))
        await t.run_until_idle()
        report = await t.shutdown()
        assert t.now() <= 3.0 + 1.0
        assert (report.forced, report.lost) == (1, 0)
        assert len(t.system.dead_letters.find(reason="drain_timeout")) == 5
        with pytest.raises(ActorStopped):
            await asked

    testkit.run(test, settings=Settings(drain_timeout=3.0))


def test_LC_3_force_ends_at_once_and_all_callers_get_one_report() -> None:
    async def test(t: TestSystem) -> None:
        t.spawn(Worker).tell(Hang())
        waiting = asyncio.create_task(t.system.ended())
        first = asyncio.create_task(t.system.shutdown())
        await asyncio.sleep(1.0)
        assert t.system.phase == "drain_user"
        report = await t.system.shutdown(force=True)
        assert await first is report
        assert await waiting is report
        assert t.now() < 3.5

    testkit.run(test, settings=Settings(phase_limits=PhaseLimits(flush=0.5)))


def test_SystemExit_in_a_handler_is_an_orderly_end() -> None:
    async def main() -> None:
        async with System() as system:
            ref = system.spawn(Worker)
            for n in (1, -3, 2):
                ref.tell(Job(n))
            report = await system.ended()
            assert ref.instance is None
            assert (report.handled, report.lost) == (2, 0), "what waited was handled"

    with pytest.raises(SystemExit) as error:
        asyncio.run(main())
    assert error.value.code == 3


def test_signals_begin_and_then_force_the_end_and_are_given_back() -> None:
    async def main() -> None:
        before = signal.getsignal(signal.SIGTERM)
        async with System(handle_signals=True) as system:
            system.spawn(Worker).tell(Hang())
            await asyncio.sleep(0)
            os.kill(os.getpid(), signal.SIGTERM)
            draining = asyncio.Event()
            system.events.subscribe(
                PhaseEvent, lambda e: draining.set() if e.phase == "drain_user" else None
            )
            await draining.wait()
            os.kill(os.getpid(), signal.SIGINT)
            report = await system.ended()
            assert (report.cause, report.forced, report.lost) == ("SIGTERM", 1, 0)
        assert signal.getsignal(signal.SIGTERM) is before

    asyncio.run(main())


def test_signals_belong_to_the_main_thread() -> None:
    outcomes: list[BaseException] = []

    async def main() -> None:
        async with System(handle_signals=True):
            pass

    def run() -> None:
        try:
            asyncio.run(main())
        except UsageError as error:
            outcomes.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert "main thread" in str(outcomes[0])


@pytest.mark.parametrize("how", ["kill", "restart"])
def test_a_handler_that_swallows_its_cancellation_is_abandoned(how: str) -> None:
    async def test(t: TestSystem) -> None:
        class Two(Worker, concurrent=2):
            pass

        ref = t.spawn(Two)
        asked = ref.ask(Swallow(), 1e6)
        await t.run_until_idle()
        if how == "kill":
            ref.kill()
        else:
            ref.tell(Job(0))
            t.system._life.supervisor.decide(ref, ValueError("fails"))
        await t.advance(6.0)
        with pytest.raises((ActorStopped, ActorRestarted)):
            await asked
        assert ref.alive == (how == "restart")
        assert t.system.statistics()["running"] == 0
        assert (await t.shutdown()).lost == 0

    testkit.run(test)


def test_a_failure_that_reaches_the_root_drops_what_waits() -> None:
    from actinium.core import OneForOne

    class Bad(Actor):
        @on
        def job(self, m: Job) -> None:
            raise ValueError

    async def test(t: TestSystem) -> None:
        ref = t.spawn(Bad, supervise=OneForOne(decide={Exception: "escalate"}))
        for n in range(3):
            ref.tell(Job(n))
        report = await t.system.ended()
        assert report.cause == "failed: ValueError: "
        assert (report.dead_lettered, report.lost) == (3, 0)

    with pytest.raises(SystemFailed):
        testkit.run(test)
