"""Results as a Markdown table: median, spread, ratios within rounds, share of the core."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from bench.harness import Cell

_NUMBERS = {2, 3, 4, 5, 6, 7}


def table(cells: Sequence[Cell], reference: str, ours: str) -> str:
    """One row per cell. ``/ reference`` is the cell's figure divided by the reference's, and
    ``ours /`` is ours divided by the cell's, both as medians over the rounds."""
    head = ("scenario", "subject", "median", "min - max", f"/ {reference}", f"{ours} /",
            "on core", "per core s", "also")  # fmt: skip
    index = {(c.scenario.name, c.subject): c for c in cells}
    rows = [head, *(_row(cell, index, reference, ours) for cell in cells)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    lines = ["| " + " | ".join(map(_pad, row, widths, range(len(head)))) + " |" for row in rows]
    rule = [("-" * (w + 1) + ":") if i in _NUMBERS else "-" * (w + 2) for i, w in enumerate(widths)]
    return "\n".join([lines[0], "|" + "|".join(rule) + "|", *lines[1:]])


def _pad(text: str, width: int, column: int) -> str:
    return text.rjust(width) if column in _NUMBERS else text.ljust(width)


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _row(
    cell: Cell, index: dict[tuple[str, str], Cell], reference: str, ours: str
) -> tuple[str, ...]:
    scenario = cell.scenario
    if cell.failure is not None or not cell.values:
        why = cell.failure or "no run"
        return (scenario.name, cell.subject, "failed", "", "", "", "", "", why)
    low, high = (scenario.figure(f(cell.values)).split()[0] for f in (min, max))
    base, our = index.get((scenario.name, reference)), index.get((scenario.name, ours))
    busy, rate = cell.median_of("on_core"), cell.per_core_second
    extras = [(field, cell.median_of(field)) for field in scenario.extras]
    return (
        scenario.name,
        cell.subject,
        scenario.figure(statistics.median(cell.values)),
        f"{low} - {high}",
        _ratio(cell.ratio_to(base) if base is not None else None),
        _ratio(our.ratio_to(cell) if our is not None else None),
        "" if busy is None else f"{busy:.0%}",
        "" if rate is None else scenario.figure(rate),
        ", ".join(f"{field} {value:.4g}" for field, value in extras if value is not None),
    )
