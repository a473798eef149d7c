"""A system whose clock, loop and schedule are in the test's hands."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, TypeVar

from actinium.core import Actor, DeadLetter, LocalRef, Report, Settings, System
from actinium.errors import UsageError
from actinium.store import MemoryStore, Store

from .events import Events
from .failure import ExpectationFailed
from .loop import VirtualLoop
from .outside import OutsideStore
from .probe import Probe

A = TypeVar("A", bound=Actor)

MOST_STEPS = 100_000
"""Messages after which a system counts as one that never comes to rest."""


class TestSystem:
    """An actor system in virtual time, for the body of one test.

    Nothing happens between two lines of the test unless it says so: ``step`` handles one message,
    ``run_until_idle`` all that can be handled now, ``advance`` moves the clock. While the test
    awaits something (an ask, a probe) the system runs by itself, and the clock jumps as soon as
    nothing else can happen. Which ready actor comes next is drawn from ``seed``; the same seed
    gives the same ``events``, byte for byte. Works only on a VirtualLoop: see ``testkit.run``.

    ``store`` may work in threads of its own if the loop allows the world outside.
    """

    __test__ = False  # not a test class to pytest

    def __init__(
        self, seed: int = 7, store: Store | None = None, settings: Settings | None = None
    ) -> None:
        if not 1 <= seed < 2**63:
            raise UsageError(f"a seed is a whole number from 1 to 2**63 - 1, got {seed!r}")
        self.seed = seed
        self._store = store
        self._settings = settings
        self._letters_read = 0

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        if not isinstance(loop, VirtualLoop):
            raise UsageError(
                "a TestSystem needs virtual time; write testkit.run(test) with "
                "`async def test(t): ...`, or run on a testkit.VirtualLoop"
            )
        self.loop = loop
        self.events = Events(loop.time)
        self.system = System(
            "test",
            settings=self._settings,
            store=self._reachable(loop),
            _core_options={
                "manual": True,
                "seed": self.seed,
                "virtual_ns": round(loop.time() * 1e9),
            },
        )
        await self.system.start()
        self._core = self.system._running()
        loop.drive(self._core)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        try:
            await self.system.__aexit__(exc_type, exc, tb)
        finally:
            self.loop.release(self._core)

    def _reachable(self, loop: VirtualLoop) -> Store | None:
        store = self._store
        if store is None or isinstance(store, MemoryStore):
            return store
        loop.refuse_outside(f"a {type(store).__name__} works in a thread of its own")
        return OutsideStore(store, loop)

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
        """See ``System.shutdown``; the end of ``async with`` does it otherwise."""
        return await self.system.shutdown(drain_timeout=drain_timeout)

    # -- the schedule

    def step(self, messages: int = 1) -> int:
        """Handles up to so many messages; returns how many actors are still ready to run."""
        return self._core.step(messages)

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

    # -- dead letters

    async def expect_dead_letter(
        self,
        reason: str | None = None,
        where: Callable[[DeadLetter], bool] | None = None,
        within: float = 1.0,
    ) -> DeadLetter:
        """The first dead letter not yet expected of this reason (and meeting ``where``)."""

        def find() -> DeadLetter | None:
            for letter in self.system.dead_letters.find(reason=reason):
                if letter.id > self._letters_read and (where is None or where(letter)):
                    return letter
            return None

        await self.loop.until(lambda: find() is not None, within)
        letter = find()
        if letter is None:
            raise ExpectationFailed(
                f"expected a dead letter{f' ({reason})' if reason else ''} within {within:g} s\n"
                + self._letters()
            )
        self._letters_read = letter.id
        return letter

    def _letters(self) -> str:
        lines = [
            f"  {x.id}. {x.reason}: {x.message!r} for {x.path}" for x in self.system.dead_letters
        ]
        return "\n".join(["dead letters, in order:", *lines]) if lines else "there are none"
