"""``python -m bench.micro.shards``: one system on two threads, where there is no GIL.

Needs a free-threaded interpreter (docs/howto/free-threaded.md); elsewhere it says so and ends.
Rounds are interleaved (one shard, two, one, ...), so that what else the machine does meets both.

cpu       handlers that only compute: two actors on one shard against one on each of two;
          ``floor`` is two bare threads against one
uneven    the same, with eight actors that all begin on one shard: two shards against one, with
          actors that move (``Settings.move_us``) and with actors that stay; ``share`` is what the
          second shard has handled of it, which a busy machine does not blur
price     processor time of the same work on two shards against one: what sharing costs in itself,
          however busy the machine is
one_way   an actor on one shard floods one on the other; counted where they are handled
round     an actor on one shard asks one on the other, one ask at a time
"""

from __future__ import annotations

import argparse
import asyncio
import os
import threading
import time
from collections.abc import Awaitable, Callable

import actinium as ac
from actinium.core.sharding import gil_disabled
from bench import machine
from bench.harness import say
from bench.micro.workers import (
    CHUNK,
    Computer,
    Counter,
    Driver,
    Flood,
    Ping,
    Work,
    compute,
    spread,
)


async def cpu(shards: int, n: int) -> tuple[float, float]:
    """Seconds, and seconds of processor time, for ``n`` pieces of work over two actors."""
    async with ac.System(shards=shards) as system:
        options = [{"place": 1 + i % shards} if shards > 1 else {} for i in range(2)]
        actors = [system.spawn(Computer, **option) for option in options]
        await asyncio.gather(*[a.ask(Work(1), 30.0) for a in actors])
        began, used = time.perf_counter(), time.process_time()
        await asyncio.gather(*[actors[i % 2].ask(Work(20), 120.0) for i in range(n)])
        return time.perf_counter() - began, time.process_time() - used


async def uneven(shards: int, move_us: int | None, n: int) -> tuple[float, float]:
    """Seconds for ``n`` pieces of work over eight actors that the system placed on one shard, and
    the percentage that the other one has handled."""
    async with ac.System(shards=shards, settings=ac.Settings(move_us=move_us)) as system:
        actors = [system.spawn(Computer) for _ in range(8 * shards)]
        actors = [one for one in actors if not one.away]
        await asyncio.gather(*[a.ask(Work(1), 30.0) for a in actors])
        began = time.perf_counter()
        await asyncio.gather(*[actors[i % 8].ask(Work(20), 120.0) for i in range(n)])
        seconds = time.perf_counter() - began
        handled = [shard.handled for shard in system.shards()]
        return seconds, 100 * handled[1] / sum(handled) if shards > 1 else 0.0


async def one_way(n: int) -> float:
    """Messages a second from an actor on one shard to one on the other."""
    async with ac.System(shards=2) as system:
        counter, driver = system.spawn(Counter, place=1), system.spawn(Driver, place=2)
        await driver.ask(Flood(counter, CHUNK), 30.0)
        began = time.perf_counter()
        await driver.ask(Flood(counter, n // CHUNK * CHUNK), 120.0)
        return n / (time.perf_counter() - began)


async def round_trip(n: int) -> float:
    """Microseconds of one ask between shards."""
    async with ac.System(shards=2) as system:
        counter, driver = system.spawn(Counter, place=1), system.spawn(Driver, place=2)
        await driver.ask(Ping(counter, 100), 60.0)
        return float(await driver.ask(Ping(counter, n), 60.0)) / n * 1e6


def plain(threads: int, n: int) -> float:
    """The floor of ``cpu``: as many bare threads, each with its share."""
    pool = [threading.Thread(target=compute, args=(n // threads * 20,)) for _ in range(threads)]
    began = time.perf_counter()
    for thread in pool:
        thread.start()
    for thread in pool:
        thread.join()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench.micro.shards",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--n", type=int, default=200_000, help="messages of one_way")
    arguments = parser.parse_args()
    if not gil_disabled():
        parser.exit(2, "this interpreter has a GIL: see docs/howto/free-threaded.md\n")
    say(machine.shown(machine.record()))
    say(f"load: {os.getloadavg()[0]:.2f}\n\n| what | median | min - max |\n|---|---:|---:|")

    def each(run: Callable[[], Awaitable[float]]) -> list[float]:
        return [asyncio.run(run()) for _ in range(arguments.rounds)]  # type: ignore[arg-type]

    ratios, floors, prices, moving, staying, shares = [], [], [], [], [], []
    for _ in range(arguments.rounds):
        floors.append(plain(1, 200) / plain(2, 200))
        one, two = asyncio.run(cpu(1, 200)), asyncio.run(cpu(2, 200))
        ratios.append(one[0] / two[0])
        prices.append(two[1] / one[1])
        alone, _ = asyncio.run(uneven(1, None, 200))
        seconds, share = asyncio.run(uneven(2, 200, 200))
        moving.append(alone / seconds)
        shares.append(share)
        staying.append(alone / asyncio.run(uneven(2, None, 200))[0])
    spread("cpu, floor: two threads against one", "x", floors)
    spread("cpu: two shards against one", "x", ratios)
    spread("uneven: two shards against one, actors that move", "x", moving)
    spread("uneven: two shards against one, actors that stay", "x", staying)
    spread("uneven: share of the second shard, actors that move", "%", shares)
    spread("price: processor time of two shards against one", "x", prices)
    spread("one_way", "messages/s", each(lambda: one_way(arguments.n)))
    spread("round", "us", each(lambda: round_trip(2000)))
    say(f"\nload at the end: {os.getloadavg()[0]:.2f}")


if __name__ == "__main__":
    main()
