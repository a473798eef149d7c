"""The protocol's ends in Python, and the region they lie in."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_abi import geometry

from actinium.errors import LayoutError, LayoutMismatch
from actinium.gpu.abi.region import Region
from actinium.gpu.abi.ring import Consumer, Producer, Slot, Stamp, encode
from actinium.gpu.abi.words import LINE, Flag, lines_for

SLOT = 4 * LINE


def ends(capacity: int, size: int) -> tuple[Producer, Consumer, bytearray]:
    memory = bytearray(SLOT * capacity)
    view = memoryview(memory)
    return (
        Producer(view, 0, SLOT, capacity),
        Consumer(view, 0, SLOT, capacity, lambda kind, flags: size),
        memory,
    )


@given(
    st.lists(st.integers(0, 3), max_size=60),
    st.integers(0, 120),
    st.booleans(),
)
def test_rg_2_rg_3_rg_4_a_ring_is_a_bounded_queue(
    steps: list[int], size: int, stamped: bool
) -> None:
    maker, taker, _ = ends(4, size)
    waiting: list[Slot] = []
    for n, step in enumerate(steps):
        stamp = Stamp(n << 12, 3, 7) if stamped else None
        flags = Flag.STAMPED if stamped else 0
        slot = Slot(0x100 + n, flags, n, n + 1, bytes([n % 251]) * size, stamp)
        if step < 2:
            if maker.put(slot, taker.count):
                waiting.append(slot)
            else:
                assert len(waiting) == 4
        else:
            assert taker.take() == (waiting.pop(0) if waiting else None)
        assert maker.count == taker.count + len(waiting)


@given(st.integers(0, 140), st.integers(0, 2**32 - 2), st.data())
def test_rg_1_a_line_is_taken_only_when_each_chunk_has_its_tag(
    size: int, number: int, data: st.DataObject
) -> None:
    maker, taker, memory = ends(4, size)
    maker.count = taker.count = number
    slot = Slot(0x100, 0, 5, 0, bytes(range(size)))
    lines = encode(slot, (number + 1) & 0xFFFFFFFF)
    assert len(lines) == lines_for(size) * LINE
    at = SLOT * (number & 3)
    chunks = data.draw(st.permutations(range(len(lines) // 16)))
    for chunk in chunks:  # they may arrive in any order
        assert taker.take() is None
        memory[at + 16 * chunk : at + 16 * chunk + 16] = lines[16 * chunk : 16 * chunk + 16]
    assert taker.take() == slot


def test_a_slot_that_says_more_than_fits_is_refused() -> None:
    maker, taker, _ = ends(4, 0)
    maker.put(Slot(0x100, Flag.STAMPED, 0, 0, b"", Stamp(1)), 0)
    taker._memory[36:40] = (9999).to_bytes(4, "little")  # the size of the data
    with pytest.raises(ValueError, match="says 9999 bytes"):
        taker.take()


def test_ly_3_a_region_of_another_launch_is_refused() -> None:
    made = Region.make(geometry())
    made.host["stop"] = 2
    made.dev_blocks[1].add("seq", 3)
    again = Region.attach(made.fd, geometry())
    assert again.host["stop"] == 2 and again.dev_blocks[1]["seq"] == 3
    with pytest.raises(LayoutMismatch, match="program"):
        Region.attach(made.fd, geometry(program=8))
    with pytest.raises(LayoutMismatch, match="capacity"):
        Region.attach(made.fd, geometry(capacity=128))
    made.memory[0:8] = bytes(8)
    with pytest.raises(LayoutError, match="starts with"):
        Region.attach(made.fd, geometry())
    made.close()
    empty = os.memfd_create("empty")
    with pytest.raises(LayoutError, match="at least 256 bytes, got 0"):
        Region.attach(empty, geometry())
    os.close(empty)


READER = """
import mmap, sys
words = memoryview(mmap.mmap(int(sys.argv[1]), 0)).cast("I")
at, stop = int(sys.argv[2]) // 4, int(sys.argv[3]) // 4
found = set()
print(flush=True)
while words[stop] == 0:
    for _ in range(1000):
        found.add(words[at])
print(*sorted(found))
"""


def test_rg_1_a_word_is_never_seen_half_written() -> None:
    made = Region.make(geometry())
    host = made.host_blocks[0]
    host["k2h_read"] = 1
    given = [str(n) for n in (made.fd, host.where("k2h_read"), made.host.where("stop"))]
    with subprocess.Popen(
        [sys.executable, "-c", READER, *given], pass_fds=(made.fd,), stdout=subprocess.PIPE
    ) as reader:
        assert reader.stdout is not None
        reader.stdout.readline()
        for _ in range(50_000):
            host["k2h_read"] = 0xFEFEFEFE
            host["k2h_read"] = 1
        made.host["stop"] = 1
        found = {int(n) for n in reader.stdout.readline().split()}
    made.close()
    assert found <= {1, 0xFEFEFEFE} and found
