"""A launch of one counting actor for each block, driven by the C++ host of ``native.cpp``."""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import actinium as ac
from actinium import gpu
from actinium.gpu.abi.geometry import Geometry
from actinium.gpu.codegen.cache import Cache
from actinium.gpu.codegen.host import library
from actinium.gpu.codegen.rings import rings_text
from actinium.gpu.executors.resident import make
from actinium.gpu.layout.header import BASICS
from actinium.gpu.program import Program

HERE = Path(__file__).parent


@gpu.message(kind=0x0110)
class Add:
    """What every subject handles."""

    amount: gpu.i64


@gpu.actor(level="block")
class Total:
    """Adds, and answers with the sum so far."""

    total: gpu.i64

    @ac.on
    def add(self, m: Add) -> gpu.i64:
        self.total += m.amount
        return self.total


def native() -> Any:
    """The C++ host, compiled on the first call."""
    text = "\n".join(
        (
            BASICS,
            "#define AC_FN static inline",
            rings_text("cpu"),
            (HERE / "native.cpp").read_text(),
        )
    )
    data = library(text, True, Cache(), ("-pthread", "-ldl"))
    fd = os.memfd_create("bench")
    with os.fdopen(fd, "wb") as file:
        file.write(data)
        file.flush()
        code = ctypes.CDLL(f"/proc/self/fd/{fd}")
    code.bench_open.restype = ctypes.c_void_p
    for name in (
        "bench_window",
        "bench_tells",
        "bench_queue_tells",
        "bench_hunt",
        "bench_loop",
        "bench_launch_flood",
    ):
        getattr(code, name).restype = ctypes.c_uint64
    for name in (
        "bench_asks",
        "bench_lives",
        "bench_floor_word",
        "bench_queue_asks",
        "bench_threads",
        "bench_echo",
    ):
        getattr(code, name).restype = ctypes.c_bool
    return code


def geometry(program: Program, blocks: int, capacity: int = 1024) -> Geometry:
    """A place for one actor in each block."""
    return Geometry(
        program=1, blocks=blocks, actors=1, capacity=capacity, in_bytes=16, out_bytes=32,
        state_size=8, budget=program.max_steps,
    )  # fmt: skip


@contextmanager
def launched(
    backend: str, blocks: int, shape: Geometry | None = None, actor: type = Total
) -> Iterator[tuple[Any, ctypes.c_void_p]]:
    """The C++ host and its handle of a running launch; it is told to end at the end."""
    program = gpu.compile(actor)
    shape = shape or geometry(program, blocks)
    fd = os.memfd_create("bench")
    os.ftruncate(fd, shape.size)
    region = mmap.mmap(fd, shape.size)
    region[: len(shape.config)] = shape.config
    executor = make(backend, program, region, fd, shape)
    code = native()
    executor.start()
    held = (ctypes.c_char * shape.size).from_buffer(region)
    host = code.bench_open(ctypes.c_void_p(ctypes.addressof(held)))
    assert host is not None, "an actor could not be made"
    try:
        yield code, ctypes.c_void_p(host)
    finally:
        code.bench_close(ctypes.c_void_p(host))
        assert executor.ended(10), "the kernel does not end"
