"""Subject ``actinium``: the workloads on the public API. BENCH_LOOP says asyncio or uvloop."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

import actinium as ac
from bench.micro import whole
from bench.workload import (
    BATCH,
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

SLICE_US = int(os.environ.get("BENCH_SLICE_US", ac.Settings().slice_us))
"""The default but under an instruction counter, which stretches time and so shortens slices."""


def _system() -> ac.System:
    return ac.System(settings=ac.Settings(slice_us=SLICE_US))


class Go(ac.Message):
    """Starts a sender or asker: ``n`` messages."""

    n: int


class Get(ac.Message):
    """Asks a counter for its count; in line behind all that was sent before."""


class Counter(ac.Actor, mailbox=ac.Unbounded()):
    __slots__ = ("n",)

    def __init__(self) -> None:
        self.n = 0

    @ac.on
    def add(self, m: int) -> None:
        self.n += 1

    @ac.on
    def get(self, m: Get) -> int:
        return self.n


class BatchCounter(ac.Actor, mailbox=ac.Unbounded()):
    __slots__ = ("n",)

    def __init__(self) -> None:
        self.n = 0

    @ac.on(batch=64)
    def add(self, ms: list[int]) -> None:
        self.n += len(ms)

    @ac.on
    def get(self, m: Get) -> int:
        return self.n


class AsyncCounter(ac.Actor, mailbox=ac.Unbounded()):
    __slots__ = ("n",)

    def __init__(self) -> None:
        self.n = 0

    @ac.on
    async def add(self, m: int) -> None:
        self.n += 1

    @ac.on
    def get(self, m: Get) -> int:
        return self.n


class YieldingCounter(ac.Actor, mailbox=ac.Unbounded()):
    __slots__ = ("n",)

    def __init__(self) -> None:
        self.n = 0

    @ac.on
    async def add(self, m: int) -> None:
        await asyncio.sleep(0)
        self.n += 1

    @ac.on
    def get(self, m: Get) -> int:
        return self.n


class Sink(ac.Actor, mailbox=ac.Unbounded()):
    __slots__ = ()

    @ac.on
    def take(self, m: int) -> None:
        pass

    @ac.on
    def depth(self, m: Get) -> int:
        return 0


class Forwarder(ac.Actor, mailbox=ac.Unbounded()):
    __slots__ = ("to",)

    def __init__(self, to: ac.LocalRef[Sink]) -> None:
        self.to = to

    @ac.on
    def hand_on(self, m: int) -> None:
        self.to.tell(m)


class Flooder(ac.Actor):
    __slots__ = ("to",)

    def __init__(self, to: ac.LocalRef[ac.Actor]) -> None:
        self.to = to

    @ac.on
    def go(self, m: Go) -> None:
        tell = self.to.tell
        for i in range(m.n):
            tell(i)


class BurstFlooder(ac.Actor):
    """Sends in bursts and waits after each until it is handled."""

    __slots__ = ("to",)

    def __init__(self, to: ac.LocalRef[ac.Actor]) -> None:
        self.to = to

    @ac.on
    async def go(self, m: Go) -> None:
        tell, ask = self.to.tell, self.to.ask
        for first in range(0, m.n, BURST):
            for i in range(first, min(first + BURST, m.n)):
                tell(i)
            await ask(Get())


class ManyFlooder(ac.Actor):
    """Hands lists over and waits after each sixteenth until all are handled."""

    __slots__ = ("to",)

    def __init__(self, to: ac.LocalRef[ac.Actor]) -> None:
        self.to = to

    @ac.on
    async def go(self, m: Go) -> None:
        for first in range(0, m.n, BATCH):
            self.to.tell_many(list(range(first, first + BATCH)))
            if first % (16 * BATCH) == 0:
                await self.to.ask(Get())


class Echo(ac.Actor):
    __slots__ = ()

    @ac.on
    def echo(self, m: int) -> int:
        return m


class Asker(ac.Actor):
    __slots__ = ("to",)

    def __init__(self, to: ac.LocalRef[Echo]) -> None:
        self.to = to

    @ac.on
    async def go(self, m: Go) -> None:
        ask = self.to.ask
        for i in range(m.n):
            await ask(i)


class RingNode(ac.Actor):
    __slots__ = ("done", "next")

    @ac.on
    def join(self, m: ac.Unchecked[Any]) -> None:
        self.next, self.done = m.value

    @ac.on
    def hop(self, k: int) -> None:
        if k:
            self.next.tell(k - 1)
        else:
            self.done.set_result(None)


class Sleeper(ac.Actor):
    __slots__ = ("n",)

    def __init__(self) -> None:
        self.n = 0

    @ac.on
    async def work(self, m: int) -> None:
        await self.ctx.sleep(WAIT_S)
        self.n += 1

    @ac.on
    def get(self, m: Get) -> int:
        return self.n


class Source(ac.Actor):
    __slots__ = ()

    @ac.on
    async def items(self, m: Go) -> AsyncIterator[int]:
        for i in range(m.n):
            yield i


class Bouncer(ac.Actor, mailbox=ac.Unbounded()):
    """Gives every message back to its peer: a flood that never ends by itself."""

    __slots__ = ("n", "peer")

    def __init__(self) -> None:
        self.n = 0

    @ac.on
    def join(self, m: ac.Unchecked[Any]) -> None:
        self.peer = m.value

    @ac.on
    def bounce(self, k: int) -> None:
        self.n += 1
        if self.peer is not None:
            self.peer.tell(k)

    @ac.on
    def get(self, m: Get) -> int:
        return self.n


async def _flood(
    cls: type[ac.Actor], flooder: type[ac.Actor], senders: int, n: int, clock: Clock
) -> None:
    async with _system() as system:
        counter = system.spawn(cls)
        flooders = [system.spawn(flooder, counter) for _ in range(senders)]
        await system.idle()
        clock.start()
        for sender in flooders:
            sender.tell(Go(n // senders))
        while await counter.ask(Get(), 600.0) < n // senders * senders:
            pass
        clock.stop()


async def tell(n: int, clock: Clock) -> None:
    await _flood(Counter, Flooder, 1, n, clock)


async def tell_burst(n: int, clock: Clock) -> None:
    await _flood(Counter, BurstFlooder, 1, n, clock)


async def tell_many(n: int, clock: Clock) -> None:
    await _flood(BatchCounter, ManyFlooder, 1, n // BATCH * BATCH, clock)


async def forward(n: int, clock: Clock) -> None:
    async with _system() as system:
        sink = system.spawn(Sink)
        tell = system.spawn(Forwarder, sink).tell
        before = system.statistics()["handled"]
        clock.start()
        for i in range(n // 2):
            tell(i)
        await system.idle()
        clock.stop()
        assert system.statistics()["handled"] - before == n // 2 * 2


async def fanin(n: int, clock: Clock) -> None:
    await _flood(Counter, Flooder, PAIRS, n, clock)


async def tell_async(n: int, clock: Clock) -> None:
    await _flood(AsyncCounter, Flooder, 1, n, clock)


async def tell_yield(n: int, clock: Clock) -> None:
    await _flood(YieldingCounter, Flooder, 1, n, clock)


async def _asks(n: int, pairs: int, clock: Clock) -> None:
    async with _system() as system:
        askers = [system.spawn(Asker, system.spawn(Echo)) for _ in range(pairs)]
        await system.idle()
        clock.start()
        await asyncio.gather(*[a.ask(Go(n // pairs), 600.0) for a in askers])
        clock.stop()


async def ask1(n: int, clock: Clock) -> None:
    await _asks(n, 1, clock)


async def ask1000(n: int, clock: Clock) -> None:
    await _asks(n, PAIRS, clock)


async def ring(n: int, clock: Clock) -> None:
    async with _system() as system:
        done = asyncio.get_running_loop().create_future()
        nodes = [system.spawn(RingNode) for _ in range(RING)]
        for i, node in enumerate(nodes):
            node.tell(ac.Unchecked((nodes[(i + 1) % RING], done)))
        await system.idle()
        clock.start()
        nodes[0].tell(n)
        await done
        clock.stop()


async def stream(n: int, clock: Clock) -> None:
    async with _system() as system:
        source = system.spawn(Source)
        await system.idle()
        clock.start()
        seen = 0
        async with source.stream(Go(n)) as items:
            async for _ in items:
                seen += 1
        clock.stop()
        assert seen == n


async def timer(n: int, clock: Clock) -> Figures:
    async with _system() as system:
        sleepers = [system.spawn(Sleeper) for _ in range(n)]
        await system.idle()
        clock.start()
        for sleeper in sleepers:
            for _ in range(WAITS):
                sleeper.tell(0)
        counts = await asyncio.gather(*[s.ask(Get(), 600.0) for s in sleepers])
        clock.stop()
        assert counts == [WAITS] * n
    return {"times_ideal": round(clock.seconds / (WAITS * WAIT_S), 3)}


class Bare:
    """The user's own object without an actor around it."""

    __slots__ = ("n",)

    def __init__(self) -> None:
        self.n = 0


async def spawn(n: int, clock: Clock) -> Figures:
    own = (sys.getsizeof(Bare()) + 15) // 16 * 16  # with the collector's header, as malloc rounds
    async with _system() as system:
        await system.idle()
        refs: list[ac.LocalRef[Counter] | None] = [None] * n
        clock.start()
        before = resident_bytes()
        for i in range(n):
            refs[i] = system.spawn(Counter)
        await refs[-1].ask(Get())  # type: ignore[union-attr]
        clock.stop()
        idle = resident_bytes()
        for ref in refs:
            ref.tell(1)  # type: ignore[union-attr]
        await system.idle()
        used = resident_bytes()
    return {
        "bytes_beyond_object": round((idle - before) / n - own, 1),
        "bytes_after_message": round((used - before) / n - own, 1),
    }


async def lateness(n: int, clock: Clock) -> Figures:
    """``n`` milliseconds of flood; how late a timer and how long a turn of the loop is."""
    loop = asyncio.get_running_loop()
    async with _system() as system:
        a, b = system.spawn(Bouncer), system.spawn(Bouncer)
        a.tell(ac.Unchecked(b))
        b.tell(ac.Unchecked(a))
        for k in range(1000):
            a.tell(k)
        turns: list[float] = []
        late: list[float] = []
        now = time.perf_counter
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
        a.tell(ac.Unchecked(None))
        b.tell(ac.Unchecked(None))
        handled = await a.ask(Get(), 600.0) + await b.ask(Get(), 600.0)
    of_turns = {f"turn_{k}": v for k, v in quantiles(turns).items()}
    return {**quantiles(late), **of_turns, "flood_per_s": round(handled / clock.seconds)}


async def threads(n: int, clock: Clock) -> None:
    """A plain thread tells an actor on the loop's thread."""
    async with _system() as system:
        counter = system.spawn(Counter)
        await system.idle()

        def send() -> None:
            put = counter.tell
            for i in range(n):
                put(i)

        sender = threading.Thread(target=send)
        clock.start()
        sender.start()
        while await counter.ask(Get(), 600.0) < n:  # noqa: ASYNC110 - the sender is a thread
            await asyncio.sleep(0.001)
        clock.stop()
        sender.join()


WORKLOADS: dict[str, Workload] = {
    "tell": tell,
    "tell_burst": tell_burst,
    "tell_many": tell_many,
    "forward": forward,
    "fanin": fanin,
    "ring": ring,
    "ask1": ask1,
    "ask1000": ask1000,
    "async": tell_async,
    "async_yield": tell_yield,
    "stream": stream,
    "timer": timer,
    "spawn": spawn,
    "lateness": lateness,
    "population": whole.population,
    "half_load": whole.half_load,
    "threads": threads,
}

if __name__ == "__main__":
    main(WORKLOADS, ac.__version__)
