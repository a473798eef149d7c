"""Running a test in virtual time, once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

from actinium.core import Settings
from actinium.store import Store

from .loop import VirtualLoop
from .seeds import SEED, schedule_asked_for, seed_asked_for
from .system import TestSystem

T = TypeVar("T")

Body = Callable[[TestSystem], Coroutine[Any, Any, T]]


def run(
    test: Body[T],
    *,
    seed: int | None = None,
    schedule: str | None = None,
    store: Store | None = None,
    settings: Settings | None = None,
    outside: bool = False,
    trace: bool = False,
) -> T:
    """Runs ``test(t)`` with a started TestSystem ``t``; returns what it returns.

    ``seed`` is that of ``AC_SEED`` or 7 unless given; ``schedule`` that of ``AC_SCHEDULE`` or
    "random"; see TestSystem. Python's own ``random`` begins with the seed too, and goes on after
    the test where it was. ``outside=True`` lets the test use threads and sockets, which then
    wait in real time.

    >>> async def test(t: TestSystem) -> None:
    ...     probe = t.probe()
    ...     t.spawn(Greeter).tell(Hello(probe.ref))
    ...     await probe.expect(Greeting)
    >>> testkit.run(test)
    """
    seed = seed or seed_asked_for() or SEED
    schedule = schedule or schedule_asked_for() or "random"
    kit = TestSystem(seed, store, settings, schedule=schedule, trace=trace)
    return run_in(kit, test, outside=outside)


def run_in(kit: TestSystem, test: Body[T], *, outside: bool = False) -> T:
    """Runs ``test(kit)`` on a loop of its own, the kit started around it."""

    async def body() -> T:
        async with kit as t:
            return await test(t)

    with random_from(kit.seed), virtual_runner(outside) as runner:
        return runner.run(body())


def virtual_runner(outside: bool) -> asyncio.Runner:
    """An asyncio runner in virtual time."""
    return asyncio.Runner(loop_factory=partial(VirtualLoop, outside=outside))


@contextmanager
def random_from(seed: int) -> Iterator[None]:
    """Inside the block, the module ``random`` draws from a seed; after it, as before."""
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)
