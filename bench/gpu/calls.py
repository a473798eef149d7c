"""B8: which driver calls come back while a kernel is resident, and how long they take.

``python -m bench.gpu.calls CALL resident|idle N`` tries one in a process of its own, since a call
that waits does so for ever; the kernel ends with the process.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from bench.gpu.stats import quantiles
from bench.harness import ROOT

SIZE = 1 << 20
PATIENCE_S = 2.0

CALLS = (
    "cuMemAlloc + cuMemFree", "cuMemAllocAsync + cuMemFreeAsync", "cuMemHostAlloc + cuMemFreeHost",
    "cuMemHostRegister + cuMemHostUnregister", "cuStreamCreate + cuStreamDestroy",
    "cuModuleLoadData + cuModuleUnload", "cuMemsetD8", "cuMemGetInfo", "cuCtxSynchronize",
)  # fmt: skip


def _once(bench: Any, name: str, image: bytes, other: Any) -> Callable[[], None]:
    call = bench.driver.call
    pages = ctypes.create_string_buffer(SIZE + 4096)
    aligned = ctypes.addressof(pages) + -ctypes.addressof(pages) % 4096
    cleared = bench.memory(SIZE) if name == "cuMemsetD8" else 0

    def host_register() -> None:
        call("cuMemHostRegister", aligned, SIZE, 3)
        call("cuMemHostUnregister", aligned)

    tries: dict[str, Callable[[], Any]] = {
        CALLS[0]: lambda: call("cuMemFree", call("cuMemAlloc", SIZE)),
        CALLS[1]: lambda: call("cuMemFreeAsync", call("cuMemAllocAsync", SIZE, other), other),
        CALLS[2]: lambda: call("cuMemFreeHost", call("cuMemHostAlloc", SIZE, 3)),
        CALLS[3]: host_register,
        CALLS[4]: lambda: call("cuStreamDestroy", call("cuStreamCreate", 1)),
        CALLS[5]: lambda: call("cuModuleUnload", call("cuModuleLoadData", image)),
        CALLS[6]: lambda: call("cuMemsetD8", cleared, 0, SIZE),
        CALLS[7]: lambda: call("cuMemGetInfo"),
        CALLS[8]: lambda: call("cuCtxSynchronize"),
    }
    return tries[name]


def tried(name: str, resident: bool, n: int) -> dict[str, Any]:
    """Nanoseconds of a call, or ``waits``."""
    from actinium.gpu.codegen.nvrtc import cubin_of
    from bench.gpu.device import Bench
    from bench.gpu.launch import HERE

    bench = Bench()
    text = (HERE / "kernels.cu").read_text()
    image = cubin_of(text, bench.device.caps.architecture, True, None, "bench_add").data
    once = _once(bench, name, image, bench.driver.call("cuStreamCreate", 1))
    once()  # the first of its kind, before anything is resident
    if resident:
        there = bench.mapped_there
        bench.launch("bench_echo", 1, 1, ctypes.c_uint64(there), ctypes.c_uint64(there + 128))
        time.sleep(0.05)
    samples: list[int] = []

    def work() -> None:
        bench.driver.call("cuCtxSetCurrent", bench.context)
        for _ in range(n):
            start = time.perf_counter_ns()
            once()
            samples.append(time.perf_counter_ns() - start)

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    worker.join(PATIENCE_S)
    if worker.is_alive():
        return {"call": name, "waits": True, "n": len(samples)}
    if len(samples) < n:
        return {"call": name, "failed": True, "n": len(samples)}
    return {"call": name, "waits": False, "n": n, **quantiles(samples)}


def table(n: int = 200) -> list[dict[str, Any]]:
    """Each call, idle and with a kernel resident."""
    rows = []
    for name in CALLS:
        row: dict[str, Any] = {"call": name}
        for state in ("idle", "resident"):
            done = subprocess.run(
                [sys.executable, "-m", "bench.gpu.calls", name, state, str(n)],
                cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
            )  # fmt: skip
            lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
            row[state] = json.loads(lines[-1]) if lines else {"failed": done.stderr[-200:]}
        rows.append(row)
    return rows


def markdown(rows: list[dict[str, Any]]) -> str:
    """The table for people: microseconds."""

    def shown(found: dict[str, Any]) -> str:
        if found.get("failed"):
            return "failed"
        if found["waits"]:
            return f"waits (after {found['n']})"
        return f"{found['p50'] / 1e3:.3g} us (p99 {found['p99'] / 1e3:.3g})"

    lines = ["| B8 driver call | nothing resident | a kernel resident |", "|---|---|---|"]
    lines += [f"| {r['call']} | {shown(r['idle'])} | {shown(r['resident'])} |" for r in rows]
    return "\n".join(lines)


if __name__ == "__main__":
    found = tried(sys.argv[1], sys.argv[2] == "resident", int(sys.argv[3]))
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()
    os._exit(0)  # a call that waits, and the kernel it waits for, end here
