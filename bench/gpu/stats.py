"""Quantiles, intervals and effect sizes, from the standard library."""

from __future__ import annotations

import random
import statistics
from collections.abc import Sequence

RESAMPLES = 2000


def quantiles(samples: Sequence[float]) -> dict[str, float]:
    """``p50``, ``p99``, ``p99_9`` and ``max`` of all samples; none is left out."""
    ordered = sorted(samples)

    def at(share: float) -> float:
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]

    return {"p50": at(0.5), "p99": at(0.99), "p99_9": at(0.999), "max": ordered[-1]}


def interval(values: Sequence[float], seed: int = 1) -> tuple[float, float]:
    """Bootstrap 95 % interval of the median of ``values``, one for each process."""
    draw = random.Random(seed)
    medians = sorted(
        statistics.median(draw.choices(values, k=len(values))) for _ in range(RESAMPLES)
    )
    return medians[int(RESAMPLES * 0.025)], medians[int(RESAMPLES * 0.975)]


def effect(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Cliff's delta: 1 where every value of ours is above all of theirs, -1 below, 0 alike."""
    pairs = [(a > b) - (a < b) for a in ours for b in theirs]
    return sum(pairs) / len(pairs)
