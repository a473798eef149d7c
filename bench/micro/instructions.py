"""``python -m bench.micro.instructions [WORKLOAD ...]``: instructions per message, by callgrind.

A count does not depend on how busy the machine is, so it repeats to the last few instructions:
each workload runs at two sizes under valgrind, and what the larger run executed more, divided by
what it handled more, is the cost of one message with all that CPython does for it. ``own`` is
the part inside the native core, the rest is the interpreter. Time slices are switched off,
because valgrind stretches time about fiftyfold and would end them after a few messages.

``--record`` keeps the counts in ``bench/results/instructions.json``, by interpreter and compiler;
a test holds the core to them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bench import machine
from bench.harness import ROOT, say

SIZES = {
    "tell": 5000,
    "tell_burst": 2560,
    "tell_many": 8000,
    "ring": 5000,
    "ask1": 3000,
    "async": 3000,
    "stream": 1000,
    "spawn": 2000,
}
SUBJECTS = {"actinium": "bench.micro.actors", "floor": "bench.rivals.floor"}
NATIVE = "actinium/_native"
BASELINE = ROOT / "bench" / "results" / "instructions.json"
_LINE = re.compile(r"^\s*([\d,]+)\s*(?:\([^)]*\))?\s+(\S.*)$")


def callgrind(module: str, workload: str, n: int, folder: Path) -> Path:
    """Runs one workload under callgrind and returns its profile."""
    profile = folder / f"{module}.{workload}.{n}"
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        "PYTHONHASHSEED": "0",
        "BENCH_COLD": "1",
        "BENCH_LOOP": "asyncio",
        "BENCH_SLICE_US": "1000000000",
    }
    done = subprocess.run(
        ["valgrind", "--tool=callgrind", f"--callgrind-out-file={profile}", sys.executable,
         "-m", module, workload, str(n)],
        env=environment, cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise SystemExit(f"valgrind ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return profile


def counts(profile: Path) -> dict[str, int]:
    """Instructions by function, without those it calls; ``total`` and ``own`` beside them."""
    text = subprocess.run(
        ["callgrind_annotate", "--threshold=100", "--auto=no", str(profile)],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    found = {"total": 0, "own": 0}
    for line in text.splitlines():
        matched = _LINE.match(line)
        if matched is None:
            continue
        n, rest = int(matched[1].replace(",", "")), matched[2]
        if "PROGRAM TOTALS" in rest:
            found["total"] = n
        elif ":" in rest:
            name = re.sub(r"('\d+)?\s*(\[.*)?$", "", rest.split(":", 1)[1])
            found[name] = found.get(name, 0) + n
            if NATIVE in rest:
                found["own"] += n
    return found


def per_message(module: str, workload: str, folder: Path) -> dict[str, float]:
    """Instructions by function for one more message."""
    small = SIZES[workload]
    large = 4 * small
    few = counts(callgrind(module, workload, small, folder))
    many = counts(callgrind(module, workload, large, folder))
    return {name: (n - few.get(name, 0)) / (large - small) for name, n in many.items()}


def where() -> str:
    """What a count depends on: the interpreter's build, the compiler, the architecture."""
    found = machine.record()
    return f"{found['python']}, {found['compiler']}, {platform.machine()}"


def baseline() -> dict[str, dict[str, dict[str, float]]]:
    """What was recorded: by `where`, workload and kind (``total``, ``own``)."""
    if not BASELINE.exists():
        return {}
    known: dict[str, dict[str, dict[str, float]]] = json.loads(BASELINE.read_text())
    return known


def record(counted: dict[str, dict[str, float]]) -> None:
    """Puts counts of this interpreter into the baseline, beside those of others."""
    known = baseline()
    known.setdefault(where(), {}).update(counted)
    BASELINE.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.micro.instructions", description=__doc__)
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=f"of {', '.join(SIZES)}")
    parser.add_argument("--top", type=int, default=0, help="also list so many functions")
    parser.add_argument("--no-floor", action="store_true", help="count the runtime alone")
    parser.add_argument("--record", action="store_true", help=f"also into {BASELINE.name}")
    arguments = parser.parse_args()
    unknown = set(arguments.workloads) - set(SIZES)
    if unknown:
        raise SystemExit(f"unknown workload {sorted(unknown)}; use {', '.join(SIZES)}")
    if shutil.which("valgrind") is None:
        raise SystemExit("valgrind is not installed; on Debian: apt-get install valgrind")
    say(machine.shown(machine.record()))
    say("")
    say("| workload | instructions per message | of them own | floor | ratio |")
    say("|----------|-------------------------:|------------:|------:|------:|")
    with tempfile.TemporaryDirectory() as name:
        for workload in arguments.workloads or SIZES:
            ours = per_message(SUBJECTS["actinium"], workload, Path(name))
            if arguments.record:
                record({workload: {kind: round(ours[kind], 1) for kind in ("total", "own")}})
            beside = "| |"
            if not arguments.no_floor:
                floor = per_message(SUBJECTS["floor"], workload, Path(name))["total"]
                beside = f"{floor:.0f} | {ours['total'] / floor:.2f} |"
            say(f"| {workload} | {ours['total']:.0f} | {ours['own']:.0f} | {beside}")
            ranked = sorted(ours.items(), key=lambda item: -item[1])
            for function, n in [r for r in ranked if r[0] not in ("total", "own")][: arguments.top]:
                say(f"    {n:8.1f}  {function}")


if __name__ == "__main__":
    main()
