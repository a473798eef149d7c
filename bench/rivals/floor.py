"""The floor: the handler's own work in plain Python, without an actor around it.

No actor library can be faster with a Python handler called one message at a time; how near one
comes is what its runtime costs.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import AsyncIterator

from bench.workload import (
    BATCH,
    RING,
    WAIT_S,
    WAITS,
    Clock,
    Figures,
    Workload,
    main,
    open_loop,
    quantiles,
)


class Counter:
    __slots__ = ("n",)

    def __init__(self) -> None:
        self.n = 0

    def add(self, m: int) -> None:
        self.n += 1

    def add_many(self, ms: list[int]) -> None:
        self.n += len(ms)

    async def add_async(self, m: int) -> None:
        self.n += 1

    async def echo(self, m: int) -> int:
        return m

    async def items(self, n: int) -> AsyncIterator[int]:
        for i in range(n):
            yield i


class RingNode:
    __slots__ = ("next",)
    next: RingNode

    def hop(self, k: int) -> int:
        return k - 1


def tell(n: int, clock: Clock) -> None:
    counter = Counter()
    clock.start()
    add = counter.add
    for i in range(n):
        add(i)
    clock.stop()
    assert counter.n == n


def tell_many(n: int, clock: Clock) -> None:
    """Makes the lists and hands them over in slices."""
    counter = Counter()
    clock.start()
    for first in range(0, n, BATCH):
        messages = list(range(first, first + BATCH))
        for start in range(0, BATCH, 64):
            counter.add_many(messages[start : start + 64])
    clock.stop()
    assert counter.n == n // BATCH * BATCH


def ring(n: int, clock: Clock) -> None:
    nodes = [RingNode() for _ in range(RING)]
    for i, node in enumerate(nodes):
        node.next = nodes[(i + 1) % RING]
    node, k = nodes[0], n
    clock.start()
    while k:
        k = node.hop(k)
        node = node.next
    clock.stop()


async def ask1(n: int, clock: Clock) -> None:
    clock.start()
    echo = Counter().echo
    for i in range(n):
        await echo(i)
    clock.stop()


async def tell_async(n: int, clock: Clock) -> None:
    counter = Counter()
    clock.start()
    add = counter.add_async
    for i in range(n):
        await add(i)
    clock.stop()
    assert counter.n == n


async def tell_yield(n: int, clock: Clock) -> None:
    clock.start()
    for _ in range(n):
        await asyncio.sleep(0)
    clock.stop()


async def stream(n: int, clock: Clock) -> None:
    clock.start()
    seen = 0
    async for _ in Counter().items(n):
        seen += 1
    clock.stop()
    assert seen == n


async def timer(n: int, clock: Clock) -> Figures:
    async def wait() -> None:
        for _ in range(WAITS):
            await asyncio.sleep(WAIT_S)

    clock.start()
    await asyncio.gather(*[wait() for _ in range(n)])
    clock.stop()
    return {"times_ideal": round(clock.seconds / (WAITS * WAIT_S), 3)}


def spawn(n: int, clock: Clock) -> Figures:
    objects: list[Counter | None] = [None] * n
    clock.start()
    for i in range(n):
        objects[i] = Counter()
    clock.stop()
    return {"bytes_beyond_object": 0.0}


async def lateness(n: int, clock: Clock) -> Figures:
    """The loop with nothing else to do: what the machine and the loop are late by themselves."""
    loop = asyncio.get_running_loop()
    now = time.perf_counter
    turns: list[float] = []
    late: list[float] = []
    clock.start()
    end = now() + n / 1000
    while now() < end:
        began = now()
        await asyncio.sleep(0)
        turns.append(now() - began)
        woken = loop.create_future()
        due = now() + 0.001
        loop.call_later(0.001, woken.set_result, None)
        await woken
        late.append(max(0.0, now() - due))
    clock.stop()
    return {**quantiles(late), **{f"turn_{k}": v for k, v in quantiles(turns).items()}}


class Sink:
    __slots__ = ()

    def take(self, m: int) -> None:
        pass


class Forwarder:
    __slots__ = ("to",)

    def __init__(self, to: Sink) -> None:
        self.to = to

    def hand_on(self, m: int) -> None:
        self.to.take(m)


def forward(n: int, clock: Clock) -> None:
    """One handler calls the other."""
    hand_on = Forwarder(Sink()).hand_on
    clock.start()
    for i in range(n // 2):
        hand_on(i)
    clock.stop()


def population(n: int, clock: Clock) -> Figures:
    """The same objects, called in turn: what memory alone costs."""
    figures: Figures = {}
    counters: list[Counter] = []
    for size in (1_000, 10_000, 100_000, 1_000_000):
        counters += [Counter() for _ in range(size - len(counters))]
        clock.start()
        for _ in range(max(1, n // size)):
            for counter in counters:
                counter.add(1)
        clock.stop()
        figures[f"ns_at_{size}"] = round(clock.seconds / (max(1, n // size) * size) * 1e9, 1)
    return {
        **figures,
        "times_ideal": round(figures["ns_at_1000000"] / figures["ns_at_1000"], 3),
    }


async def half_load(n: int, clock: Clock) -> Figures:
    """The event loop calls back in its next turn, as often as Actinium answers."""
    soon = asyncio.get_running_loop().call_soon
    return await open_loop(n, 200_000, clock, lambda i, arrived: soon(arrived, i) and None)


def threads(n: int, clock: Clock) -> None:
    """A thread puts into a SimpleQueue, this one takes and calls."""
    counter = Counter()
    inbox: queue.SimpleQueue[int] = queue.SimpleQueue()

    def send() -> None:
        for i in range(n):
            inbox.put(i)

    sender = threading.Thread(target=send)
    clock.start()
    sender.start()
    for _ in range(n):
        counter.add(inbox.get())
    clock.stop()
    sender.join()


WORKLOADS: dict[str, Workload] = {
    "tell": tell,
    "tell_burst": tell,
    "tell_many": tell_many,
    "forward": forward,
    "fanin": tell,
    "ring": ring,
    "ask1": ask1,
    "ask1000": ask1,
    "async": tell_async,
    "async_yield": tell_yield,
    "stream": stream,
    "timer": timer,
    "spawn": spawn,
    "lateness": lateness,
    "population": population,
    "half_load": half_load,
    "threads": threads,
}

if __name__ == "__main__":
    main(WORKLOADS, "")
