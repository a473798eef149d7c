"""RG-1 to RG-3 on this processor: no message of many is torn, lost, doubled or out of order."""

from __future__ import annotations

import ctypes
import struct
import threading
from pathlib import Path

import pytest

from actinium.errors import UsageError
from actinium.gpu.codegen.cache import Cache
from actinium.gpu.codegen.host import library
from actinium.gpu.executors.emulator import Outcome
from actinium.gpu.executors.native import loaded
from actinium.gpu.selftest import HuntResult, device_hunt_text, host_hunt_text, hunt


@pytest.mark.parametrize(("capacity", "lines"), [(16, 1), (64, 1), (64, 3), (16, 9)])
def test_rg_1_rg_2_rg_3_no_message_is_torn_lost_or_doubled(capacity: int, lines: int) -> None:
    found = hunt(250_000, capacity, lines)
    assert (found.messages, found.torn) == (250_000, 0)


@pytest.mark.parametrize("producers", [2, 7])
def test_rg_2_rg_5_producers_that_share_a_ring_keep_their_order(producers: int) -> None:
    found = hunt(100_000, 16, 1, producers=producers)
    assert found.torn == 0 and found.messages == 100_000 // producers * producers


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_rg_1_none_of_10_to_the_8_messages_is_torn() -> None:
    assert hunt(100_000_000, 1024, 1).torn == 0


def test_a_hunt_that_cannot_be_is_refused() -> None:
    with pytest.raises(UsageError, match="power of two from 4"):
        hunt(10, 5)


def test_a_hunt_with_a_device_finds_none_torn_and_one_that_is(tmp_path: Path) -> None:
    """The same kernel and host side as on a GPU, here with the kernel on fibers."""
    cache = Cache(tmp_path)
    host = loaded(library(host_hunt_text(), True, cache, ("-pthread",)))
    host.ac_hunt_bytes.restype = ctypes.c_uint64
    each, blocks, capacity = 3000, 2, 64
    for mutant in (False, True):
        text = device_hunt_text("emulator")
        right = "ac_st16(&out[n & mask].c[chunk], ac_hunt_chunk(n, chunk, true));"
        assert right in text
        if mutant:  # one chunk of the 777th answer is another's
            kernel = 'extern "C" __global__'
            other = (
                "static ac_chunk other(ac_u32 n, ac_u32 c) {"
                " ac_chunk r = ac_hunt_chunk(n, c, true);"
                " if (n == 777 && c == 2) r.w[0] ^= 1; return r; }\n"
            )
            text = text.replace("ac_hunt_chunk(n, chunk, true)", "other(n, chunk)")
            text = text.replace(kernel, other + kernel, 1)
        device = loaded(library(text, True, cache, ("-O1",)))
        device.ac_emu_new.restype = ctypes.c_void_p
        region = ctypes.create_string_buffer(host.ac_hunt_bytes(blocks, capacity) + 4096)
        at = -(-ctypes.addressof(region) // 4096) * 4096
        plan = struct.pack("<QII", each, blocks, capacity)
        ctypes.memmove(at, plan, len(plan))
        grid = ctypes.c_void_p(
            device.ac_emu_new(
                ctypes.c_void_p(at), None, blocks, 32, 0, ctypes.c_uint64(0), 1, ctypes.c_uint64(0)
            )
        )
        result = HuntResult()
        given = (ctypes.c_void_p(at), 0, 1, ctypes.c_double(10), ctypes.byref(result))
        thread = threading.Thread(target=host.ac_hunt_host, args=given)
        thread.start()
        while device.ac_emu_step(grid, ctypes.c_uint64(100_000)) == Outcome.RUNS:
            pass
        thread.join()
        device.ac_emu_free(grid)
        assert result.taken == each * blocks
        assert (result.torn, host.ac_hunt_torn(ctypes.c_void_p(at))) == (2 * mutant, 0)
