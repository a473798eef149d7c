"""``python -m bench.micro.workers``: worker processes, each free to use a core of its own.

Not one of the pinned scenarios: here more than one process is the point. Rounds are interleaved
(one worker, two workers, one worker, ...), so that what else the machine does meets both.

cpu       handlers that only compute: two actors on one worker against one on each of two;
          ``floor`` is two plain processes against one
one_way   an actor on one worker floods one on the other; counted where they are handled
round     an actor on one worker asks one on the other, one ask at a time
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import statistics
import time
from collections.abc import Awaitable, Callable

import actinium as ac
from bench import machine
from bench.harness import say

CHUNK = 1000
"""Messages a sender hands over at a time."""


class Work(ac.Message):
    rounds: int


class Flood(ac.Message):
    to: ac.Ref
    n: int


class Ping(ac.Message):
    to: ac.Ref
    n: int


class One(ac.Message):
    n: int


class Count(ac.Message):
    pass


def compute(rounds: int) -> int:
    """About 0.1 ms a round."""
    total = 0
    for _ in range(rounds):
        for i in range(1000):
            total += i * i
    return total


class Computer(ac.Actor, mailbox=ac.Unbounded()):
    @ac.on
    def work(self, m: Work) -> int:
        return compute(m.rounds)


class Counter(ac.Actor, mailbox=ac.Unbounded()):
    def __init__(self) -> None:
        self.n = 0

    @ac.on
    def one(self, m: One) -> None:
        self.n += 1

    @ac.on
    def count(self, m: Count) -> int:
        return self.n

    @ac.on
    def ping(self, m: int) -> int:
        return m


class Driver(ac.Actor):
    @ac.on
    async def flood(self, m: Flood) -> None:
        """Stays at most two chunks ahead: a link takes no more than its credits."""
        before = m.to.ask(Count(), 30.0)
        for _ in range(0, m.n, CHUNK):
            if m.to.tell_many([One(i) for i in range(CHUNK)]) != CHUNK:
                raise RuntimeError("the link refused messages")
            behind = m.to.ask(Count(), 30.0)
            await before
            before = behind
        await before

    @ac.on
    async def ping(self, m: Ping) -> float:
        began = time.perf_counter()
        for i in range(m.n):
            await m.to.ask(i, 30.0)
        return time.perf_counter() - began


async def cpu(workers: int, n: int) -> float:
    """Seconds for ``n`` pieces of work over two actors."""
    async with ac.System(workers=workers) as system:
        actors = [system.spawn(Computer, place=1 + i % workers) for i in range(2)]
        await asyncio.gather(*[a.ask(Work(1), 30.0) for a in actors])
        began = time.perf_counter()
        await asyncio.gather(*[actors[i % 2].ask(Work(20), 120.0) for i in range(n)])
        return time.perf_counter() - began


async def one_way(n: int) -> float:
    """Messages a second from an actor on one worker to one on the other."""
    async with ac.System(workers=2) as system:
        counter, driver = system.spawn(Counter, place=1), system.spawn(Driver, place=2)
        assert await counter.ask(Count(), 30.0) == 0
        await driver.ask(Flood(counter, CHUNK), 30.0)
        began = time.perf_counter()
        await driver.ask(Flood(counter, n // CHUNK * CHUNK), 120.0)
        return n / (time.perf_counter() - began)


async def round_trip(n: int) -> float:
    """Microseconds of one ask between workers."""
    async with ac.System(workers=2) as system:
        counter, driver = system.spawn(Counter, place=1), system.spawn(Driver, place=2)
        await driver.ask(Ping(counter, 100), 60.0)
        return float(await driver.ask(Ping(counter, n), 60.0)) / n * 1e6


def plain(processes: int, n: int) -> float:
    """The floor of ``cpu``: as many bare processes, each with its share."""
    shares = [n // processes * 20] * processes
    pool = [multiprocessing.get_context("fork").Process(target=compute, args=(s,)) for s in shares]
    began = time.perf_counter()
    for process in pool:
        process.start()
    for process in pool:
        process.join()
    return time.perf_counter() - began


def spread(name: str, unit: str, values: list[float]) -> None:
    middle = statistics.median(values)
    say(f"| {name} | {middle:.3g} {unit} | {min(values):.3g} - {max(values):.3g} |")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench.micro.workers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--n", type=int, default=200_000, help="messages of one_way")
    arguments = parser.parse_args()
    say(machine.shown(machine.record()))
    say(f"load: {os.getloadavg()[0]:.2f}\n\n| what | median | min - max |\n|---|---:|---:|")

    def each(run: Callable[[], Awaitable[float]]) -> list[float]:
        return [asyncio.run(run()) for _ in range(arguments.rounds)]  # type: ignore[arg-type]

    ratios, floors = [], []
    for _ in range(arguments.rounds):
        floors.append(plain(1, 200) / plain(2, 200))
        ratios.append(asyncio.run(cpu(1, 200)) / asyncio.run(cpu(2, 200)))
    spread("cpu, floor: two processes against one", "x", floors)
    spread("cpu: two workers against one", "x", ratios)
    spread("one_way", "messages/s", each(lambda: one_way(arguments.n)))
    spread("round", "us", each(lambda: round_trip(2000)))
    say(f"\nload at the end: {os.getloadavg()[0]:.2f}")


if __name__ == "__main__":
    main()
