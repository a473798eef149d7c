"""Rows of the result, and the checker that refuses an incomplete one (BM-1)."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from bench.gpu.stats import effect, interval
from bench.harness import Cell

MANIFEST = ("date", "processor", "kernel", "python", "backend", "device", "clocks")
"""What the record of a run must hold."""
LEAST_ROUNDS = 5


class Refused(ValueError):
    """A row that may not be published; the text says what it lacks."""


@dataclasses.dataclass(frozen=True)
class Row:
    """One figure: what is inside the timer, beside its floor and its baseline."""

    id: str
    name: str
    in_timer: str
    does_not_show: str
    unit: str
    value: float
    low: float
    """The 95 % interval of the median over the processes."""
    high: float
    quantiles: Mapping[str, float]
    n: int
    """Samples, or messages, of each process."""
    processes: int
    verified: bool
    floor: str
    """Its name, or ``none: why``."""
    floor_value: float | None
    baselines: Mapping[str, tuple[float, float]]
    """Name -> (median, Cliff's delta of ours against it)."""


def check(row: Row, manifest: Mapping[str, Any], least: int = LEAST_ROUNDS) -> None:
    """Raises Refused for a row that lacks floor, baseline, n, verification or manifest."""
    lacks = []
    if row.verified is not True:
        lacks.append("verified contents")
    if row.floor_value is None and not row.floor.startswith("none: "):
        lacks.append("a floor")
    if not row.baselines:
        lacks.append("a baseline")
    if row.n < 1:
        lacks.append("n")
    if row.processes < least:
        lacks.append(f"{least} processes (it has {row.processes})")
    if not row.in_timer:
        lacks.append("what is inside the timer")
    if not row.does_not_show:
        lacks.append("what it does not show")
    lacks += [f"{key} in the manifest" for key in MANIFEST if not manifest.get(key)]
    if lacks:
        raise Refused(f"{row.id} {row.name} is not published; it lacks {', '.join(lacks)}")


def row_of(
    ours: Cell, floor: Cell | None, baselines: Sequence[Cell], about: Mapping[str, str]
) -> Row:
    """A row out of the runs of one scenario. A run that failed, or was not verified, spoils it."""
    runs = [run for run in ours.runs if "failed" not in run]
    if not runs:
        raise Refused(f"{about['id']} {ours.scenario.name}: {ours.failure or 'it was not run'}")
    values = [v / ours.scenario.divisor for v in ours.values]
    low, high = interval(values)
    measured = [cell for cell in baselines if cell.values]
    scale = ours.scenario.divisor
    return Row(
        id=about["id"],
        name=ours.scenario.name,
        in_timer=about["in_timer"],
        does_not_show=about["does_not_show"],
        unit=ours.scenario.unit,
        value=statistics.median(values),
        low=low,
        high=high,
        quantiles={
            key: statistics.median(run[key] for run in runs)
            for key in ("p99", "p99_9", "max")
            if key in runs[0]
        },
        n=min(int(run["n"]) for run in runs),
        processes=len(runs),
        verified=ours.failure is None and all(run.get("verified") is True for run in runs),
        floor=floor.subject if floor is not None else about["floor"],
        floor_value=statistics.median(floor.values) / scale if floor and floor.values else None,
        baselines={
            cell.subject: (statistics.median(cell.values) / scale, effect(ours.values, cell.values))
            for cell in measured
        },
    )  # fmt: skip


def markdown(rows: Sequence[Row]) -> str:
    """The table for people."""
    lines = [
        "| id | figure | median [95 %] | p99 | p99.9 | floor | baselines (median, effect) "
        "| n x processes |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        floor = row.floor
        if row.floor_value is not None:
            floor = f"{row.floor} {row.floor_value:.4g} ({row.value / row.floor_value:.2f}x)"
        others = "; ".join(
            f"{name} {value:.4g} ({row.value / value:.2f}x, {delta:+.2f})"
            for name, (value, delta) in row.baselines.items()
        )
        p99, p99_9 = (
            f"{row.quantiles[key]:.4g}" if key in row.quantiles else "" for key in ("p99", "p99_9")
        )
        lines.append(
            f"| {row.id} | {row.name} | {row.value:.4g} [{row.low:.4g}, {row.high:.4g}] {row.unit} "
            f"| {p99} | {p99_9} | {floor} | {others} | {row.n:,} x {row.processes} |"
        )
    notes = dict.fromkeys(
        f"- **{row.id} {row.name.partition('@')[0]}** in the timer: {row.in_timer}. "
        f"Does not show: {row.does_not_show}."
        for row in rows
    )
    return "\n".join([*lines, "", *notes])
