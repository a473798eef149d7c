"""Rival: Pykka's ThreadingActor: one thread per actor, ``queue.Queue`` as mailbox."""

from __future__ import annotations

import importlib.metadata
import sys
import threading
import time
from typing import Any

import pykka

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


class Counter(pykka.ThreadingActor):
    def __init__(self) -> None:
        super().__init__()
        self.n = 0

    def on_receive(self, m: int | None) -> int | None:
        if m is None:  # asked for the count, in line behind all that was sent before
            return self.n
        self.n += 1
        return None


class Flooder(pykka.ThreadingActor):
    def __init__(self, to: Any) -> None:
        super().__init__()
        self.to = to

    def on_receive(self, m: int) -> None:
        tell = self.to.tell
        for i in range(m):
            tell(i)


class Echo(pykka.ThreadingActor):
    def on_receive(self, m: int) -> int:
        return m


class Asker(Flooder):
    def on_receive(self, m: int) -> None:
        ask = self.to.ask
        for i in range(m):
            ask(i)


class RingNode(pykka.ThreadingActor):
    def __init__(self, done: threading.Event) -> None:
        super().__init__()
        self.done = done

    def on_receive(self, m: Any) -> None:
        if type(m) is not int:
            self.next = m
        elif m:
            self.next.tell(m - 1)
        else:
            self.done.set()


class Sleeper(Counter):
    def on_receive(self, m: int | None) -> int | None:
        if m is not None:
            time.sleep(WAIT_S)  # it has a thread of its own to block
        return super().on_receive(m)


def _flood(n: int, senders: int, clock: Clock) -> None:
    counter = Counter.start()
    flooders = [Flooder.start(counter) for _ in range(senders)]
    clock.start()
    for reply in [f.ask(n // senders, block=False) for f in flooders]:
        reply.get()
    assert counter.ask(None) == n // senders * senders
    clock.stop()
    pykka.ActorRegistry.stop_all()


def tell(n: int, clock: Clock) -> None:
    _flood(n, 1, clock)


def fanin(n: int, clock: Clock) -> None:
    _flood(n, PAIRS, clock)


def _asks(n: int, pairs: int, clock: Clock) -> None:
    askers = [Asker.start(Echo.start()) for _ in range(pairs)]
    clock.start()
    for reply in [a.ask(n // pairs, block=False) for a in askers]:
        reply.get()
    clock.stop()
    pykka.ActorRegistry.stop_all()


def ask1(n: int, clock: Clock) -> None:
    _asks(n, 1, clock)


def ask1000(n: int, clock: Clock) -> None:
    _asks(n, PAIRS, clock)


def ring(n: int, clock: Clock) -> None:
    done = threading.Event()
    nodes = [RingNode.start(done) for _ in range(RING)]
    for i, node in enumerate(nodes):
        node.ask(nodes[(i + 1) % RING])
    clock.start()
    nodes[0].tell(n)
    done.wait()
    clock.stop()
    pykka.ActorRegistry.stop_all()


def timer(n: int, clock: Clock) -> Figures:
    sleepers = [Sleeper.start() for _ in range(n)]
    clock.start()
    for sleeper in sleepers:
        for _ in range(WAITS):
            sleeper.tell(0)
    assert [s.ask(None) for s in sleepers] == [WAITS] * n
    clock.stop()
    pykka.ActorRegistry.stop_all()
    return {"times_ideal": round(clock.seconds / (WAITS * WAIT_S), 3)}


class Bare:
    """The user's own object without an actor around it (Pykka's classes have a dict)."""

    def __init__(self) -> None:
        self.n = 0


def spawn(n: int, clock: Clock) -> Figures:
    own = (sys.getsizeof(Bare()) + 15) // 16 * 16
    clock.start()
    before = resident_bytes()
    refs = [Counter.start() for _ in range(n)]
    refs[-1].ask(1)
    clock.stop()
    grown = resident_bytes() - before
    pykka.ActorRegistry.stop_all()
    return {"bytes_beyond_object": round(grown / n - own, 1)}


def threads(n: int, clock: Clock) -> None:
    """Every tell crosses threads here; the sender is a plain one."""
    counter = Counter.start()

    def send() -> None:
        for i in range(n):
            counter.tell(i)

    sender = threading.Thread(target=send)
    clock.start()
    sender.start()
    sender.join()
    assert counter.ask(None) == n
    clock.stop()
    counter.stop()


WORKLOADS: dict[str, Workload] = {
    "tell": tell,
    "fanin": fanin,
    "ring": ring,
    "ask1": ask1,
    "ask1000": ask1000,
    "timer": timer,
    "spawn": spawn,
    "threads": threads,
}

if __name__ == "__main__":
    main(WORKLOADS, importlib.metadata.version("pykka"))
