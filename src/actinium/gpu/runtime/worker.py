"""The process that runs a kernel for another one (``python -m actinium.gpu.runtime.worker``)."""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import Any

import msgspec

from actinium.wire.mainmodule import MainModule
from actinium.wire.names import find_type, load_main_with

from ..abi import futex
from ..abi.geometry import Geometry
from ..abi.region import Region
from ..executors.resident import make
from ..program import compile
from .process import Orders

_NAP, _AFTER = 0.001, 1.0


def main() -> None:
    """Starts what the first line of standard input says, and stays until it has ended."""
    orders = msgspec.json.decode(sys.stdin.buffer.readline(), type=Orders)
    with os.fdopen(orders.answer, "wb") as answer:
        try:
            region, executor = _started(orders)
        except BaseException as error:
            text = f"{type(error).__name__}: {error}".replace("\n", " ")
            answer.write(text.encode(errors="replace") + b"\n")
            raise
        answer.write(b"ok\n")
    alone = threading.Event()
    threading.Thread(target=_watch, args=(alone,), daemon=True).start()
    if hasattr(executor, "step"):
        _run(region, executor, alone)
    else:
        while not executor.ended(0.05) and not alone.is_set():
            pass
        executor.ended(region.geometry.orphan_ns / 1e9 + _AFTER)  # it leaves within its lease
    os._exit(0)


def _started(orders: Orders) -> tuple[Region, Any]:
    load_main_with(MainModule(orders.main).load)
    program = compile(find_type(orders.type), strict=orders.strict, max_steps=orders.max_steps)
    given: dict[str, Any] = dict(orders.geometry)
    geometry = Geometry(**given)
    region = Region.attach(orders.fd, geometry)
    executor = make(orders.backend, program, region.map, orders.fd, geometry)
    executor.start()
    return region, executor


def _watch(alone: threading.Event) -> None:
    """Standard input ends with the process that started this one."""
    while sys.stdin.buffer.read(4096):
        pass
    alone.set()


def _run(region: Region, executor: Any, alone: threading.Event) -> None:
    """The loop of an executor without a thread; it leaves when the host does (GP-3)."""
    beat, seen = region.host["heartbeat"], time.monotonic()
    while not executor.ended(0):
        busy = executor.step()
        now = time.monotonic()
        if region.host["heartbeat"] != beat:
            beat, seen = region.host["heartbeat"], now
        elif alone.is_set() or now - seen > region.geometry.orphan_ns / 1e9:
            executor.orphaned()
            return
        _ring(region)
        if not busy:
            at = region.host_blocks[0].where("bell")
            futex.wait(region.memory, at, futex.word(region.memory, at), _NAP)


def _ring(region: Region) -> None:
    """Wakes a host that sleeps."""
    if region.host["parked"]:
        for line in region.dev_blocks:
            line.add("bell")
            futex.wake(region.memory, line.where("bell"))


if __name__ == "__main__":
    main()
