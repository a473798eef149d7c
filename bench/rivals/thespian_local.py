"""Rival: Thespian's ``simpleSystemBase``: every actor in this process, synchronously.

Thespian has no ask inside an actor: a round trip is ``send`` and ``receiveMessage``.
"""

from __future__ import annotations

import importlib.metadata
import sys
from typing import Any

from thespian.actors import Actor, ActorSystem

from bench.workload import PAIRS, RING, Clock, Figures, Workload, main, resident_bytes

LIMIT_S = 120


class Counter(Actor):
    n = 0
    want = -1
    asker: Any = None

    def receiveMessage(self, m: Any, sender: Any) -> None:
        if type(m) is int:
            self.n += 1
        elif type(m) is tuple:  # (want,): answer once that many came
            self.want, self.asker = m[0], sender
        if self.n == self.want:
            self.send(self.asker, "done")


class Flooder(Actor):
    def receiveMessage(self, m: Any, sender: Any) -> None:
        if type(m) is tuple:
            to, n = m
            for i in range(n):
                self.send(to, i)


class Echo(Actor):
    def receiveMessage(self, m: Any, sender: Any) -> None:
        if type(m) is int:
            self.send(sender, m)


class Asker(Actor):
    def receiveMessage(self, m: Any, sender: Any) -> None:
        if type(m) is tuple:
            self.to, self.n, self.collector = m
            self.send(self.to, 0)
        elif type(m) is int:
            if m + 1 < self.n:
                self.send(self.to, m + 1)
            else:
                self.send(self.collector, 1)


class RingNode(Actor):
    def receiveMessage(self, m: Any, sender: Any) -> None:
        if type(m) is tuple:
            self.next, self.collector = m
            self.send(sender, "ok")
        elif type(m) is int:
            self.send(self.next, m - 1) if m else self.send(self.collector, 1)


def _flood(n: int, senders: int, clock: Clock) -> None:
    system = ActorSystem("simpleSystemBase")
    counter = system.createActor(Counter)
    flooders = [system.createActor(Flooder) for _ in range(senders)]
    clock.start()
    for f in flooders:
        system.tell(f, (counter, n // senders))
    assert system.ask(counter, (n // senders * senders,), LIMIT_S) == "done"
    clock.stop()
    system.shutdown()


def tell(n: int, clock: Clock) -> None:
    _flood(n, 1, clock)


def fanin(n: int, clock: Clock) -> None:
    _flood(n, PAIRS, clock)


def _asks(n: int, pairs: int, clock: Clock) -> None:
    system = ActorSystem("simpleSystemBase")
    collector = system.createActor(Counter)
    couples = [(system.createActor(Asker), system.createActor(Echo)) for _ in range(pairs)]
    clock.start()
    for asker, echo in couples:
        system.tell(asker, (echo, n // pairs, collector))
    assert system.ask(collector, (pairs,), LIMIT_S) == "done"
    clock.stop()
    system.shutdown()


def ask1(n: int, clock: Clock) -> None:
    _asks(n, 1, clock)


def ask1000(n: int, clock: Clock) -> None:
    _asks(n, PAIRS, clock)


def ring(n: int, clock: Clock) -> None:
    system = ActorSystem("simpleSystemBase")
    collector = system.createActor(Counter)
    nodes = [system.createActor(RingNode) for _ in range(RING)]
    for i, node in enumerate(nodes):
        system.ask(node, (nodes[(i + 1) % RING], collector), LIMIT_S)
    clock.start()
    system.tell(nodes[0], n)
    assert system.ask(collector, (1,), LIMIT_S) == "done"
    clock.stop()
    system.shutdown()


class Bare:
    """The user's own object without an actor around it."""


def spawn(n: int, clock: Clock) -> Figures:
    own = (sys.getsizeof(Bare()) + 15) // 16 * 16
    system = ActorSystem("simpleSystemBase")
    clock.start()
    before = resident_bytes()
    refs = [system.createActor(Counter) for _ in range(n)]
    for ref in refs:
        system.tell(ref, 0)
    assert system.ask(refs[-1], (1,), LIMIT_S) == "done"
    clock.stop()
    grown = resident_bytes() - before
    system.shutdown()
    return {"bytes_beyond_object": round(grown / n - own, 1)}


WORKLOADS: dict[str, Workload] = {
    "tell": tell,
    "fanin": fanin,
    "ring": ring,
    "ask1": ask1,
    "ask1000": ask1000,
    "spawn": spawn,
}

if __name__ == "__main__":
    main(WORKLOADS, importlib.metadata.version("thespian"))
