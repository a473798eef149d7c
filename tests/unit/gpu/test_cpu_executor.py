"""The resident loop on this machine's processor, driven slot by slot."""

from __future__ import annotations

import mmap
import os
import struct
import time
from collections.abc import Iterator

import pytest
from gpu_samples import Add, Counter

import actinium as ac
from actinium import gpu
from actinium.errors import LayoutError, Unavailable
from actinium.gpu.abi.geometry import Geometry
from actinium.gpu.abi.words import Command, Flag, Reason, Status, handle
from actinium.gpu.executors.cpu import CpuExecutor

PROGRAM = gpu.compile(Counter)


class Slots:
    """The host's ends of block 0's rings in plain Python."""

    def __init__(self, **changes: int) -> None:
        given = {"orphan_ns": 0} | changes
        size = PROGRAM.spec.state.size  # type: ignore[union-attr]
        self.geometry = g = Geometry(7, 1, 4, 64, 40, 40, size, **given)  # type: ignore[arg-type]
        fd = os.memfd_create("region")
        os.ftruncate(fd, g.size)
        self.region = mmap.mmap(fd, g.size)
        os.close(fd)
        self.region[:256] = g.config
        self.executor = CpuExecutor(PROGRAM, self.region, -1, g)
        self.executor.start()
        self.written = self.read = 0

    def put(self, kind: int, dest: int, corr: int = 0, data: bytes = b"", flags: int = 0) -> None:
        words = struct.pack("<III", kind | flags << 16, dest, corr) + data
        words += bytes(-len(words) % 48)
        tag = struct.pack("<I", self.written + 1)
        at = self.geometry.h2k(0) + self.written % 64 * self.geometry.in_slot
        pieces = [words[i : i + 12] + tag for i in range(0, len(words), 12)]
        for i in reversed(range(len(pieces))):  # the head comes last
            self.region[at + 16 * i : at + 16 * i + 16] = pieces[i]
        self.written += 1

    def add(self, amount: int, dest: int, corr: int = 0) -> None:
        self.put(0x0110, dest, corr, Add.__gpu_record__.pack(Add(amount)))  # type: ignore[attr-defined]

    def get(self) -> tuple[int, int, int, int, bytes]:
        """(kind, flags, dest, corr, data) of what comes next."""
        at = self.geometry.k2h(0) + self.read % 64 * self.geometry.out_slot
        until = time.monotonic() + 5
        tag = struct.pack("<I", self.read + 1)
        while any(self.region[at + 12 + 16 * i : at + 16 + 16 * i] != tag for i in range(4)):
            assert time.monotonic() < until, "nothing came back"
            time.sleep(0)
        self.read += 1
        line = self.region[at : at + 64]
        body = b"".join(line[i : i + 12] for i in range(0, 64, 16))
        word0, dest, corr = struct.unpack_from("<III", body)
        return word0 & 0xFFFF, word0 >> 16, dest, corr, body[12:]

    def status(self, command: int, dest: int) -> int:
        self.put(command, dest, 9)
        kind, flags, back, corr, data = self.get()
        assert (kind, flags, back, corr) == (command, Flag.REPLY, dest, 9)
        return int.from_bytes(data[:4], "little")

    def close(self) -> None:
        self.executor._stop()
        assert self.executor.ended(5)


@pytest.fixture
def slots() -> Iterator[Slots]:
    made = Slots()
    yield made
    made.close()


def value(data: bytes) -> int:
    return int.from_bytes(data[:8], "little", signed=True)


def test_a_message_runs_its_handler_and_the_reply_comes_back(slots: Slots) -> None:
    one = handle(0, 1)
    assert slots.status(Command.SPAWN, one) == Status.OK
    slots.add(2, one)
    slots.add(3, one, corr=5)
    kind, flags, dest, corr, data = slots.get()
    assert (kind, flags, dest, corr, value(data)) == (0x0110, Flag.REPLY, one, 5, 5)


def test_a_fault_fails_its_actor_alone_until_it_is_reset(slots: Slots) -> None:
    one, other = handle(0, 1), handle(1, 1)
    for dest in (one, other):
        assert slots.status(Command.SPAWN, dest) == Status.OK
    slots.add(-1, one, corr=5)
    _, flags, _, corr, data = slots.get()
    assert (flags, corr, data[0]) == (Flag.REPLY | Flag.ERROR, 5, Status.FAULT)
    assert slots.get()[1] == Flag.BOUNCED | Reason.FAILED << 10
    slots.add(1, one)
    assert slots.get()[1] == Flag.BOUNCED | Reason.SUSPENDED << 10
    slots.add(1, other, corr=6)
    assert value(slots.get()[4]) == 1
    again = handle(0, 2)
    assert slots.status(Command.RESET, again) == Status.OK
    slots.add(7, again, corr=7)
    assert value(slots.get()[4]) == 7


def test_sv_2_a_stale_generation_reaches_no_new_actor(slots: Slots) -> None:
    assert slots.status(Command.SPAWN, handle(0, 1)) == Status.OK
    assert slots.status(Command.STOP, handle(0, 1)) == Status.OK
    slots.add(1, handle(0, 1))
    assert slots.get()[1] == Flag.BOUNCED | Reason.NO_ACTOR << 10
    assert slots.status(Command.SPAWN, handle(0, 2)) == Status.OK
    slots.add(1, handle(0, 1))
    assert slots.get()[1] == Flag.BOUNCED | Reason.STALE << 10
    slots.add(1, handle(0, 2), corr=1)
    assert value(slots.get()[4]) == 1


def test_slots_that_are_too_small_are_refused_before_the_start() -> None:
    g = Geometry(7, 1, 1, 64, 8, 8, 8)
    narrow = Geometry(7, 1, 1, 64, 400, 8, 8)
    wide = gpu.compile(_wide())
    with pytest.raises(LayoutError, match="needs in_bytes of 408"):
        CpuExecutor(wide, bytearray(g.size), -1, g)
    with pytest.raises(LayoutError, match="needs out_bytes of 408"):
        CpuExecutor(wide, bytearray(narrow.size), -1, Geometry(7, 1, 1, 64, 408, 8, 8))


def _wide() -> type:
    @gpu.message(kind=0x0130)
    class Wide:
        values: gpu.Array[gpu.f64, 50]  # type: ignore[valid-type]

    @gpu.actor(level="thread")
    class Sum:
        total: gpu.f64 = 0.0

        @ac.on
        def add(self, m: Wide) -> gpu.f64:
            for i in range(50):
                self.total += m.values[i]
            return self.total

    return Sum


def test_gp_3_without_a_host_s_heartbeat_a_block_ends_within_its_lease() -> None:
    slots = Slots(orphan_ns=20_000_000)
    assert slots.executor.ended(5)
    assert slots.executor._threads == 1


def test_a_running_block_cannot_be_forced(slots: Slots) -> None:
    with pytest.raises(Unavailable, match="ends by its budget"):
        slots.executor.force()
