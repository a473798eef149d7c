"""What every Python subject shares: the workloads' constants, the clock and the command line.

A subject is a program called as ``SUBJECT WORKLOAD N``. It runs the workload once small to warm
up, then once at size N, and prints one JSON object as its last line:

    {"workload": "tell", "n": 1000000, "seconds": 0.09, "rate": 11e6, "version": "...", ...}

``rate`` counts what was handled, per second of the wall clock. Start and stop lie outside the
clock. ``on_core`` is the part of that time for which this process had a core at all: well below
1 in a workload that never waits, it says that others were using the machine.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
import json
import os
import resource
import sys
import time
from collections.abc import Awaitable, Callable

PAIRS = 1000
"""Actors that send or ask side by side in ``fanin`` and ``ask1000``."""
RING = 503
"""Actors in the ring; a prime, as in the usual thread-ring benchmark."""
BURST = 256
"""Messages ``tell_burst`` sends before it waits until they are handled."""
BATCH = 1000
"""Messages ``tell_many`` hands over at a time."""
WAITS = 10
"""Messages per actor in ``timer``; each takes ``WAIT_S`` to handle."""
WAIT_S = 0.010

Figures = dict[str, float]


class Clock:
    """Times one stretch of a run; what exists at its start is out of the collector's sight."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.cpu_seconds = 0.0
        self._began = 0.0
        self._cpu_began = 0.0

    def start(self) -> None:
        gc.collect()
        gc.freeze()
        self._cpu_began = time.process_time()
        self._began = time.perf_counter()

    def stop(self) -> None:
        self.seconds = time.perf_counter() - self._began
        self.cpu_seconds = time.process_time() - self._cpu_began


Workload = Callable[[int, Clock], Figures | Awaitable[Figures | None] | None]


def resident_bytes() -> int:
    """This process's resident memory in bytes (Linux)."""
    with open("/proc/self/statm", encoding="ascii") as f:
        return int(f.read().split()[1]) * resource.getpagesize()


def quantiles(values: list[float]) -> Figures:
    """p50, p99, p99.9 and the largest of some seconds, in milliseconds."""
    ordered = sorted(values)
    last = len(ordered) - 1

    def at(q: float) -> float:
        return round(ordered[min(last, int(q * len(ordered)))] * 1e3, 4)

    return {"p50_ms": at(0.5), "p99_ms": at(0.99), "p99_9_ms": at(0.999), "max_ms": at(1.0)}


async def open_loop(
    n: int, rate: float, clock: Clock, send: Callable[[int, Callable[[object], None]], None]
) -> Figures:
    """Latency of ``n`` requests sent on a schedule; ``send(i, arrived)`` sends one.

    A request counts from the moment it was due, also when it was sent later. Then the same again on
    the clock of this thread's processor time (``own_``): it stands still while others have the
    core, and what is left is the program's own doing.
    """
    clock.start()
    late = await _open_loop(n, rate, time.perf_counter, send)
    clock.stop()
    own = quantiles(await _open_loop(n, rate, time.thread_time, send))
    return {
        **quantiles(late),
        **{f"own_{name}": value for name, value in own.items()},
        "asks_per_s": round(rate),
    }


async def _open_loop(
    n: int,
    rate: float,
    now: Callable[[], float],
    send: Callable[[int, Callable[[object], None]], None],
) -> list[float]:
    late: list[float] = []
    done = asyncio.get_running_loop().create_future()

    def arrived(due: float, answer: object) -> None:
        late.append(now() - due)
        if len(late) == n:
            done.set_result(None)

    first, sent = now(), 0
    while sent < n:
        due_by_now = min(n, int((now() - first) * rate))
        while sent < due_by_now:
            send(sent, functools.partial(arrived, first + sent / rate))
            sent += 1
        await asyncio.sleep(0)
    await done
    return late


def warm_up_size(workload: str, n: int) -> int:
    """How much is run before the clock: little where leftovers would change the figure."""
    return min(n // 50 + 1, 1000) if workload == "spawn" else max(n // 10, min(n, PAIRS))


def run_with(loop: str, coroutine: Awaitable[Figures | None]) -> Figures | None:
    """Runs a coroutine on ``asyncio`` or ``uvloop``."""
    if loop == "uvloop":
        import uvloop

        factory: Callable[[], asyncio.AbstractEventLoop] | None = uvloop.new_event_loop
    elif loop == "asyncio":
        factory = None
    else:
        raise SystemExit(f"BENCH_LOOP must be asyncio or uvloop, got {loop!r}")
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(coroutine)  # type: ignore[arg-type]


def _once(fn: Workload, n: int) -> tuple[Clock, Figures]:
    clock = Clock()
    if inspect.iscoroutinefunction(fn):
        figures = run_with(os.environ.get("BENCH_LOOP", "asyncio"), fn(n, clock))
    else:
        figures = fn(n, clock)  # type: ignore[assignment]
    return clock, figures or {}


def main(workloads: dict[str, Workload], version: str) -> None:
    """The command line of a Python subject."""
    if len(sys.argv) != 3 or sys.argv[1] not in workloads or not sys.argv[2].isdigit():
        raise SystemExit(f"usage: {sys.argv[0]} {{{','.join(workloads)}}} N")
    name, n = sys.argv[1], int(sys.argv[2])
    fn = workloads[name]
    if "BENCH_COLD" not in os.environ:
        _once(fn, warm_up_size(name, n))
    clock, figures = _once(fn, n)
    done = n * WAITS if name == "timer" else n
    line = {
        "workload": name,
        "n": n,
        "seconds": round(clock.seconds, 6),
        "rate": round(done / clock.seconds, 1),
        "on_core": round(clock.cpu_seconds / clock.seconds, 3),
        "version": version,
        "python": sys.version.split()[0],
        **figures,
    }
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
