"""A process that knows the token and says anything at all: it is cut off, and nothing else ends."""

from __future__ import annotations

import asyncio
import logging
import random
from typing import Any

import msgspec
import pytest
from linked import Pair, Wire
from test_workers import on_workers
from worker_actors import Counter, Get

import actinium as ac
from actinium.cluster import entries as e
from actinium.cluster.connection import Connection
from actinium.cluster.link import Link
from actinium.wire import Failure, frame

KINDS: tuple[type[e.Entry], ...] = (
    e.Post, e.Ask, e.Open, e.Offer, e.Answer, e.Failed, e.Cancel, e.Item, e.End, e.Credit, e.Grant,
    e.TypeName, e.Watch, e.Gone, e.Stop, e.Spawn, e.Spawned, e.Register, e.Locate, e.Located,
    e.Tally, e.Probe, e.Quiet, e.Closing, e.Finish, e.Exit, e.Ready, e.Down,
)  # fmt: skip
"""All but the two with which a worker may rightly end the system or another worker."""


class Chance:
    """Values for the fields of entries: often plausible, sometimes not."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._odd: list[Any] = [None, -1, 0, 1, 2**63, 2**63 + 1, 2**64 - 1, 1.5, "", "x",
                                float("nan"), b"", b"\x90", [], [0, 1], {}, True]  # fmt: skip

    def value(self, name: str) -> Any:
        pick = self._random.choice
        if self._random.random() < 0.15:
            return pick(self._odd)
        texts = ["builtins:int", "worker_actors:Counter", "worker_actors:Get", "os:system", "a", ""]
        numbers = [0, 1, 2, 3, 7, 2**63, 2**63 + 1, 2**63 + (1 << 54) + (1 << 38) + 5, 2**64 - 1]
        match name:
            case "to" | "id" | "key":
                return pick([*numbers, (pick(texts), pick(texts))])
            case "sender":
                return pick([0, 1, (0, 0, 1, "/a"), (1, 1, 2**63 + 1, "")])
            case "body":
                return pick([msgspec.Raw(b"\x07"), msgspec.Raw(b"\xc0"), b"\x93\x90\x80\x80"])
            case "fields":
                return pick([[], [0], [0, 1], [99], [-1]])
            case "due":
                return pick([None, 0.0, 1e9, -1.0, float("inf"), float("nan")])
            case "failure":
                return Failure(pick(texts), "no", pick([b"", b"\xc1"]))
            case "path":
                return [pick(texts)] * self._random.randrange(20)
            case "cls" | "name" | "reason" | "how":
                return pick([*texts, "kill", "drain"])
            case "place":
                return pick(["any", 1, {"key": "k"}, {}, None])
            case "urgent" | "again" | "final":
                return pick([True, False])
            case "sent_dead":
                return pick([[], [(1, 1, 5)]])
            case "limit":
                return 0.0
            case _:
                return pick([0, 1, 2, 5, 1 << 20, -1])

    def entry(self) -> bytes:
        kind = self._random.choice(KINDS)
        fields = [self.value(name) for name in kind.__struct_fields__]
        if self._random.random() < 0.1:
            fields = fields[: self._random.randrange(len(fields) + 1)]
        return msgspec.msgpack.encode([kind.__struct_config__.tag, *fields])


@pytest.mark.parametrize("seed", range(2))
def test_anything_a_worker_says_is_taken_or_ends_its_link_only(
    seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)

    async def body(system: ac.System) -> None:
        node: Any = system._workers._node  # type: ignore[union-attr]
        one = system.spawn(Counter, 3, place="local")
        assert node.known.id_of(one) > 0
        chance = Chance(seed)
        ended = 0
        unhandled: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, c: unhandled.append(c))
        real = node.links[1]
        give_up, node.repair.give_up = node.repair.give_up, lambda *_: None
        for _ in range(1000):
            link = Link(node, 1, 1)
            wire = Wire()
            wire.protocol = Connection(lambda *_: None, strange=False)
            wire.protocol.connection_made(wire)
            link.attach(wire.protocol, 0)
            node.links[1] = real
            entries = [chance.entry() for _ in range(3)]
            body = b"\xdd" + len(entries).to_bytes(4, "big") + b"".join(entries)
            data = b"".join(frame(e.BATCH, body, [b"12"], 1))
            wire.protocol.get_buffer(-1)[: len(data)] = data
            wire.protocol.buffer_updated(len(data))
            ended += wire.ended
            await asyncio.sleep(0)
            link.end()
        node.repair.give_up = give_up
        assert ended > 150
        assert not unhandled, unhandled[:3]
        assert await system.spawn(Counter, 4).ask(Get(), 10) == 4

    on_workers(body, 1)


def test_random_bytes_end_a_link_or_are_waited_for() -> None:
    async def main() -> None:
        chance = random.Random(1)
        pair = Pair()
        pair.ends[0].post(1)
        pair.ends[0].post(2, b"x" * 30)
        pair.ends[0].link.flush()
        good = bytes(pair.ends[0].wire.written)
        for _ in range(2000):
            again = Pair()
            raw = bytearray(good)
            for _ in range(chance.randrange(1, 4)):
                raw[chance.randrange(len(raw))] = chance.randrange(256)
            again.ends[0].wire.written[:] = raw
            again.let(0, len(raw))
            other = again.ends[1]
            assert len(other.complaints) <= 1
            assert other.wire.ended or other.link.session.taken <= 1

    asyncio.run(main())
