"""Rival: Xoscar, every actor in the main pool of one process (direct local references)."""

from __future__ import annotations

import asyncio
import importlib.metadata
import itertools
import sys
from typing import Any

import xoscar

from bench.workload import (
    PAIRS,
    RING,
    WAIT_S,
    WAITS,
    Clock,
    Figures,
    Workload,
    main,
    resident_bytes,
)

_ids = itertools.count()


class Counter(xoscar.Actor):
    def __init__(self) -> None:
        super().__init__()
        self.n = 0

    def add(self, m: int) -> None:
        self.n += 1

    def get(self) -> int:
        return self.n


class Sender(xoscar.Actor):
    def __init__(self, to: Any) -> None:
        super().__init__()
        self.to = to

    async def __post_create__(self) -> None:
        self.to = await xoscar.actor_ref(self.to)  # becomes a direct local reference

    async def flood(self, n: int) -> None:
        tell = self.to.add.tell
        for i in range(n):
            await tell(i)

    async def ask(self, n: int) -> None:
        ask = self.to.echo
        for i in range(n):
            await ask(i)


class Echo(xoscar.Actor):
    def echo(self, m: int) -> int:
        return m


class RingNode(xoscar.Actor):
    async def join(self, ref: Any) -> None:
        self.next = await xoscar.actor_ref(ref)
        self.finished = False

    async def hop(self, k: int) -> None:
        if k:
            await self.next.hop.tell(k - 1)
        else:
            self.finished = True

    def get(self) -> bool:
        return self.finished


class Sleeper(xoscar.Actor):
    async def work(self) -> None:
        await asyncio.sleep(WAIT_S)


class Pool:
    """One pool and the actors in it."""

    async def __aenter__(self) -> Pool:
        self._pool = await xoscar.create_actor_pool("127.0.0.1", n_process=0)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._pool.stop()

    async def make(self, cls: type, *args: Any) -> Any:
        ref = await xoscar.create_actor(
            cls, *args, uid=f"u{next(_ids)}", address=self._pool.external_address
        )
        return await xoscar.actor_ref(ref)


async def _flood(n: int, senders: int, clock: Clock) -> None:
    async with Pool() as pool:
        counter = await pool.make(Counter)
        flooders = [await pool.make(Sender, counter) for _ in range(senders)]
        clock.start()
        await asyncio.gather(*[f.flood(n // senders) for f in flooders])
        while await counter.get() < n // senders * senders:  # noqa: ASYNC110 - its tell has no answer to wait for
            await asyncio.sleep(0.001)
        clock.stop()


async def tell(n: int, clock: Clock) -> None:
    await _flood(n, 1, clock)


async def fanin(n: int, clock: Clock) -> None:
    await _flood(n, PAIRS, clock)


async def _asks(n: int, pairs: int, clock: Clock) -> None:
    async with Pool() as pool:
        askers = [await pool.make(Sender, await pool.make(Echo)) for _ in range(pairs)]
        clock.start()
        await asyncio.gather(*[a.ask(n // pairs) for a in askers])
        clock.stop()


async def ask1(n: int, clock: Clock) -> None:
    await _asks(n, 1, clock)


async def ask1000(n: int, clock: Clock) -> None:
    await _asks(n, PAIRS, clock)


async def ring(n: int, clock: Clock) -> None:
    async with Pool() as pool:
        nodes = [await pool.make(RingNode) for _ in range(RING)]
        for i, node in enumerate(nodes):
            await node.join(nodes[(i + 1) % RING])
        last = nodes[n % RING]
        clock.start()
        await nodes[0].hop(n)
        while not await last.get():  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.001)
        clock.stop()


async def timer(n: int, clock: Clock) -> Figures:
    async with Pool() as pool:
        sleepers = [await pool.make(Sleeper) for _ in range(n)]
        clock.start()
        await asyncio.gather(*[s.work() for s in sleepers for _ in range(WAITS)])
        clock.stop()
    return {"times_ideal": round(clock.seconds / (WAITS * WAIT_S), 3)}


class Bare:
    """The user's own object without an actor around it (Xoscar's classes have a dict)."""

    def __init__(self) -> None:
        self.n = 0


async def spawn(n: int, clock: Clock) -> Figures:
    own = (sys.getsizeof(Bare()) + 15) // 16 * 16
    async with Pool() as pool:
        clock.start()
        before = resident_bytes()
        refs = [await pool.make(Counter) for _ in range(n)]
        await refs[-1].add(1)
        clock.stop()
        grown = resident_bytes() - before
    return {"bytes_beyond_object": round(grown / n - own, 1)}


WORKLOADS: dict[str, Workload] = {
    "tell": tell,
    "fanin": fanin,
    "ring": ring,
    "ask1": ask1,
    "ask1000": ask1000,
    "timer": timer,
    "spawn": spawn,
}

if __name__ == "__main__":
    main(WORKLOADS, importlib.metadata.version("xoscar"))
