"""The one timer of this project: scenarios times subjects, interleaved, each run a fresh process.

A round runs every subject once per scenario, one after another, in an order of its own (A B C,
C A B, ...; the same in every run of the harness), all pinned to the same core, so that a noisy
neighbour and what a process leaves behind for the next one meet them alike. Shown are the
median, the spread (least and greatest) and the median of the ratios within each round; on a
busy machine believe the ratios.
"""

from __future__ import annotations

import dataclasses
import json
import os
import random
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TIME_LIMIT_S = 180.0


@dataclasses.dataclass(frozen=True)
class Scenario:
    """One workload and the figure it is judged by.

    ``metric`` names a field of the subject's JSON line, ``unit`` its unit and ``divisor`` what
    it is divided by for people. ``extras`` are further fields worth a column.
    """

    name: str
    says: str
    n: int
    metric: str = "rate"
    unit: str = "M/s"
    divisor: float = 1e6
    extras: tuple[str, ...] = ()
    goal: str = ""

    def figure(self, value: float) -> str:
        """A value of the metric with its unit, to three digits."""
        return f"{value / self.divisor:.3g} {self.unit}"


def _present() -> str | None:
    return None


@dataclasses.dataclass(frozen=True)
class Subject:
    """A program called as ``command WORKLOAD N`` that prints one JSON line at its end.

    ``sizes`` holds N for workloads that would take too long at the scenario's own N; only the
    ``workloads`` named are run. ``missing`` says why the subject cannot run here, or None.
    """

    name: str
    command: tuple[str, ...]
    workloads: frozenset[str]
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)
    sizes: Mapping[str, int] = dataclasses.field(default_factory=dict)
    missing: Callable[[], str | None] = _present


@dataclasses.dataclass
class Cell:
    """All runs of one subject in one scenario, by round; a failed run has only ``failed``."""

    scenario: Scenario
    subject: str
    runs: list[dict[str, Any]] = dataclasses.field(default_factory=list)

    @property
    def failure(self) -> str | None:
        return next((r["failed"] for r in self.runs if "failed" in r), None)

    @property
    def values(self) -> list[float]:
        return [float(r[self.scenario.metric]) for r in self.runs if "failed" not in r]

    @property
    def per_core_second(self) -> float | None:
        """Median throughput per second of processor time, where that is what is measured."""
        found = [r["rate"] / r["on_core"] for r in self.runs if r.get("on_core")]
        return statistics.median(found) if found and self.scenario.metric == "rate" else None

    def median_of(self, field: str) -> float | None:
        found = [float(r[field]) for r in self.runs if field in r]
        return statistics.median(found) if found else None

    def ratio_to(self, other: Cell) -> float | None:
        """Median over the rounds of this figure divided by the other's."""
        pairs = zip(self.values, other.values, strict=False)
        ratios = [a / b for a, b in pairs if b]
        return statistics.median(ratios) if ratios else None


def run_once(subject: Subject, scenario: Scenario, scale: float) -> dict[str, Any]:
    """One run in a fresh process: the JSON line it printed, or ``{"failed": why}``."""
    n = max(1, int(subject.sizes.get(scenario.name, scenario.n) * scale))
    environment = {**os.environ, "PYTHONHASHSEED": "0", **subject.environment}
    paths = [str(ROOT), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(p for p in paths if p)
    try:
        done = subprocess.run(
            [*subject.command, scenario.name, str(n)],
            env=environment, cwd=ROOT, capture_output=True, text=True, check=False,
            timeout=TIME_LIMIT_S,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return {"failed": f"took longer than {TIME_LIMIT_S:g} s at n={n}"}
    lines = [x for x in done.stdout.splitlines() if x.startswith("{")]
    if done.returncode != 0 or not lines:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        return {"failed": f"exit status {done.returncode}: {last[:160]}"}
    run: dict[str, Any] = json.loads(lines[-1])
    return run


def measure(
    scenarios: Sequence[Scenario],
    subjects: Sequence[Subject],
    rounds: int,
    scale: float = 1.0,
    note: Callable[[str], None] = print,
) -> list[Cell]:
    """Runs all of it; a subject that fails in a scenario is not tried there again."""
    groups = [
        [Cell(scenario, s.name) for s in subjects if scenario.name in s.workloads]
        for scenario in scenarios
    ]
    by_name = {s.name: s for s in subjects}
    for round_number in range(1, rounds + 1):
        for cell in (c for group in groups for c in _order(group, round_number)):
            if cell.failure is not None:
                continue
            run = run_once(by_name[cell.subject], cell.scenario, scale)
            cell.runs.append(run)
            shown = run.get("failed") or cell.scenario.figure(run[cell.scenario.metric])
            name = f"{cell.scenario.name:12} {cell.subject:18}"
            note(f"round {round_number}/{rounds}  {name} {shown}")
    return [cell for group in groups for cell in group]


def _order(group: list[Cell], round_number: int) -> list[Cell]:
    return random.Random(round_number).sample(group, len(group))


def pin(core: int | None) -> int:
    """Ties this process and all it starts to one core; the last one unless told otherwise."""
    allowed = sorted(os.sched_getaffinity(0))
    chosen = allowed[-1] if core is None else core
    if chosen not in allowed:
        raise SystemExit(f"--core must be one of {allowed}, got {chosen}")
    os.sched_setaffinity(0, {chosen})
    return chosen


def available(subjects: Iterable[Subject], note: Callable[[str], None] = print) -> list[Subject]:
    """Those that can run here; says why the others cannot."""
    found = []
    for subject in subjects:
        reason = subject.missing()
        if reason is None:
            found.append(subject)
        else:
            note(f"skipped {subject.name}: {reason}")
    return found


def as_json(cells: Sequence[Cell], machine: Mapping[str, Any]) -> str:
    """Everything measured, with the machine it was measured on."""
    return json.dumps(
        {
            "machine": dict(machine),
            "cells": [
                {"scenario": c.scenario.name, "subject": c.subject, "runs": c.runs} for c in cells
            ],
        },
        indent=1,
    )


def say(text: str) -> None:
    """Prints a line of the report."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
