"""Running a test in virtual time, once or over many schedules."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from typing import Any, TypeVar

from actinium.core import Settings
from actinium.store import Store

from .loop import VirtualLoop
from .system import TestSystem

T = TypeVar("T")

Body = Callable[[TestSystem], Coroutine[Any, Any, T]]


def run(
    test: Body[T],
    *,
    seed: int = 7,
    store: Store | None = None,
    settings: Settings | None = None,
    outside: bool = False,
) -> T:
    """Runs ``test(t)`` with a started TestSystem ``t``; returns what it returns.

    ``outside=True`` lets the test use threads and sockets, which then wait in real time.

    >>> async def test(t: TestSystem) -> None:
    ...     probe = t.probe()
    ...     t.spawn(Greeter).tell(Hello(probe.ref))
    ...     await probe.expect(Greeting)
    >>> testkit.run(test)
    """

    async def body() -> T:
        async with TestSystem(seed, store, settings) as t:
            return await test(t)

    with asyncio.Runner(loop_factory=partial(VirtualLoop, outside=outside)) as runner:
        return runner.run(body())


def explore(
    test: Body[Any], *, seeds: Iterable[int] = range(1, 201), settings: Settings | None = None
) -> None:
    """Runs a test over many schedules; the error of the first that fails names its seed."""
    for seed in seeds:
        try:
            run(test, seed=seed, settings=settings)
        except BaseException as e:
            e.add_note(f"with this schedule: testkit.run({test.__qualname__}, seed={seed})")
            raise
