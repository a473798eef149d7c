"""RG-2 to RG-5, SV-1, SV-2, SV-5 of the resident kernel under many schedules of its threads.

Each seed draws a script (tells, asks, faults, kills, resets, stops, unknown kinds, a host that
does not read for a while) and how the threads of a block overtake each other. What comes back for
each actor is what a model of one actor says, in its order; nothing is lost and nothing doubled.
"""

from __future__ import annotations

import random
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

import actinium as ac
from actinium import gpu
from actinium.gpu.abi.words import Command, Flag, Reason, Status, handle
from actinium.gpu.codegen.cache import Cache
from actinium.gpu.executors.emulator import Emulation, Outcome

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit" / "gpu"))

from gpu_host import Host, Slot

BAD = 13


@gpu.message(kind=0x0400)
class Do:
    n: gpu.u32
    more: gpu.Array[gpu.u32, 9]  # type: ignore[valid-type]


def _actor(level: str) -> Any:
    class Mixer:
        total: gpu.u32 = 7

        @ac.on
        def do(self, m: Do) -> gpu.u32:
            assert m.n != BAD
            self.total = self.total * 31 + m.n + m.more[m.n % 9]
            return self.total

    Mixer.__annotations__["total"] = gpu.u32
    return gpu.actor(level=level)(Mixer)


PROGRAMS = {level: gpu.compile(_actor(level)) for level in ("thread", "warp", "block")}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return Cache(Path(tmp_path_factory.mktemp("seeds")))


class Place:
    """One actor as the protocol has it."""

    def __init__(self) -> None:
        self.status, self.generation, self.known, self.total = "free", 0, False, 7
        self.killed = -1

    def takes(self, slot: Slot) -> list[tuple[Any, ...]]:
        """What comes back for a slot."""
        if slot.kind < 0x100:
            return [("status", slot.kind, slot.dest, slot.corr, self.command(slot))]
        if self.status == "free":
            return [("bounce", Reason.NO_ACTOR, slot.corr, slot.data)]
        if slot.dest >> 20 != self.generation:
            return [("bounce", Reason.STALE, slot.corr, slot.data)]
        if self.killed == self.generation:
            return [("bounce", Reason.STOPPED, slot.corr, slot.data)]
        if self.status == "failed":
            return [("bounce", Reason.SUSPENDED, slot.corr, slot.data)]
        if slot.kind != 0x400:
            return [("bounce", Reason.UNKNOWN_KIND, slot.corr, slot.data)]
        words = [int.from_bytes(slot.data[i : i + 4], "little") for i in range(0, 40, 4)]
        n, more = words[0], words[1:]
        if n == BAD:
            self.status = "failed"
            return [("fault", slot.corr), ("bounce", Reason.FAILED, slot.corr, slot.data)]
        self.total = (self.total * 31 + n + more[n % 9]) % (1 << 32)
        return [("reply", slot.corr, self.total)] if slot.corr else []

    def command(self, slot: Slot) -> Status:
        if slot.kind == Command.STATS:
            return Status.OK
        generation = slot.dest >> 20
        same = self.known and self.generation == generation
        if slot.kind == Command.STOP:
            self.status = "free" if same else self.status
            return Status.OK if same else Status.BAD_STATE
        if slot.kind == Command.RESUME:
            known = same and self.status != "free"
            self.status = "open" if known else self.status
            return Status.OK if known else Status.BAD_STATE
        if same:
            return Status.OK if self.status == "open" else Status.BAD_STATE
        if (slot.kind == Command.SPAWN) != (self.status == "free"):
            return Status.BAD_STATE
        self.status, self.generation, self.known, self.total = "open", generation, True, 7
        return Status.OK


def outcome(slot: Slot) -> tuple[Any, ...]:
    if slot.kind < 0x100:
        return ("status", slot.kind, slot.dest, slot.corr, slot.status)
    if slot.flags & Flag.BOUNCED:
        return ("bounce", slot.reason, slot.corr, slot.data)
    if slot.flags & Flag.ERROR:
        return ("fault", slot.corr)
    return ("reply", slot.corr, int.from_bytes(slot.data, "little"))


def explore(level: str, seed: int, cache: Cache, text: str | None = None, length: int = 60) -> None:
    """One script under one schedule; raises where something differs from the model."""
    draw = random.Random(seed)
    actors = draw.choice((1, 3, 5))
    host = Host(PROGRAMS[level], warps=2, actors=actors, capacity=16)
    kernel = Emulation(
        PROGRAMS[level], host.region, host.geometry, seed=seed + 1, warps=2, cache=cache,
        text=text, watchdog=300_000,
    )  # fmt: skip
    places = [Place() for _ in range(actors)]
    wanted: dict[int, list[tuple[Any, ...]]] = defaultdict(list)
    got: dict[int, list[tuple[Any, ...]]] = defaultdict(list)
    expected = deaf = 0

    def turn(reads: bool = True) -> None:
        host.beat()
        result = kernel.step(draw.randint(50, 1500))
        assert result is Outcome.RUNS, f"{result.name} {kernel.dump()}"
        for slot in host.take_all() if reads else []:
            got[slot.dest & 0xFFFFF].append(outcome(slot))

    def put(slot: Slot) -> None:
        nonlocal expected, deaf
        for tries in range(3000):
            chunks = host.chunks(slot)
            if chunks:
                break
            turn(deaf == 0 or tries > 20)
        else:
            raise AssertionError(f"the ring stays full: {kernel.dump()}")
        draw.shuffle(chunks)  # they become visible in any order
        pause = draw.randrange(3 * len(chunks))
        for i, (at, chunk) in enumerate(chunks):
            if i == pause:
                turn()
            host.region[at : at + 16] = chunk
        index = slot.dest & 0xFFFFF
        said = places[index].takes(slot)
        wanted[index] += said
        expected += len(said)

    def settle() -> None:
        for _ in range(3000):
            if sum(map(len, got.values())) >= expected:
                break
            turn()

    for i in range(actors):
        put(Slot(Command.SPAWN, 0, handle(i, 0), 1 + i, b""))
    for step in range(length):
        if deaf:
            deaf -= 1
        elif draw.random() < 0.05:
            deaf = draw.randrange(30)  # the host reads nothing for so many messages
        index = draw.randrange(actors)
        place = places[index]
        now = handle(index, place.generation)
        what = draw.random()
        if what < 0.75:
            n = BAD if draw.random() < 0.06 else draw.randrange(1 << 32)
            data = b"".join(draw.randrange(1 << 32).to_bytes(4, "little") for _ in range(9))
            corr = step + 100 if draw.random() < 0.6 else 0
            put(Slot(0x400, 0, now, corr, n.to_bytes(4, "little") + data))
        elif what < 0.78:
            put(Slot(Command.RESUME, 0, now, step + 100, b""))
        elif what < 0.85:
            put(Slot(Command.RESET, 0, handle(index, place.generation + 1), step + 100, b""))
        elif what < 0.88:
            put(Slot(Command.STOP, 0, now, step + 100, b""))
        elif what < 0.93:
            put(Slot(Command.SPAWN, 0, handle(index, place.generation + 1), step + 100, b""))
        elif what < 0.95:
            put(Slot(0x777, 0, now, step + 100, bytes(range(36))))
        elif what < 0.97:
            put(Slot(Command.STATS, 0, now, step + 100, b""))  # it waits for all before
            settle()
            host.kill(index, place.generation)
            place.killed = place.generation
            until = kernel.now + 30_000
            while kernel.now < until:
                turn()
        else:
            for _ in range(draw.randrange(8)):
                turn(reads=False)
        if draw.random() < 0.5:
            turn(reads=deaf == 0 and draw.random() < 0.8)
    settle()
    for _ in range(5):
        turn()
    for index, said in wanted.items():
        assert got[index] == said, f"seed {seed}, actor {index}: {kernel.dump()}"
    assert host.dev("k2h_written") <= expected, "RG-5"
    while not host.put(Slot(Command.POISON, 0, 0, 9, b"")):
        turn()
    for _ in range(3000):
        if kernel.step(2000) is Outcome.ENDED:
            break
    assert [slot.kind for slot in host.take_all()] == [Command.POISON]
    assert host.dev("h2k_read") == host.put_at[0] and host.dev("k2h_written") == expected + 1
    sums = sum(host.dev(name) for name in ("handled", "bounced", "commands"))
    assert sums == host.put_at[0], "RG-4"
    kernel.close()


MUTANTS = {
    "a ticket without compare and swap": (
        "warp", "if (ac_near_cas(&t->next, next, next + n) == next) {",
        "ac_near_st(&t->next, next + n); {",
    ),
    "a line is taken when its first chunk is there": (
        "warp", "there & there >> 1 & there >> 2 & there >> 3 & 0x11111111u", "there & 0x11111111u",
    ),
    "one line of two is enough": ("block", "if ((lines_there & all) != all) break;", ""),
    "a stage is filled that is not empty": (
        "warp",
        "if (s->open[team] == 0 && put >= AC_STAGES) ac_await(s, team, put - AC_STAGES);", "",
    ),
    "two messages for one lane in a stage": (
        "thread", "if (AC_LANES > 1 && (s->open[team] >> unit & 1)) ac_publish(s, lane, team);", "",
    ),
    "a stage is given back before its message was sent on": (
        "warp", "const ac_u32 faults = __ballot_sync(AC_FULL, failed);",
        "if (b.lane == 0) ac_mb_arrive(&s->empty[stage]);"
        "const ac_u32 faults = __ballot_sync(AC_FULL, failed);",
    ),
    "a fault comes after its message": (
        "thread", "reply, 12);\n      }", "reply, 12);\n      speak = false;\n      }",
    ),
    "a failed place takes the next message": (
        "warp", "if (status == AC_FAILED) return AC_REASON_SUSPENDED;", "",
    ),
    "a stage is announced before it is written": (
        "warp", "if (AC_LANES == 1) ac_publish(s, b.lane, team);", "",
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", MUTANTS)
def test_seeds_find_what_is_wrong(name: str, cache: Cache) -> None:
    level, right, wrong = MUTANTS[name]
    shape = Host(PROGRAMS[level], warps=2).shape
    text = shape.text("emulator")
    assert text.count(right) == 1, name
    found = None
    for seed in range(100):
        try:
            explore(level, seed, cache, text.replace(right, wrong))
        except AssertionError:
            found = seed
            break
    assert found is not None, f"no seed of 100 sees it: {name}"


@pytest.mark.parametrize("level", PROGRAMS)
def test_rg_4_sv_1_sv_5_each_schedule_gives_what_the_model_says(level: str, cache: Cache) -> None:
    for seed in range(70):
        explore(level, seed, cache)
