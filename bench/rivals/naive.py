"""Rival: the best hand-written actor loop in pure Python: slots, one deque each, one ready queue.

One thread, no asyncio, no supervision, no bound, no timeout, no check of messages: what is left
of an actor when everything that can go wrong is left out.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Coroutine, Generator
from heapq import heappop, heappush
from itertools import count
from typing import Any

from bench.workload import BURST, PAIRS, RING, WAIT_S, WAITS, Clock, Figures, Workload, main
from bench.workload import resident_bytes as resident

BATCH = 64
ready: deque[Actor] = deque()
timers: list[tuple[float, int, Future]] = []
_order = count()
now = time.perf_counter


class Future:
    """A reply or a wait: one value, one waiter."""

    __slots__ = ("callback", "done", "value")

    def __init__(self) -> None:
        self.done = False
        self.callback: Any = None

    def set(self, value: Any) -> None:
        self.done = True
        self.value = value
        if self.callback is not None:
            self.callback()

    def __await__(self) -> Generator[Future, None, Any]:
        if not self.done:
            yield self
        return self.value


class Actor:
    __slots__ = ("busy", "mailbox")

    def __init__(self) -> None:
        self.mailbox: deque[Any] = deque()
        self.busy = False  # in the ready queue, or suspended in a handler

    def receive(self, m: Any) -> Any:
        raise NotImplementedError

    def tell(self, message: Any) -> None:
        self.mailbox.append(message)
        if not self.busy:
            self.busy = True
            ready.append(self)

    def ask(self, message: Any) -> Future:
        future = Future()
        self.tell((message, future))
        return future


def delay(seconds: float) -> Future:
    future = Future()
    heappush(timers, (now() + seconds, next(_order), future))
    return future


def drive(actor: Actor, coroutine: Coroutine[Future, None, None]) -> bool:
    """Steps a handler; False when it was suspended (it then resumes by itself)."""
    try:
        future = coroutine.send(None)
    except StopIteration:
        return True

    def resume() -> None:
        if drive(actor, coroutine):
            if actor.mailbox:
                ready.append(actor)
            else:
                actor.busy = False

    future.callback = resume
    return False


def run() -> None:
    """Handles messages and timers until there are none."""
    while True:
        while ready:
            actor = ready.popleft()
            mailbox = actor.mailbox
            receive = actor.receive
            for _ in range(BATCH):
                if not mailbox:
                    actor.busy = False
                    break
                outcome = receive(mailbox.popleft())
                if outcome is not None and not drive(actor, outcome):
                    break
            else:
                if mailbox:
                    ready.append(actor)
                else:
                    actor.busy = False
            if timers and timers[0][0] <= now():
                heappop(timers)[2].set(None)
        if not timers:
            return
        wait = timers[0][0] - now()
        if wait > 0:
            time.sleep(wait)
        while timers and timers[0][0] <= now():
            heappop(timers)[2].set(None)


class Counter(Actor):
    __slots__ = ("n",)

    def __init__(self) -> None:
        super().__init__()
        self.n = 0

    def receive(self, m: int) -> None:
        self.n += 1


class AskedCounter(Counter):
    """Also answers the asks of ``BurstFlooder``."""

    __slots__ = ()

    def receive(self, m: Any) -> None:
        if type(m) is int:
            self.n += 1
        else:
            m[1].set(self.n)


class AsyncCounter(Counter):
    __slots__ = ()

    async def receive(self, m: int) -> None:  # type: ignore[override]
        self.n += 1


class Flooder(Actor):
    __slots__ = ("to",)

    def __init__(self, to: Actor) -> None:
        super().__init__()
        self.to = to

    def receive(self, m: int) -> None:
        tell = self.to.tell
        for i in range(m):
            tell(i)


class BurstFlooder(Flooder):
    __slots__ = ()

    async def receive(self, m: int) -> None:  # type: ignore[override]
        tell, ask = self.to.tell, self.to.ask
        for first in range(0, m, BURST):
            for i in range(first, min(first + BURST, m)):
                tell(i)
            await ask(None)


class Echo(Actor):
    __slots__ = ()

    def receive(self, m: tuple[int, Future]) -> None:
        m[1].set(m[0])


class Asker(Actor):
    __slots__ = ("to",)

    def __init__(self, to: Actor) -> None:
        super().__init__()
        self.to = to

    async def receive(self, m: int) -> None:
        ask = self.to.ask
        for i in range(m):
            await ask(i)


class RingNode(Actor):
    __slots__ = ("next",)
    next: RingNode

    def receive(self, k: int) -> None:
        if k:
            self.next.tell(k - 1)


class Sleeper(Counter):
    __slots__ = ()

    async def receive(self, m: int) -> None:  # type: ignore[override]
        await delay(WAIT_S)
        self.n += 1


def _flood(counter: Counter, flooder: type[Flooder], senders: int, n: int, clock: Clock) -> None:
    flooders = [flooder(counter) for _ in range(senders)]
    clock.start()
    for f in flooders:
        f.tell(n // senders)
    run()
    clock.stop()
    assert counter.n == n // senders * senders


def tell(n: int, clock: Clock) -> None:
    _flood(Counter(), Flooder, 1, n, clock)


def tell_burst(n: int, clock: Clock) -> None:
    _flood(AskedCounter(), BurstFlooder, 1, n, clock)


def fanin(n: int, clock: Clock) -> None:
    _flood(Counter(), Flooder, PAIRS, n, clock)


def tell_async(n: int, clock: Clock) -> None:
    _flood(AsyncCounter(), Flooder, 1, n, clock)


def _asks(n: int, pairs: int, clock: Clock) -> None:
    askers = [Asker(Echo()) for _ in range(pairs)]
    clock.start()
    for asker in askers:
        asker.tell(n // pairs)
    run()
    clock.stop()


def ask1(n: int, clock: Clock) -> None:
    _asks(n, 1, clock)


def ask1000(n: int, clock: Clock) -> None:
    _asks(n, PAIRS, clock)


def ring(n: int, clock: Clock) -> None:
    nodes = [RingNode() for _ in range(RING)]
    for i, node in enumerate(nodes):
        node.next = nodes[(i + 1) % RING]
    clock.start()
    nodes[0].tell(n)
    run()
    clock.stop()


def timer(n: int, clock: Clock) -> Figures:
    sleepers = [Sleeper() for _ in range(n)]
    clock.start()
    for sleeper in sleepers:
        for _ in range(WAITS):
            sleeper.tell(0)
    run()
    clock.stop()
    assert all(s.n == WAITS for s in sleepers)
    return {"times_ideal": round(clock.seconds / (WAITS * WAIT_S), 3)}


class Bare:
    """The user's own object without an actor around it."""

    __slots__ = ("n",)

    def __init__(self) -> None:
        self.n = 0


def spawn(n: int, clock: Clock) -> Figures:
    own = (sys.getsizeof(Bare()) + 15) // 16 * 16
    actors: list[Counter | None] = [None] * n
    clock.start()
    before = resident()
    for i in range(n):
        actors[i] = Counter()
    clock.stop()
    return {"bytes_beyond_object": round((resident() - before) / n - own, 1)}


WORKLOADS: dict[str, Workload] = {
    "tell": tell,
    "tell_burst": tell_burst,
    "fanin": fanin,
    "ring": ring,
    "ask1": ask1,
    "ask1000": ask1000,
    "async": tell_async,
    "timer": timer,
    "spawn": spawn,
}

if __name__ == "__main__":
    main(WORKLOADS, "")
