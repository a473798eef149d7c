"""``python -m bench.micro.allocators``: the slab against malloc, in processor time per block.

Compiles ``allocators.cpp`` with the compiler of ``$CXX`` and runs both subjects one after the
other in every round, the order changing, so that a noisy neighbour meets both. The floor is the
same load without an allocator (two threads hand 64 bytes through a ring in `across`), and `beyond`
compares what each takes beyond it. The ratios are medians of those within the rounds. Processor
time, and not the clock: on a busy machine a thread that waits for a core is not the allocator's
fault.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess

from bench import machine
from bench.harness import ROOT, say

SCENARIOS = {"pairs": 20_000_000, "churn": 4_000_000, "across": 4_000_000, "flood": 3_000_000}


def build() -> str:
    """Compiles the program; returns its path."""
    folder = ROOT / "build" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "allocators"
    subprocess.run(
        [os.environ.get("CXX", "g++"), "-std=c++20", "-O3", "-pthread", "-fno-exceptions",
         f"-I{ROOT / 'native/include'}", str(ROOT / "bench/micro/allocators.cpp"),
         "-o", str(program)],
        check=True,
    )  # fmt: skip
    return str(program)


def nanoseconds(program: str, subject: str, scenario: str, n: int) -> float:
    """Processor time of one allocation with its free."""
    return float(subprocess.check_output([program, subject, scenario, str(n)], text=True))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.micro.allocators", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies every N")
    arguments = parser.parse_args()
    program = build()
    say(machine.shown(machine.record()))
    say("")
    say("| scenario | floor ns | slab ns | malloc ns | malloc / slab | beyond |")
    say("|----------|---------:|--------:|----------:|--------------:|-------:|")
    for scenario, full in SCENARIOS.items():
        n = max(1, int(full * arguments.scale))
        found: dict[str, list[float]] = {"floor": [], "malloc": [], "slab": []}
        for number in range(arguments.rounds):
            for subject in sorted(found, reverse=number % 2 == 0):
                found[subject].append(nanoseconds(program, subject, scenario, n))
        rounds = list(zip(*(found[kind] for kind in ("floor", "slab", "malloc")), strict=True))
        ratio = statistics.median(malloc / slab for _, slab, malloc in rounds)
        beyond = statistics.median((m - f) / max(s - f, 0.1) for f, s, m in rounds)
        times = " | ".join(
            f"{statistics.median(found[kind]):.1f}" for kind in ("floor", "slab", "malloc")
        )
        say(f"| {scenario} | {times} | {ratio:.2f} | {beyond:.2f} |")


if __name__ == "__main__":
    main()
