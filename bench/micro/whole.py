"""Workloads about a system as a whole: many actors, and the latency a caller sees."""

from __future__ import annotations

import asyncio
import gc
import time

import actinium as ac
from bench.workload import Clock, Figures, open_loop

POPULATIONS = (1_000, 10_000, 100_000, 1_000_000)
"""Numbers of actors between which the cost of a message should not change."""


class Tally(ac.Actor):
    __slots__ = ("n",)

    def __init__(self) -> None:
        self.n = 0

    @ac.on
    def add(self, m: int) -> None:
        self.n += m


class Echo(ac.Actor, mailbox=ac.Unbounded()):
    __slots__ = ()

    @ac.on
    def echo(self, m: int) -> int:
        return m


async def population(n: int, clock: Clock) -> Figures:
    """``n`` messages to each population, one to every actor in turn; nanoseconds a message."""
    figures: Figures = {}
    async with ac.System() as system:
        refs: list[ac.LocalRef[Tally]] = []
        for size in POPULATIONS:
            refs += [system.spawn(Tally) for _ in range(size - len(refs))]
            await system.idle()
            gc.collect()
            gc.freeze()
            passes = max(1, n // size)
            clock.start()
            for _ in range(passes):
                for ref in refs:
                    ref.tell(1)
                await system.idle()
            clock.stop()
            figures[f"ns_at_{size}"] = round(clock.seconds / (passes * size) * 1e9, 1)
    least, most = figures[f"ns_at_{POPULATIONS[0]}"], figures[f"ns_at_{POPULATIONS[-1]}"]
    return {**figures, "times_ideal": round(most / least, 3)}


async def half_load(n: int, clock: Clock) -> Figures:
    """Latency of asks sent on a schedule at half the rate that this very caller can reach."""
    async with ac.System() as system:
        echo = system.spawn(Echo)
        began = time.perf_counter()
        for _ in range(n // 500):
            await asyncio.gather(*[echo.ask(i) for i in range(500)])
        rate = n / (time.perf_counter() - began) / 2
        return await open_loop(
            n, rate, clock, lambda i, arrived: echo.ask(i).add_done_callback(arrived)
        )
