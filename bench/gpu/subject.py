"""One measurement in a process of its own, called as ``BACKEND SUBJECT SCENARIO N``.

Prints one JSON line: p50, p99, p99.9 and max in nanoseconds or ``rate`` per second, ``n``, and
``verified``. Wrong contents end it with an error, so that there is no figure.
"""

from __future__ import annotations

import ctypes
import json
import sys
from collections.abc import Callable
from typing import Any

from bench.gpu.launch import launched, native
from bench.gpu.stats import quantiles

Result = dict[str, Any]


def _right(condition: bool) -> None:
    if not condition:
        raise SystemExit("wrong contents, or no answer within 20 s: there is no figure")


def _room(n: int) -> Any:
    return (ctypes.c_uint32 * n)()


def _times(samples: Any) -> Result:
    return {**quantiles(list(samples)), "n": len(samples), "verified": True}


def _rate(took: int, n: int) -> Result:
    _right(took != 0)
    return {"rate": n / took * 1e9, "n": n, "verified": True}


def actinium(backend: str, scenario: str, n: int) -> Result:
    """The resident kernel."""
    name, _, shape = scenario.partition("@")
    blocks, _, window = (shape or "1").partition("x")
    with launched(backend, int(blocks)) as (code, host):
        if name in ("trip", "loaded"):
            samples = _room(n)
            waiting = 64 if name == "loaded" else 0
            _right(code.bench_asks(host, n, n // 10 + 1, waiting, samples))
            _right(code.bench_tells(host, ctypes.c_uint64(0), 1) != 0)
            return _times(samples)
        if name == "lives":
            samples = _room(n)
            _right(code.bench_lives(host, n, n // 10 + 1, samples))
            return _times(samples)
        big = ctypes.c_uint64(n)
        warm = ctypes.c_uint64(n // 10 + 1)
        if name == "window":
            _right(code.bench_window(host, warm, int(window)) != 0)
            return _rate(code.bench_window(host, big, int(window)), n)
        assert name == "tells", scenario
        _right(code.bench_tells(host, warm, 64) != 0)
        return _rate(code.bench_tells(host, big, 64), n)


def word(backend: str, scenario: str, n: int) -> Result:
    """A word between two threads."""
    samples = _room(n)
    _right(native().bench_floor_word(n, n // 10 + 1, samples))
    return _times(samples)


def loop(backend: str, scenario: str, n: int) -> Result:
    """The handler in a bare loop."""
    code = native()
    return _rate(code.bench_loop(ctypes.c_uint64(n)), n)


def queue(backend: str, scenario: str, n: int) -> Result:
    """A thread with a locked queue."""
    code = native()
    if scenario.startswith("tells"):
        return _rate(code.bench_queue_tells(ctypes.c_uint64(n)), n)
    n = min(n, 50_000)  # it is slow
    samples = _room(n)
    _right(code.bench_queue_asks(n, n // 10 + 1, samples))
    found = _times(samples)
    return {**found, "rate": n / sum(samples) * 1e9}


def thread(backend: str, scenario: str, n: int) -> Result:
    """A thread made, given a message and joined."""
    samples = _room(n)
    _right(native().bench_threads(n, n // 10 + 1, samples))
    return _times(samples)


def _on_device(name: str) -> Callable[[str, str, int], Result]:
    def run(backend: str, scenario: str, n: int) -> Result:
        from bench.gpu import device

        found: Result = getattr(device, name)(scenario, n)
        return found

    return run


SUBJECTS: dict[str, Callable[[str, str, int], Result]] = {
    "actinium": actinium,
    "word": word,
    "loop": loop,
    "queue": queue,
    "thread": thread,
    **{
        name: _on_device(name)
        for name in ("mapped_echo", "mapped_read", "launch_sync", "graph_sync", "launch_flag",
                     "launches",
                     "relaunch", "barrier", "empty", "counter")
    },
}  # fmt: skip


def main() -> None:
    """Runs one subject and prints its line."""
    backend, subject, scenario, n = sys.argv[1:]
    sys.stdout.write(json.dumps(SUBJECTS[subject](backend, scenario, int(n))) + "\n")


if __name__ == "__main__":
    main()
