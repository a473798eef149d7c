"""The resident kernel of every level becomes machine code for both GPUs, without a GPU."""

from __future__ import annotations

import re
from typing import Any

import pytest
from gpu_host import Host
from gpu_samples import PROGRAMS

from actinium import gpu
from actinium.errors import UsageError

nvrtc = pytest.importorskip("cuda.bindings.nvrtc", reason="the extra gpu is not installed")

from actinium.gpu.codegen.nvrtc import ARCHITECTURES, _compile  # noqa: E402

pytestmark = pytest.mark.gpu_compile

ACTORS = [program for program in PROGRAMS if hasattr(program, "__gpu_actor__")]
SPILLS = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")


def compiled(program: Any, architecture: str, **changes: Any) -> tuple[str, bytes]:
    """(the log, the code) of a resident kernel."""
    text = Host(gpu.compile(program), **changes).shape.text("cuda")
    options = (
        f"--gpu-architecture={architecture}", "--std=c++17", "--fmad=false",
        "--ptxas-options=-v", "--disable-warnings",
    )  # fmt: skip
    blob = _compile(text, options)
    size = int.from_bytes(blob[:8], "little")
    return blob[8 : 8 + size].decode(), blob[8 + size :]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("program", ACTORS, ids=lambda p: p.__name__)
def test_tr_3_a_resident_kernel_spills_nothing(
    program: Any, architecture: str, record_property: Any
) -> None:
    log, code = compiled(program, architecture)
    assert code[:4] == b"\x7fELF" and log.count("Compiling entry function") == 1
    assert "Compiling entry function 'ac_resident'" in log
    found = [tuple(map(int, numbers)) for numbers in SPILLS.findall(log)]
    assert found and all(stores == loads == 0 for _, stores, loads in found), log
    [registers] = {int(n) for n in re.findall(r"Used (\d+) registers", log)}
    record_property("registers", registers)
    assert registers <= 160


def test_a_kernel_or_too_many_warps_are_refused() -> None:
    with pytest.raises(UsageError, match="1 to 31 warps"):
        Host(gpu.compile(ACTORS[0]), warps=32)


def test_the_loop_reads_and_writes_a_chunk_in_one_piece_and_has_no_fence() -> None:
    """What goes over PCIe for a message of one line: one load and one store of 16 bytes a lane."""
    error, handle = nvrtc.nvrtcCreateProgram(
        Host(gpu.compile(ACTORS[0]), in_bytes=24).shape.text("cuda").encode(), b"p.cu", 0, [], []
    )
    (error,) = nvrtc.nvrtcCompileProgram(handle, 1, [b"--gpu-architecture=compute_90a"])
    assert int(error) == 0
    _, size = nvrtc.nvrtcGetPTXSize(handle)
    buffer = bytes(size)
    nvrtc.nvrtcGetPTX(handle, buffer)
    nvrtc.nvrtcDestroyProgram(handle)
    entry = buffer.decode().split(".entry ac_resident")[1].split("\n}\n")[0]
    assert entry.count("ld.relaxed.sys.global.v4.b32") == 1, "of the ring"
    assert entry.count("st.relaxed.sys.global.v4.b32") == 1, "of a reply"
    assert "fence" not in entry and "membar" not in entry and "barrier.cluster" not in entry
    assert "mbarrier.try_wait" in entry
