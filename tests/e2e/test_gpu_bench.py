"""The benchmarks of resident actors, on this processor and against a driver without a device."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import actinium
from actinium import gpu
from actinium.gpu.codegen.cache import Cache
from actinium.gpu.codegen.host import library
from actinium.gpu.codegen.resident import cpu_text

slow = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
PACKAGE = Path(actinium.__file__).resolve().parents[1]


def python(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": f"{PACKAGE}:{ROOT}", **env},
        timeout=100,
    )


def subject(*words: str, **env: str) -> dict[str, Any]:
    done = python("bench.gpu.subject", *words, **env)
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["verified"] is True and found["n"] >= 1
    return found


@pytest.mark.parametrize(
    ("name", "scenario", "figure"),
    [
        ("actinium", "trip@1", "p99_9"),
        pytest.param("actinium", "loaded@2", "p50", marks=slow),
        ("actinium", "window@2x8", "rate"),
        pytest.param("actinium", "tells@2", "rate", marks=slow),
        ("actinium", "lives", "p50"),
        pytest.param("word", "trip@1", "p50", marks=slow),
        pytest.param("queue", "trip@1", "p50", marks=slow),
        pytest.param("queue", "tells@1", "rate", marks=slow),
        pytest.param("thread", "lives", "p50", marks=slow),
        ("loop", "tells@1", "rate"),
    ],
)
def test_a_measurement_on_this_processor(name: str, scenario: str, figure: str) -> None:
    assert subject("cpu", name, scenario, "200")[figure] > 0


def test_the_hunt_sees_every_message_and_every_reply() -> None:
    done = python("bench.gpu.hunt", "--backend", "cpu", "--messages", "3000", "--blocks", "1")
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert found["answered"] == 3000 and found["wrong"] == 0


@pytest.fixture(scope="module")
def fake(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment in which libcuda is the one without a device."""
    pytest.importorskip("cuda.bindings.nvrtc", reason="the extra gpu is not installed")
    from actinium.gpu.codegen.nvrtc import cubin_of
    from actinium.gpu.codegen.resident_cuda import Resident
    from bench.gpu.launch import HERE, Total, geometry

    folder = tmp_path_factory.mktemp("fake_cuda")
    subprocess.run(
        ["g++", "-std=c++17", "-O1", "-w", "-shared", "-fPIC", "-pthread",
         "-Wl,-soname,libcuda.so.1", "-o", str(folder / "libcuda.so.1"),
         str(Path(__file__).with_name("fake_cuda.cpp")), "-ldl"],
        check=True,
    )  # fmt: skip
    # NVRTC looks for a driver's own tables: what it makes is made before, and found in the cache.
    program, cache = gpu.compile(Total), Cache(folder / "cache" / "gpu")
    cubin_of((HERE / "kernels.cu").read_text(), "sm_90a", True, cache, "bench_add")
    kernel = Resident(program, geometry(program, 2)).text("cuda")
    cubin_of(kernel, "sm_90a", True, cache, Resident.entry)
    text = cpu_text(program)
    (folder / "resident.so").write_bytes(library(text, True, cache, ("-pthread",)))
    return {
        "LD_LIBRARY_PATH": str(folder),
        "ACTINIUM_CACHE": str(folder / "cache"),
        "AC_FAKE_RESIDENT": str(folder / "resident.so"),
    }


@pytest.mark.gpu_compile
@pytest.mark.parametrize(
    ("name", "scenario"),
    [
        ("actinium", "trip@2"),
        ("launch_sync", "trip@1"),
        *(
            pytest.param(*case, marks=slow)
            for case in (
                ("mapped_echo", "trip@1"),
                ("mapped_read", "trip@1"),
                ("graph_sync", "trip@1"),
                ("launch_flag", "trip@1"),
                ("launches", "tells@1"),
                ("relaunch", "lives"),
                ("barrier", "cluster@8"),
                ("barrier", "grid@8"),
                ("empty", "block@32"),
                ("counter", "block@1024"),
            )
        ),
    ],
)
def test_a_measurement_through_the_driver_api(
    fake: dict[str, str], name: str, scenario: str
) -> None:
    subject("cuda", name, scenario, "50", **fake)


@slow
@pytest.mark.gpu_compile
def test_the_whole_of_it_makes_a_report(fake: dict[str, str], tmp_path: Path) -> None:
    report, data = tmp_path / "r.md", tmp_path / "r.json"
    done = python(
        "bench.gpu", "--backend", "cuda", "--quick", "--rounds", "1",
        "--only", "^(trip@1|block@32)$", "--markdown", str(report), "--json", str(data), **fake,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    text = report.read_text()
    for part in ("| B1 | trip@1 |", "| B5 | block@32 |", "mapped_echo", "launch_sync", "## Goals",
                 "Fewer than 5 rounds", "device: No device at all, sm_90a"):  # fmt: skip
        assert part in text, text
    assert {cell["subject"] for cell in json.loads(data.read_text())["cells"]} >= {"actinium"}


@slow
@pytest.mark.gpu_compile
def test_calls_that_wait_are_told_from_those_that_return(fake: dict[str, str]) -> None:
    def state(call: str) -> Any:
        done = python("bench.gpu.calls", call, "resident", "3", **fake)
        return json.loads(done.stdout)["waits"]

    assert state("cuMemAlloc + cuMemFree") is False
    assert state("cuCtxSynchronize") is True
