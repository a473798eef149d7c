"""The protocol's numbers and places are the same for Python, g++ and NVRTC."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actinium.errors import UsageError
from actinium.gpu.abi.geometry import Geometry
from actinium.gpu.abi.lines import CONFIG, DEV_BLOCK, HOST_BLOCK, HOST_LINE
from actinium.gpu.abi.text import abi_header, native_header
from actinium.gpu.abi.words import Command, Flag, Reason, Status, handle, lines_for
from actinium.gpu.codegen.cache import Cache
from actinium.gpu.codegen.host import library


def geometry(**changes: int) -> Geometry:
    given: dict[str, int] = {
        "program": 7, "blocks": 2, "actors": 3, "capacity": 64,
        "in_bytes": 40, "out_bytes": 8, "state_size": 100,
    }  # fmt: skip
    return Geometry(**(given | changes))


def test_the_header_compiles_with_its_assertions() -> None:
    text = abi_header() + (
        'extern "C" ac_u64 size(const unsigned char* p) { return ((const ac_config*)p)->size; }'
    )
    assert library(text, True, Cache())
    for enum in (Flag, Reason, Command, Status):
        for item in enum:
            assert f"AC_{enum.__name__.upper()}_{item.name} {int(item)}u" in text


def test_ly_2_what_host_and_device_write_lies_on_different_control_lines() -> None:
    for record in (CONFIG, HOST_LINE, HOST_BLOCK, DEV_BLOCK):
        assert record.size % 128 == 0
    g = geometry()
    written_by_device = [(g.dev_block(b), 128) for b in range(2)]
    written_by_host = [(g.offsets["host_line"], 128), *((g.host_block(b), 128) for b in range(2))]
    for at, size in written_by_device:
        assert at % 128 == 0
        assert all(at + size <= other or other + n <= at for other, n in written_by_host)


@given(
    st.integers(1, 9), st.integers(1, 9), st.integers(4, 9), st.integers(0, 300),
    st.integers(0, 300), st.integers(1, 1000), st.booleans(),
)  # fmt: skip
def test_parts_of_a_region_do_not_overlap(
    blocks: int, actors: int, bits: int, inside: int, out: int, state: int, stamped: bool
) -> None:
    g = Geometry(1, blocks, actors, 1 << bits, inside, out, state, stamped=stamped)
    spans = [(0, 256), (g.offsets["host_line"], 128)]
    spans += [(g.host_block(b), 128) for b in range(blocks)]
    spans += [(g.dev_block(b), 128) for b in range(blocks)]
    spans += [(g.kill(i), 4) for i in range(blocks * actors)]
    spans += [(g.init(i), g.state_stride) for i in range(blocks * actors)]
    spans += [(g.h2k(b), g.in_slot * g.capacity) for b in range(blocks)]
    spans += [(g.k2h(b), g.out_slot * g.capacity) for b in range(blocks)]
    spans.sort()
    for (at, size), (following, _) in itertools.pairwise(spans):
        assert at + size <= following
    assert spans[-1][0] + spans[-1][1] <= g.size
    config = CONFIG.unpack(g.config)
    assert config["size"] == g.size and config["h2k"] == g.h2k(0)


def test_lines_of_a_slot() -> None:
    assert [lines_for(n) for n in (0, 36, 37, 84, 85)] == [1, 1, 2, 2, 3]
    assert [lines_for(n, stamped=True) for n in (0, 12, 13, 60, 61)] == [1, 1, 2, 2, 3]


def test_a_handle_is_an_index_and_a_generation() -> None:
    assert handle(5, 0) == 5
    assert handle(5, 1) == 5 | 1 << 20
    assert handle(5, 4096) == 5


@pytest.mark.parametrize("capacity", [0, 8, 100, 1 << 17])
def test_a_ring_s_capacity_is_refused_by_its_bounds(capacity: int) -> None:
    with pytest.raises(UsageError, match="inbox must be a power of two from 16 to 65,536"):
        geometry(capacity=capacity)


def test_too_many_actors_are_refused() -> None:
    with pytest.raises(UsageError, match="from 1 to"):
        geometry(blocks=1024, actors=1024)


def test_ly_1_the_compiled_module_is_built_with_the_same_header() -> None:
    """After a change of the protocol: write `native_header()` to that file."""
    root = Path(__file__).resolve().parents[3]
    assert (root / "native/include/actinium/gpu_abi.h").read_text() == native_header()
