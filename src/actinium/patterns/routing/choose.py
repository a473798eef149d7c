"""Strategies that give each message to one routee."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from actinium.core import Put, Stream
from actinium.errors import UsageError

from .members import Member, alive, is_alive


class Choosing:
    """Base of strategies that choose one routee per message."""

    def choose(self, members: tuple[Member, ...], msg: Any) -> Any:
        """The ref that gets this message."""
        raise NotImplementedError

    def pick(self, members: tuple[Member, ...], msg: Any) -> Any:
        """The one chosen, among those alive: looked for only if the first choice is not."""
        ref = self.choose(members, msg)
        return ref if is_alive(ref) else self.choose(alive(members), msg)

    def tell(self, members: tuple[Member, ...], msg: Any) -> Put:
        put: Put = self.pick(members, msg).tell(msg)
        return put

    async def send(self, members: tuple[Member, ...], msg: Any, timeout: float) -> Put:
        put: Put = await self.pick(members, msg).send(msg, timeout=timeout)
        return put

    def ask(self, members: tuple[Member, ...], msg: Any, timeout: float | None) -> Awaitable[Any]:
        reply: Awaitable[Any] = self.pick(members, msg).ask(msg, timeout)
        return reply

    def stream(
        self, members: tuple[Member, ...], msg: Any, items: int, timeout: float | None
    ) -> Stream[Any]:
        stream: Stream[Any] = self.pick(members, msg).stream(msg, items=items, timeout=timeout)
        return stream


class RoundRobin(Choosing):
    """Each routee in its turn."""

    def __init__(self) -> None:
        self._next = 0

    def choose(self, members: tuple[Member, ...], msg: Any) -> Any:
        at = self._next = self._next % len(members) + 1
        return members[at - 1].ref


class Random(Choosing):
    """Any routee; ``seed`` makes the choices repeatable."""

    def __init__(self, seed: int | None = None) -> None:
        self._random = random.Random(seed)

    def choose(self, members: tuple[Member, ...], msg: Any) -> Any:
        return self._random.choice(members).ref


class LeastLoaded(Choosing):
    """The less loaded of two routees drawn at random.

    The load of one is the number of asks in flight to it from here, or, where that is more, the
    messages that wait for it and that it handles. An ask is counted back however it ends.
    (Mitzenmacher, The Power of Two Choices in Randomized Load Balancing, 2001.)
    """

    def __init__(self, seed: int | None = None) -> None:
        self._random = random.Random(seed)
        self.in_flight: Counter[Any] = Counter()
        """Asks without an answer yet, by routee; none is kept at zero."""

    def load(self, ref: Any) -> int:
        """Asks in flight, or messages waiting and being handled."""
        there = getattr(ref, "depth", 0) + getattr(ref, "running", 0)
        return max(self.in_flight.get(ref, 0), there)

    def choose(self, members: tuple[Member, ...], msg: Any) -> Any:
        if len(members) == 1:
            return members[0].ref
        n = len(members)
        first = self._random.randrange(n)
        second = (first + 1 + self._random.randrange(n - 1)) % n
        a, b = members[first].ref, members[second].ref
        return a if self.load(a) <= self.load(b) else b

    def ask(self, members: tuple[Member, ...], msg: Any, timeout: float | None) -> Awaitable[Any]:
        ref = self.pick(members, msg)
        reply = ref.ask(msg, timeout)
        self.in_flight[ref] += 1
        if hasattr(reply, "add_done_callback"):
            reply.add_done_callback(lambda _: self._ended(ref))
            answer: Awaitable[Any] = reply
            return answer
        return self._counted(ref, reply)

    async def _counted(self, ref: Any, reply: Awaitable[Any]) -> Any:
        try:
            return await reply
        finally:
            self._ended(ref)

    def _ended(self, ref: Any) -> None:
        self.in_flight[ref] -= 1
        if not self.in_flight[ref]:
            del self.in_flight[ref]


class Hash(Choosing):
    """Always the same routee for the same key, by rendezvous hashing.

    ``key`` is the name of a field of the messages, or a function of one; keys are text, bytes or
    whole numbers. When one of n routees goes, only its keys (1/n) move; the others stay where
    they are, in every process. (Thaler and Ravishankar, Using Name-Based Mappings to Increase
    Hit Rates, 1998.)
    """

    def __init__(self, key: str | Callable[[Any], str | bytes | int]) -> None:
        if not isinstance(key, str) and not callable(key):
            raise UsageError(f"Hash(key) takes a field's name or a function, got {key!r}")
        self._key = key
        self._known: dict[str, int] = {}

    def choose(self, members: tuple[Member, ...], msg: Any) -> Any:
        key = getattr(msg, self._key) if isinstance(self._key, str) else self._key(msg)
        return rendezvous(_digest(_bytes(key)), members, self._known).ref


def _bytes(key: object) -> bytes:
    if isinstance(key, str):
        return key.encode("utf-8", "surrogatepass")
    if isinstance(key, bytes):
        return key
    if isinstance(key, int):
        return str(key).encode()
    raise UsageError(f"a routing key is text, bytes or a whole number, got {key!r}")


def _digest(data: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


_MASK = 2**64 - 1


def _mix(x: int) -> int:
    """The finalizer of SplitMix64 (Steele, Lea, Flood, 2014): each bit depends on all."""
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB & _MASK
    return x ^ (x >> 31)


def rendezvous(key: int, members: tuple[Member, ...], known: dict[str, int]) -> Member:
    """The member whose name and the key together hash highest; ``known`` remembers names."""
    best, highest = members[0], -1
    for member in members:
        name = known.get(member.name)
        if name is None:
            if len(known) > 4 * len(members) + 64:
                known.clear()
            name = known[member.name] = _digest(member.name.encode())
        score = _mix(key ^ name)
        if score > highest:
            best, highest = member, score
    return best
