"""What a call from Python to a block costs (B12): compiled ends, cffi, ctypes, and a C loop.

``python -m bench.gpu.host [--rounds 5] [--scale 1] [--json PATH]``. It needs two cores: one for
the caller, one for the block, which both spin. On a busy machine believe the least.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path

from bench import machine
from bench.harness import Scenario, Subject, as_json, available, measure, say
from bench.table import table

SCENARIOS = [
    Scenario(
        "ask", "least round trip of a message and its reply", 200_000,
        metric="least", unit="ns", divisor=1.0, extras=("p1", "p50"), goal="below 250 ns",
    ),
    Scenario(
        "put", "a packed message into a ring with room", 500_000,
        metric="least", unit="ns", divisor=1.0, extras=("p1", "p50"), goal="at most 15 ns",
    ),
    Scenario(
        "flood", "packed messages handled, best of parts of 100,000", 2_000_000,
        extras=("median",), goal="at least 20 M/s",
    ),
]  # fmt: skip


def _no_cffi() -> str | None:
    return None if importlib.util.find_spec("cffi") else "cffi is not installed"


def _subject(name: str) -> Subject:
    command = (sys.executable, "-m", "bench.gpu.host_subject", name)
    names = frozenset(s.name for s in SCENARIOS)
    return Subject(name, command, names, missing=_no_cffi if name == "cffi" else lambda: None)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.gpu.host", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="interleaved runs of each (5)")
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies every N")
    parser.add_argument("--json", type=Path, metavar="PATH", help="also write everything here")
    arguments = parser.parse_args()
    subjects = available(
        [_subject(n) for n in ("floor", "actinium", "public", "cffi", "ctypes")], say
    )
    found = {**machine.record(), "rounds": arguments.rounds}
    cells = measure(SCENARIOS, subjects, arguments.rounds, arguments.scale, say)
    found["load_at_end"] = machine.record()["load"]
    if arguments.json is not None:
        arguments.json.write_text(as_json(cells, found) + "\n", encoding="utf-8")
    say("\n" + machine.shown(found) + "\n\n" + table(cells, "floor", "actinium"))


if __name__ == "__main__":
    main()
