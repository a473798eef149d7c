"""``python -m bench.gpu``: resident actors beside floors and baselines, interleaved."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from actinium.errors import ActiniumError
from bench import machine
from bench.gpu import calls, goals, scenarios
from bench.gpu.rows import LEAST_ROUNDS, Refused, Row, check, markdown, row_of
from bench.gpu.scenarios import Measured
from bench.harness import ROOT, Cell, Subject, as_json, measure, say

QUICK = 0.1


def source() -> dict[str, str]:
    """Where subjects find the package: the sources, where they have been built, else installed."""
    built = any((ROOT / "src/actinium").glob("_native*.so"))
    return {"PYTHONPATH": str(ROOT / "src")} if built else {}


def device_facts() -> tuple[str, int]:
    """The device in words and its multiprocessors; without one, why."""
    from actinium.gpu.hardware.find import device

    try:
        found = device(0)
    except ActiniumError as error:
        return f"none: {error}", 0
    caps = found.caps
    return (
        f"{found.name}, {caps.architecture}, {caps.sms} multiprocessors, driver of CUDA "
        f"{found.cuda[0]}.{found.cuda[1]}",
        caps.sms,
    )


def clocks() -> str:
    """Clocks, power and temperature as nvidia-smi says; of a processor its governor."""
    if shutil.which("nvidia-smi"):
        run = subprocess.run(
            ["nvidia-smi", "--query-gpu=clocks.sm,clocks.mem,power.draw,temperature.gpu,pstate",
             "--format=csv,noheader"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if run.returncode == 0:
            return run.stdout.strip()
    governor = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    return governor.read_text().strip() if governor.exists() else "not readable here"


def subjects(backend: str, chosen: Sequence[Measured]) -> list[Subject]:
    """Each subject with the scenarios in which it is needed."""
    wanted: dict[str, set[str]] = {}
    for one in chosen:
        for name in (one.ours, one.floor, *one.baselines):
            if not name.startswith("none: "):
                wanted.setdefault(name, set()).add(one.scenario.name)
    command = (sys.executable, "-m", "bench.gpu.subject", backend)
    return [
        Subject(name, (*command, name), frozenset(names), environment=source())
        for name, names in wanted.items()
    ]


def rows_of(
    chosen: Sequence[Measured], cells: Sequence[Cell], manifest: dict[str, Any], least: int
) -> tuple[list[Row], list[str]]:
    """The rows that may be published, and why the others may not."""
    index = {(cell.scenario.name, cell.subject): cell for cell in cells}
    rows, refused = [], []
    for one in chosen:
        name = one.scenario.name
        try:
            row = row_of(
                index[name, one.ours], index.get((name, one.floor)),
                [index[name, other] for other in one.baselines], one.about,
            )  # fmt: skip
            check(row, manifest, least)
        except Refused as error:
            failed = [
                f"{c.subject}: {c.failure}" for k, c in index.items() if k[0] == name and c.failure
            ]
            refused.append("; ".join([str(error), *failed]))
            continue
        rows.append(row)
    return rows, refused


def main(words: Sequence[str] | None = None) -> int:
    """Runs it; 1 if a row was refused."""
    parser = argparse.ArgumentParser(prog="python -m bench.gpu", description=__doc__)
    parser.add_argument("--backend", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--only", default="", help="a regular expression on scenario names")
    parser.add_argument("--rounds", type=int, default=LEAST_ROUNDS)
    parser.add_argument("--quick", action="store_true", help="a tenth of the work")
    parser.add_argument("--json", default="", help="a file, or - for stdout")
    parser.add_argument("--markdown", default="", help="a file")
    parser.add_argument("--list", action="store_true")
    given = parser.parse_args(words)
    facts, sms = device_facts()
    backend = given.backend if given.backend != "auto" else "cuda" if sms else "cpu"
    if backend == "cuda" and not sms:
        parser.error(f"there is no GPU: {facts.removeprefix('none: ')}")
    everything = scenarios.cuda(sms) if backend == "cuda" else scenarios.cpu()
    chosen = [one for one in everything if re.search(given.only, one.scenario.name)]
    if given.list:
        for one in everything:
            say(f"{one.id:4} {one.scenario.name:14} {one.in_timer}")
        return 0
    manifest = {
        **machine.record(),
        "backend": backend,
        "device": facts,
        "clocks": clocks(),
        "cores_used": len(os.sched_getaffinity(0)),
    }
    note = (lambda text: None) if given.json == "-" else say
    cells = measure(
        [one.scenario for one in chosen], subjects(backend, chosen), given.rounds,
        QUICK if given.quick else 1.0, note,
    )  # fmt: skip
    rows, refused = rows_of(chosen, cells, manifest, min(given.rounds, LEAST_ROUNDS))
    waits = calls.table() if backend == "cuda" and not given.only else []
    manifest["clocks_after"] = clocks()
    report = _report(manifest, rows, refused, waits, given.rounds)
    whole = {**json.loads(as_json(cells, manifest)), "calls": waits, "refused": refused}
    text = json.dumps(whole, indent=1) + "\n"
    if given.json == "-":
        sys.stdout.write(text)
    elif given.json:
        Path(given.json).write_text(text)
    if given.markdown:
        Path(given.markdown).write_text(report)
    note(report)
    return 1 if refused else 0


def _report(
    manifest: dict[str, Any], rows: list[Row], refused: list[str], waits: list[dict[str, Any]],
    rounds: int,
) -> str:  # fmt: skip
    few = ""
    if rounds < LEAST_ROUNDS:
        few = f"\nFewer than {LEAST_ROUNDS} rounds: good for a look, not for a claim.\n"
    place = manifest["device"] if manifest["backend"] == "cuda" else "this processor"
    parts = [
        f"# Resident actors on {place}",
        machine.shown(manifest),
        few.strip(),
        markdown(rows),
        calls.markdown(waits) if waits else "",
        "## Goals\n\n" + "\n".join(goals.judged(rows, manifest["backend"])),
        "## Refused\n\n" + "\n".join(f"- {line}" for line in refused) if refused else "",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


if __name__ == "__main__":
    raise SystemExit(main())
