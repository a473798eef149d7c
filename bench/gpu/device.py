"""Floors and baselines on a GPU: kernels of ``kernels.cu`` without a runtime."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from actinium.gpu.codegen.nvrtc import cubin_of
from actinium.gpu.hardware.find import device
from bench.gpu.launch import HERE, native
from bench.gpu.stats import quantiles

_NON_BLOCKING = 1
_LINE = 128
Result = dict[str, Any]


class Bench:
    """A context, a stream, the module, and a little memory on both sides."""

    def __init__(self) -> None:
        self.device = device(0)
        self.driver = self.device.driver
        self.context = self.driver.call("cuDevicePrimaryCtxRetain", self.device.handle)
        self.driver.call("cuCtxSetCurrent", self.context)
        text = (HERE / "kernels.cu").read_text()
        made = cubin_of(text, self.device.caps.architecture, True, None, "bench_add")
        self.module = self.driver.call("cuModuleLoadData", made.data)
        self.stream = self.driver.call("cuStreamCreate", _NON_BLOCKING)

    @cached_property
    def mapped(self) -> int:
        """A page of zeroes that both sides see at this address."""
        address = int(self.driver.call("cuMemHostAlloc", 65_536, 3))
        ctypes.memset(address, 0, 65_536)
        return address

    @property
    def mapped_there(self) -> int:
        """The same page as the device names it."""
        return int(self.driver.call("cuMemHostGetDevicePointer", self.mapped, 0))

    def memory(self, size: int) -> int:
        """Cleared memory of the device."""
        at = self.driver.call("cuMemAlloc", size)
        self.driver.call("cuMemsetD8", at, 0, size)
        self.driver.call("cuCtxSynchronize")
        return int(at)

    def function(self, name: str) -> Any:
        return self.driver.call("cuModuleGetFunction", self.module, name.encode())

    def launch(self, name: str, blocks: int, threads: int, *arguments: Any) -> None:
        """On the stream; ``arguments`` are ctypes values."""
        pointers = (ctypes.c_void_p * len(arguments))(*map(ctypes.addressof, arguments))
        self.driver.call(
            "cuLaunchKernel", self.function(name), blocks, 1, 1, threads, 1, 1, 0, self.stream,
            ctypes.addressof(pointers), 0,
        )  # fmt: skip

    def wait(self) -> None:
        self.driver.call("cuStreamSynchronize", self.stream)

    def read(self, address: int, size: int) -> bytes:
        data = ctypes.create_string_buffer(size)
        self.driver.call("cuMemcpyDtoH", ctypes.addressof(data), address, size)
        return data.raw


def _samples(n: int) -> Any:
    return (ctypes.c_uint32 * n)()


def _times(samples: Any, **more: Any) -> Result:
    return {**quantiles(list(samples)), "n": len(samples), "verified": True, **more}


def mapped_echo(scenario: str, n: int) -> Result:
    """A word to a kernel of one thread and back."""
    bench = Bench()
    bench.launch(
        "bench_echo", 1, 1, ctypes.c_uint64(bench.mapped_there),
        ctypes.c_uint64(bench.mapped_there + _LINE),
    )  # fmt: skip
    samples = _samples(n)
    there = ctypes.c_void_p(bench.mapped)
    back = ctypes.c_void_p(bench.mapped + _LINE)
    right = native().bench_echo(there, back, n, n // 10 + 1, samples)
    bench.wait()
    if not right:
        raise SystemExit("a wrong word came back")
    return _times(samples)


def mapped_read(scenario: str, n: int) -> Result:
    """Loads of mapped memory from the device, each after the one before."""
    bench, words = Bench(), 1024
    n = min(n, 20_000)
    host = (ctypes.c_uint32 * words).from_address(bench.mapped)
    for i in range(words):
        host[i] = (i + 1) % words
    cycles, whole = bench.memory(4 * n), bench.memory(32)
    bench.launch(
        "bench_reads", 1, 1, ctypes.c_uint64(bench.mapped_there), ctypes.c_uint32(words),
        ctypes.c_uint32(n), ctypes.c_uint64(cycles), ctypes.c_uint64(whole),
    )  # fmt: skip
    bench.wait()
    all_cycles, ns, wrong = memoryview(bench.read(whole, 24)).cast("Q")
    if wrong:
        raise SystemExit(f"{wrong} of {n} loads were wrong")
    each = ns / all_cycles
    return _times([c * each for c in memoryview(bench.read(cycles, 4 * n)).cast("I")])


def _launches(how: int, n: int) -> Result:
    bench = Bench()
    samples = _samples(n)
    code = native().bench_launches(
        ctypes.c_void_p(int(bench.function("bench_add"))), ctypes.c_void_p(int(bench.stream)),
        ctypes.c_void_p(bench.mapped), ctypes.c_uint64(bench.mapped_there),
        ctypes.c_uint64(bench.memory(8)), how, n, n // 10 + 1, samples,
    )  # fmt: skip
    if code:
        raise SystemExit(f"launches failed at step {code}" if code > 0 else "a total was wrong")
    return _times(samples, rate=n / sum(samples) * 1e9)


def launch_sync(scenario: str, n: int) -> Result:
    """A launch for each message, then the stream is waited for."""
    return _launches(0, min(n, 20_000))


def graph_sync(scenario: str, n: int) -> Result:
    """The same launch out of a graph."""
    return _launches(1, min(n, 20_000))


def launch_flag(scenario: str, n: int) -> Result:
    """A launch for each message; the host watches the word that the kernel writes."""
    return _launches(2, min(n, 20_000))


def launches(scenario: str, n: int) -> Result:
    """A launch for each message, none of which is waited for but the last."""
    bench, n = Bench(), min(n, 200_000)
    took = native().bench_launch_flood(
        ctypes.c_void_p(int(bench.function("bench_add_value"))), ctypes.c_void_p(int(bench.stream)),
        ctypes.c_void_p(bench.mapped), ctypes.c_uint64(bench.mapped_there),
        ctypes.c_uint64(bench.memory(8)), ctypes.c_uint64(n),
    )  # fmt: skip
    if not took:
        raise SystemExit("a launch failed, or the total was wrong")
    return {"rate": n / took * 1e9, "n": n, "verified": True}


def relaunch(scenario: str, n: int) -> Result:
    """The state is cleared and the kernel that handles a message launched anew."""
    import time

    bench, n = Bench(), min(n, 5_000)
    state, zero = bench.memory(8), ctypes.c_uint32(0)
    line = ctypes.c_uint64(bench.mapped_there)
    amount = ctypes.c_int64.from_address(bench.mapped)
    total = ctypes.c_int64.from_address(bench.mapped + 64)
    samples = []
    for i in range(n + n // 10):
        amount.value = i
        start = time.perf_counter_ns()
        bench.driver.call("cuMemsetD8Async", state, 0, 8, bench.stream)
        bench.launch("bench_add", 1, 32, line, ctypes.c_uint64(state), zero)
        bench.wait()
        samples.append(time.perf_counter_ns() - start)
        if total.value != i:
            raise SystemExit("a total was wrong")
    return _times(samples[n // 10 :])


_KERNELS = {"block": "bench_block", "grid": "bench_grid"}


def _around(kernel: str, blocks: int, threads: int, n: int, check: bool) -> float:
    """Nanoseconds of one round; with ``check`` every thread looks for what another wrote."""
    bench = Bench()
    words, whole = bench.memory(4 * blocks * threads), bench.memory(32)
    bench.launch(
        kernel, blocks, threads, ctypes.c_uint32(n), ctypes.c_uint32(check), ctypes.c_uint64(words),
        ctypes.c_uint64(whole),
    )  # fmt: skip
    bench.wait()
    _, ns, wrong = memoryview(bench.read(whole, 24)).cast("Q")
    if wrong:
        raise SystemExit(f"{kernel}: {wrong} reads came before what they follow")
    bench.driver.call("cuModuleUnload", bench.module)
    return float(ns) / n


def _barriers(scenario: str, kernel: str, n: int) -> Result:
    name, _, count = scenario.partition("@")
    threads = int(count) if name == "block" else 256
    blocks = 1 if name == "block" else int(count)
    _around(kernel, blocks, threads, min(n, 1000), kernel != "bench_empty")
    samples = [_around(kernel, blocks, threads, n, False) for _ in range(7)]
    return _times(samples[2:], rounds=n)


def barrier(scenario: str, n: int) -> Result:
    """The barrier that the scenario names."""
    name, _, count = scenario.partition("@")
    if name == "cluster":
        device(0).caps.require("cluster barriers")
        return _barriers(scenario, f"bench_cluster{count}", n)
    return _barriers(scenario, _KERNELS[name], n)


def empty(scenario: str, n: int) -> Result:
    """The loop without a barrier."""
    return _barriers(scenario, "bench_empty", n)


def counter(scenario: str, n: int) -> Result:
    """A barrier written by hand: in a block an atomic in shared memory, across blocks in L2."""
    if scenario.startswith("block"):
        return _barriers(scenario, "bench_counter", n)
    return _barriers(scenario, "bench_grid", n)


@contextmanager
def resident() -> Iterator[Bench]:
    """A kernel of one thread that stays until the block of code ends."""
    bench = Bench()
    _ = bench.mapped
    bench.launch(
        "bench_echo", 1, 1, ctypes.c_uint64(bench.mapped_there),
        ctypes.c_uint64(bench.mapped_there + _LINE),
    )  # fmt: skip
    try:
        yield bench
    finally:
        ctypes.c_uint32.from_address(bench.mapped).value = 0xFFFFFFFF
        bench.wait()
