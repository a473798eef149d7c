"""A system whose clock, loop and schedule are in the test's hands."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Self, TypeVar

from actinium.core import Actor, LocalRef, Report, Settings, System
from actinium.errors import UsageError
from actinium.store import Store

from .events import Events
from .expect import Expectations, Logs
from .failure import ExpectationFailed
from .faults import Faults
from .loop import VirtualLoop
from .probe import Probe
from .schedule import schedule_of
from .stores import WatchedStore
from .watch import Watch

A = TypeVar("A", bound=Actor)

MOST_STEPS = 100_000
"""Messages after which a system counts as one that never comes to rest."""


class TestSystem(Expectations):
    """An actor system in virtual time, for the body of one test.

    Nothing happens between two lines of the test unless it says so: ``step`` handles one message,
    ``run_until_idle`` all that can be handled now, ``advance`` moves the clock. While the test
    awaits something (an ask, a probe) the system runs by itself, and the clock jumps as soon as
    nothing else can happen. Which ready actor comes next is drawn from ``seed``; the same seed
    gives the same ``events``, byte for byte (TK-1). Works only on a VirtualLoop: see
    ``testkit.run``.

    ``schedule`` is "random", "arrival" (first come, first served), "interleave" (random, and
    actors may come before the event loop), "preempt" (few preemptions) or the decisions that a
    failed run has printed. With ``trace`` each message that enters a handler is one of the
    ``events``. ``store`` may work in threads of its own if the loop allows the world outside.
    """

    __test__ = False  # not a test class to pytest

    def __init__(
        self,
        seed: int = 7,
        store: Store | None = None,
        settings: Settings | None = None,
        *,
        schedule: str = "random",
        trace: bool = False,
    ) -> None:
        super().__init__()
        if not 1 <= seed < 2**63:
            raise UsageError(f"a seed is a whole number from 1 to 2**63 - 1, got {seed!r}")
        self.seed = seed
        self._store = store
        self._settings = settings
        self._trace = trace
        self.schedule = schedule_of(schedule, seed)

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        if not isinstance(loop, VirtualLoop):
            raise UsageError(
                "a TestSystem needs virtual time; write testkit.run(test) with "
                "`async def test(t): ...`, or run on a testkit.VirtualLoop"
            )
        self.loop = loop
        self.events = Events(loop.time)
        self.faults = Faults(self.seed, decide=self.schedule.fault, log=self.events.add)
        store = self._store
        self.system = System(
            "test",
            settings=self._settings,
            store=WatchedStore(store, loop, self.faults) if store is not None else None,
            _core_options={
                "manual": True,
                "seed": self.seed,
                "virtual_ns": round(loop.time() * 1e9),
            },
        )
        await self.system.start()
        self._core = core = self.system._running()
        self._watch = Watch(
            self.system,
            self.faults,
            self.events,
            choose=lambda n: self.schedule.choose(n, core.ready_uids),
            trace=self._trace,
        )
        self._logs = Logs()
        self._logs.open()
        ahead = (lambda n: self.schedule.ahead(n, core.ready_uids)) if self.schedule.loop else None
        loop.drive(core, ahead)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.faults.disarm()
        self._watch.release()
        try:
            await self.system.__aexit__(exc_type, exc, tb)
        finally:
            self.loop.release(self._core)
            self._logs.close()
            self._watch.let_go()

    # -- use

    def spawn(self, cls: type[A], *args: Any, **kwargs: Any) -> LocalRef[A]:
        """Starts an actor below ``/user``; see ``System.spawn``."""
        return self.system.spawn(cls, *args, **kwargs)

    def probe(self, name: str | None = None) -> Probe:
        """A new stand-in actor."""
        return Probe(self, name)

    def now(self) -> float:
        """Virtual seconds."""
        return self.loop.time()

    async def shutdown(self, *, drain_timeout: float | None = None) -> Report:
        """See ``System.shutdown``; the end of ``async with`` does it otherwise.

        What a fault has delayed arrives first.
        """
        self._watch.release()
        return await self.system.shutdown(drain_timeout=drain_timeout)

    # -- the schedule

    def step(self, messages: int = 1) -> int:
        """Handles up to so many messages; returns how many actors are still ready to run.

        Only actors run: what a handler awaits of the event loop comes with the next ``await``.
        """
        ready = self._core.step(min(messages, 1))
        for _ in range(messages - 1):
            if not ready:
                break
            ready = self._core.step(1)
        return ready

    def run(self, actor: LocalRef[Any], messages: int = MOST_STEPS) -> int:
        """Handles what waits for one actor, and nothing else; returns how many turns it took."""
        turns = 0
        self.schedule.only = actor.uid
        try:
            while turns < messages and actor.uid in self._core.ready_uids():
                self._core.step(1)
                turns += 1
        finally:
            self.schedule.only = None
        return turns

    async def drain(self, messages: int) -> bool:
        """Runs until nothing can happen, for so many messages at most; whether it got there."""
        return await self.loop.quiet(messages)

    async def run_until_idle(self) -> None:
        """Runs until nothing can happen unless the clock moves on.

        Raises ExpectationFailed when a hundred thousand messages did not bring it to rest.
        """
        if not await self.loop.quiet(MOST_STEPS):
            raise ExpectationFailed(f"the actors did not come to rest in {MOST_STEPS} messages")

    async def advance(self, seconds: float) -> None:
        """Moves the clock, firing what is due on the way in its order, then runs until idle."""
        if seconds < 0:
            raise UsageError(f"time goes forward: advance() needs 0 or more seconds, got {seconds}")
        await asyncio.sleep(seconds)
        await self.run_until_idle()
