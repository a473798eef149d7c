"""The goals of resident actors on a GPU, judged from the rows of one run."""

from __future__ import annotations

from collections.abc import Sequence

from bench.gpu.rows import Row

TRIP_TO_FLOOR = 1.5
LAUNCH_TO_TRIP = 5.0
COMMANDS_PER_S = 20.0  # millions


def judged(rows: Sequence[Row], backend: str) -> list[str]:
    """One line for each goal: met, missed or not measured."""
    if backend != "cuda":
        return ["- not judged: they are about a GPU, and this run had none"]
    index = {row.name: row for row in rows}
    trip = index.get("trip@1")
    rates = [row for row in rows if row.id == "B2"]
    return [
        _line(
            f"round trip p50 at most {TRIP_TO_FLOOR} times the mapped-memory floor",
            None if trip is None or not trip.floor_value else trip.value / trip.floor_value,
            lambda ratio: ratio <= TRIP_TO_FLOOR,
        ),
        _line(
            f"launch and synchronise at least {LAUNCH_TO_TRIP:g} times slower than a round trip",
            None
            if trip is None or "launch_sync" not in trip.baselines
            else trip.baselines["launch_sync"][0] / trip.value,
            lambda ratio: ratio >= LAUNCH_TO_TRIP,
        ),
        _line(
            f"at least {COMMANDS_PER_S:g} million commands handled per second",
            max((row.value for row in rates), default=None),
            lambda rate: rate >= COMMANDS_PER_S,
        ),
    ]


def _line(goal: str, value: float | None, met: object) -> str:
    if value is None:
        return f"- not measured: {goal}"
    assert callable(met)
    return f"- {'met' if met(value) else 'MISSED'} ({value:.3g}): {goal}"
