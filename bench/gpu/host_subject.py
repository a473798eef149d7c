"""One measurement of the host's call path, called as ``SUBJECT WORKLOAD N``; prints a JSON line.

All subjects talk to the same block on this machine's processor, which adds a number to a total;
the total is compared at the end, and a wrong one is an error. Latencies are of windows of 8 calls:
the least, the 1st percentile and the median of the windows.
"""

from __future__ import annotations

import asyncio
import ctypes
import importlib.util
import json
import mmap
import os
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import actinium as ac
from actinium import gpu
from actinium._native import RingEnd
from actinium.gpu.abi.geometry import Geometry
from actinium.gpu.abi.words import Command, handle
from actinium.gpu.codegen.host import compiler
from actinium.gpu.executors.cpu import CpuExecutor
from actinium.gpu.layout.plan import plan_of, reply_plan
from bench.harness import ROOT

SOURCE = Path(__file__).with_name("host_calls.cpp")
CDEF = """
int bench_attach(void*, unsigned long long, unsigned long long);
long long bench_ask(unsigned int, long long);
unsigned int bench_spawn(unsigned int);
long long bench_asks(unsigned int, long long, double*);
void bench_tells(unsigned int, const void*, long long);
"""
WINDOW, BURST, PART, PROGRAM, DEST = 8, 512, 100_000, 7, handle(0, 1)


@gpu.message(kind=0x0110)
class Add:
    amount: gpu.i64
    who: gpu.u32 = 0


@gpu.actor(level="thread")
class Total:
    total: gpu.i64 = 0

    @ac.on
    def add(self, m: Add) -> gpu.i64:
        self.total += m.amount
        return self.total


def _compiled(out: Path, *sources: str) -> Path:
    flags = ("-std=c++20", "-O3", "-shared", "-fPIC", f"-I{ROOT / 'native/include'}")
    include = f"-I{sysconfig.get_paths()['include']}"
    command = [compiler()[0], *flags, include, "-o", str(out), *sources]
    subprocess.run(command, check=True, capture_output=True)
    return out


def _cffi(folder: Path) -> Any:
    """The functions through cffi in API mode."""
    import cffi

    ffi = cffi.FFI()
    ffi.cdef(CDEF)
    ffi.set_source("_host_calls", f'extern "C" {{ {CDEF} }}', source_extension=".cpp")
    written = folder / "_host_calls.cpp"
    ffi.emit_c_code(str(written))
    built = _compiled(folder / "_host_calls.so", str(written), str(SOURCE))
    spec = importlib.util.spec_from_file_location("_host_calls", built)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.lib


def _ctypes(folder: Path) -> Any:
    lib = ctypes.PyDLL(str(_compiled(folder / "host_calls.so", str(SOURCE))))
    lib.bench_ask.restype = lib.bench_asks.restype = ctypes.c_longlong
    lib.bench_ask.argtypes = (ctypes.c_uint, ctypes.c_longlong)
    lib.bench_asks.argtypes = (ctypes.c_uint, ctypes.c_longlong, ctypes.c_void_p)
    lib.bench_tells.argtypes = (ctypes.c_uint, ctypes.c_char_p, ctypes.c_longlong)
    lib.bench_attach.argtypes = (ctypes.c_void_p, ctypes.c_ulonglong, ctypes.c_ulonglong)
    return lib


class Block:
    """The block, and how a subject reaches it."""

    def __init__(self, subject: str, folder: Path) -> None:
        program = gpu.compile(Total)
        assert program.spec is not None
        size = program.spec.state.size
        g = Geometry(PROGRAM, 1, 1, 1024, 36, 36, size, orphan_ns=0)
        fd = os.memfd_create("bench")
        os.ftruncate(fd, g.size)
        self.region = mmap.mmap(fd, g.size)
        self.region[:256] = g.config
        self.executor = CpuExecutor(program, self.region, fd, g)
        self.executor.start()
        self.plan = plan_of(gpu.record_of(Add), 0x0110)
        reply = reply_plan(program.functions[0].result)
        self.calls: Any = None
        self.call: tuple[Any, ...]
        if subject == "actinium":
            end = RingEnd(self.region, 0, PROGRAM, {0x0110: self.plan}, _failed)
            got: list[bytes] = []
            end.put(Command.SPAWN, DEST, waiter=got.append)
            while not got:
                end.poll()
            plan, message = self.plan, Add(1)
            self.tell_many = lambda packed: end.tell_many(DEST, plan, packed)
            self.ask = lambda: end.ask_sync(DEST, plan, message, reply, 10.0)
            self.call = end.ask_sync, DEST, plan, message, reply
            return
        self.calls = _cffi(folder) if subject == "cffi" else _ctypes(folder)
        self._held = (ctypes.c_char * g.size).from_buffer(self.region)
        address: Any = ctypes.addressof(self._held)
        if subject == "cffi":
            import cffi

            address = cffi.FFI().cast("void*", address)
        if self.calls.bench_attach(address, g.size, PROGRAM) or self.calls.bench_spawn(DEST):
            raise SystemExit("the block did not start")
        ask, tells = self.calls.bench_ask, self.calls.bench_tells
        self.tell_many = lambda packed: tells(DEST, packed, len(packed) // 16)
        self.ask = lambda: ask(DEST, 1)
        self.call = ask, DEST, 1


class Public:
    """The same through a system and a ref."""

    def __init__(self, ref: gpu.GpuRef) -> None:
        self.plan = plan_of(gpu.record_of(Add), 0x0110)
        message = Add(1)
        self.tell_many = lambda packed: ref.tell_many(packed, Add, wait=60.0)
        self.ask = lambda: ref.ask_sync(message, 60.0)
        self.call = ref.ask_sync, message


async def _public(workload: str, n: int) -> dict[str, float]:
    async with ac.System("bench") as system:
        rt = gpu.Runtime(system, backend="cpu")
        (ref,) = await rt.launch(Total)
        await ref.ask(Add(0))
        figures = WORKLOADS[workload](Public(ref), "public", n)
        await system.idle()
        await rt.close()
    return figures


def _failed(event: Any) -> Any:
    raise SystemExit(f"no answer: {event}")


def _check(got: int, expected: int) -> None:
    if got != expected:
        raise SystemExit(f"the total is {got}, not {expected}: there is no figure")


def _quantiles(windows: list[float]) -> dict[str, float]:
    windows.sort()
    n = len(windows)
    return {"least": windows[0], "p1": windows[n // 100], "p50": windows[n // 2]}


def _asks_of_ours(count: int, f: Any, d: int, plan: Any, m: Any, reply: Any) -> list[float]:
    clock, windows = time.perf_counter_ns, []
    for _ in range(count):
        began = clock()
        f(d, plan, m, reply, 9.0), f(d, plan, m, reply, 9.0), f(d, plan, m, reply, 9.0)
        f(d, plan, m, reply, 9.0), f(d, plan, m, reply, 9.0), f(d, plan, m, reply, 9.0)
        f(d, plan, m, reply, 9.0), f(d, plan, m, reply, 9.0)
        windows.append((clock() - began) / WINDOW)
    return windows


def _asks_of_ref(count: int, f: Any, m: Any) -> list[float]:
    clock, windows = time.perf_counter_ns, []
    for _ in range(count):
        began = clock()
        f(m), f(m), f(m), f(m)
        f(m), f(m), f(m), f(m)
        windows.append((clock() - began) / WINDOW)
    return windows


def _asks_of_c(count: int, f: Any, d: int, amount: int) -> list[float]:
    clock, windows = time.perf_counter_ns, []
    for _ in range(count):
        began = clock()
        f(d, amount), f(d, amount), f(d, amount), f(d, amount)
        f(d, amount), f(d, amount), f(d, amount), f(d, amount)
        windows.append((clock() - began) / WINDOW)
    return windows


def ask(block: Block | Public, subject: str, n: int) -> dict[str, float]:
    """Round trips, one at a time."""
    if isinstance(block, Block) and subject == "floor":
        room = (ctypes.c_double * (n // WINDOW))()
        _check(block.calls.bench_asks(DEST, n, room), n // WINDOW * WINDOW)
        return _quantiles(list(room))
    asks: Any = {"actinium": _asks_of_ours, "public": _asks_of_ref}.get(subject, _asks_of_c)
    windows = asks(n // WINDOW, *block.call)
    total = block.ask() - 1
    _check(total, n // WINDOW * WINDOW)
    return _quantiles(windows)


def put(block: Block | Public, subject: str, n: int) -> dict[str, float]:
    """Bursts of packed messages into a ring with room: no claim about the block."""
    packed = block.plan.pack(Add(1)) * BURST
    windows = []
    for _ in range(n // BURST):
        began = time.perf_counter_ns()
        block.tell_many(packed)
        windows.append((time.perf_counter_ns() - began) / BURST)
        block.ask()
    _check(block.ask(), n // BURST * (BURST + 1) + 1)
    return _quantiles(windows)


def flood(block: Block | Public, subject: str, n: int) -> dict[str, float]:
    """Packed messages until the last is handled, in parts; the best of them and the median."""
    packed = block.plan.pack(Add(1)) * PART
    parts = n // PART
    rates = []
    for _ in range(parts):
        began = time.perf_counter_ns()
        block.tell_many(packed)
        block.ask()
        rates.append(PART / (time.perf_counter_ns() - began) * 1e9)
    _check(block.ask(), parts * (PART + 1) + 1)
    rates.sort()
    return {"rate": rates[-1], "median": rates[parts // 2]}


WORKLOADS: dict[str, Callable[[Block | Public, str, int], dict[str, float]]] = {
    "ask": ask, "put": put, "flood": flood,
}  # fmt: skip


def main() -> None:
    subject, workload, n = sys.argv[1], sys.argv[2], int(sys.argv[3])
    if subject == "public":
        figures = asyncio.run(_public(workload, n))
    else:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            block = Block(subject, Path(folder))
            figures = WORKLOADS[workload](block, subject, n)
            block.executor._stop()
            block.executor.ended(5)
    sys.stdout.write(json.dumps({"workload": workload, "n": n, **figures}) + "\n")


if __name__ == "__main__":
    main()
