"""Rival: plain asyncio, one task and one Queue per actor; BENCH_LOOP says asyncio or uvloop."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from typing import Any

from bench.workload import (
    BURST,
    PAIRS,
    RING,
    WAIT_S,
    WAITS,
    Clock,
    Figures,
    Workload,
    main,
    quantiles,
    resident_bytes,
)


class Actor:
    __slots__ = ("queue", "task")

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Any] = asyncio.Queue()
        self.task = asyncio.get_running_loop().create_task(self.run())

    async def receive(self, m: Any) -> None:
        raise NotImplementedError

    async def run(self) -> None:
        get = self.queue.get
        while True:
            await self.receive(await get())

    def tell(self, m: Any) -> None:
        self.queue.put_nowait(m)

    def ask(self, m: Any) -> asyncio.Future[Any]:
        future = asyncio.get_running_loop().create_future()
        self.queue.put_nowait((m, future))
        return future


class Counter(Actor):
    __slots__ = ("n",)

    def __init__(self) -> None:
        super().__init__()
        self.n = 0

    async def receive(self, m: int) -> None:
        self.n += 1


class AskedCounter(Counter):
    """Also answers the asks of ``BurstFlooder``."""

    __slots__ = ()

    async def receive(self, m: Any) -> None:
        if type(m) is int:
            self.n += 1
        else:
            m[1].set_result(self.n)


class YieldingCounter(Counter):
    __slots__ = ()

    async def receive(self, m: int) -> None:
        await asyncio.sleep(0)
        self.n += 1


class Flooder(Actor):
    __slots__ = ("to",)

    def __init__(self, to: Actor) -> None:
        super().__init__()
        self.to = to

    async def receive(self, m: int) -> None:
        tell = self.to.tell
        for i in range(m):
            tell(i)


class BurstFlooder(Flooder):
    __slots__ = ()

    async def receive(self, m: int) -> None:
        tell, ask = self.to.tell, self.to.ask
        for first in range(0, m, BURST):
            for i in range(first, min(first + BURST, m)):
                tell(i)
            await ask(None)


class Echo(Actor):
    __slots__ = ()

    async def receive(self, m: tuple[int, asyncio.Future[int]]) -> None:
        m[1].set_result(m[0])


class Asker(Actor):
    __slots__ = ("to",)

    def __init__(self, to: Actor) -> None:
        super().__init__()
        self.to = to

    async def receive(self, m: tuple[int, asyncio.Future[None]]) -> None:
        n, done = m
        ask = self.to.ask
        for i in range(n):
            await ask(i)
        done.set_result(None)


class RingNode(Actor):
    __slots__ = ("done", "next")
    done: asyncio.Future[None]
    next: RingNode

    async def receive(self, k: int) -> None:
        if k:
            self.next.tell(k - 1)
        else:
            self.done.set_result(None)


class Sleeper(Counter):
    __slots__ = ()

    async def receive(self, m: int) -> None:
        await asyncio.sleep(WAIT_S)
        self.n += 1


class Bouncer(Counter):
    __slots__ = ("peer",)
    peer: Bouncer

    async def receive(self, k: int) -> None:
        self.n += 1
        self.peer.tell(k)


async def _flood(
    counter: Counter, flooder: type[Flooder], senders: int, n: int, clock: Clock
) -> None:
    flooders = [flooder(counter) for _ in range(senders)]
    await asyncio.sleep(0)  # every task has reached its queue
    clock.start()
    for f in flooders:
        f.tell(n // senders)
    while counter.n < n // senders * senders:  # noqa: ASYNC110 - no event, so that handlers do only their work
        await asyncio.sleep(0)
    clock.stop()


async def tell(n: int, clock: Clock) -> None:
    await _flood(Counter(), Flooder, 1, n, clock)


async def tell_burst(n: int, clock: Clock) -> None:
    await _flood(AskedCounter(), BurstFlooder, 1, n, clock)


async def fanin(n: int, clock: Clock) -> None:
    await _flood(Counter(), Flooder, PAIRS, n, clock)


async def tell_yield(n: int, clock: Clock) -> None:
    await _flood(YieldingCounter(), Flooder, 1, n, clock)


async def _asks(n: int, pairs: int, clock: Clock) -> None:
    askers = [Asker(Echo()) for _ in range(pairs)]
    await asyncio.sleep(0)
    clock.start()
    await asyncio.gather(*[a.ask(n // pairs) for a in askers])
    clock.stop()


async def ask1(n: int, clock: Clock) -> None:
    await _asks(n, 1, clock)


async def ask1000(n: int, clock: Clock) -> None:
    await _asks(n, PAIRS, clock)


async def ring(n: int, clock: Clock) -> None:
    nodes = [RingNode() for _ in range(RING)]
    done = asyncio.get_running_loop().create_future()
    for i, node in enumerate(nodes):
        node.next, node.done = nodes[(i + 1) % RING], done
    await asyncio.sleep(0)
    clock.start()
    nodes[0].tell(n)
    await done
    clock.stop()


async def stream(n: int, clock: Clock) -> None:
    """A task fills a queue of 64 places, this one empties it."""
    queue: asyncio.Queue[int | None] = asyncio.Queue(64)

    async def produce() -> None:
        for i in range(n):
            await queue.put(i)
        await queue.put(None)

    clock.start()
    task = asyncio.get_running_loop().create_task(produce())
    seen = 0
    while await queue.get() is not None:
        seen += 1
    clock.stop()
    await task
    assert seen == n


async def timer(n: int, clock: Clock) -> Figures:
    sleepers = [Sleeper() for _ in range(n)]
    await asyncio.sleep(0)
    clock.start()
    for sleeper in sleepers:
        for _ in range(WAITS):
            sleeper.tell(0)
    while any(s.n < WAITS for s in sleepers):  # noqa: ASYNC110 - as above
        await asyncio.sleep(0.001)
    clock.stop()
    return {"times_ideal": round(clock.seconds / (WAITS * WAIT_S), 3)}


class Bare:
    """The user's own object without an actor around it."""

    __slots__ = ("n",)

    def __init__(self) -> None:
        self.n = 0


async def spawn(n: int, clock: Clock) -> Figures:
    own = (sys.getsizeof(Bare()) + 15) // 16 * 16
    actors: list[Counter | None] = [None] * n
    clock.start()
    before = resident_bytes()
    for i in range(n):
        actors[i] = Counter()
    await asyncio.sleep(0)
    clock.stop()
    return {"bytes_beyond_object": round((resident_bytes() - before) / n - own, 1)}


async def lateness(n: int, clock: Clock) -> Figures:
    """Two tasks give 1000 messages to and fro; how late are 1 ms timers beside them?"""
    loop = asyncio.get_running_loop()
    a, b = Bouncer(), Bouncer()
    a.peer, b.peer = b, a
    now = time.perf_counter
    turns: list[float] = []
    late: list[float] = []
    await asyncio.sleep(0)
    clock.start()
    for k in range(1000):
        a.tell(k)
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
    figures = {**quantiles(late), **{f"turn_{k}": v for k, v in quantiles(turns).items()}}
    return {**figures, "flood_per_s": round((a.n + b.n) / clock.seconds)}


async def threads(n: int, clock: Clock) -> None:
    loop = asyncio.get_running_loop()
    counter = Counter()
    await asyncio.sleep(0)

    def send() -> None:
        hand_over, tell = loop.call_soon_threadsafe, counter.tell
        for i in range(n):
            hand_over(tell, i)

    sender = threading.Thread(target=send)
    clock.start()
    sender.start()
    while counter.n < n:  # noqa: ASYNC110 - as above
        await asyncio.sleep(0.001)
    clock.stop()
    sender.join()


WORKLOADS: dict[str, Workload] = {
    "tell": tell,
    "tell_burst": tell_burst,
    "fanin": fanin,
    "ring": ring,
    "ask1": ask1,
    "ask1000": ask1000,
    "async": tell,
    "async_yield": tell_yield,
    "stream": stream,
    "timer": timer,
    "spawn": spawn,
    "lateness": lateness,
    "threads": threads,
}

if __name__ == "__main__":
    main(WORKLOADS, "")
