"""The measures of several processes as those of one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import msgspec

from .measures import Count, Distribution, Family, Kind, Measure, Reading, View

WORKER = "worker"
"""The label that a gauge gets, since those of several processes have no sum."""

_Values = dict[tuple[str, ...], list[float]]


class Shot(msgspec.Struct, frozen=True):
    """One measure at one moment, as plain data. The numbers of a row are the value, or the counts
    of a histogram's buckets and then its sum."""

    name: str
    help: str
    kind: Kind
    labels: tuple[str, ...]
    bounds: tuple[float, ...]
    rows: tuple[tuple[tuple[str, ...], tuple[float, ...]], ...]


def shots_of(measures: Iterable[Measure]) -> tuple[Shot, ...]:
    """All measures of a process, to be sent to another one."""
    return tuple(_shot(measure) for measure in measures)


def joined(shots: Mapping[str, Iterable[Shot]]) -> list[Measure]:
    """The shots of several workers, by their names, as measures.

    Counters and histograms are sums; a gauge keeps a reading of each worker, which it names in one
    label more.
    """
    found: dict[str, tuple[Shot, _Values]] = {}
    for worker, taken in shots.items():
        for shot in taken:
            gauge = shot.kind == "gauge"
            if gauge:
                shot = msgspec.structs.replace(shot, labels=(*shot.labels, WORKER))
            first, values = found.setdefault(shot.name, (shot, {}))
            if shot.bounds and not first.bounds:  # nothing was observed there
                found[shot.name] = (shot, values)
            for labels, numbers in shot.rows:
                at = (*labels, worker) if gauge else labels
                before = values.get(at)
                values[at] = (
                    list(numbers)
                    if before is None
                    else [a + b for a, b in zip(before, numbers, strict=True)]
                )
    return [_measure(shot, values) for shot, values in found.values()]


def _shot(measure: Measure) -> Shot:
    bounds: tuple[float, ...] = ()
    rows: list[tuple[tuple[str, ...], tuple[float, ...]]] = []
    if isinstance(measure, View):
        rows = [(labels, (float(value),)) for labels, value in measure.readings()]
    else:
        for labels, child in measure:
            if isinstance(child, Count):
                rows.append((labels, (float(child.value),)))
            else:
                bounds = tuple(child.bounds)
                rows.append((labels, (*map(float, child.counts), child.sum)))
    return Shot(measure.name, measure.help, measure.kind, measure.label_names, bounds, tuple(rows))


def _measure(shot: Shot, values: _Values) -> Measure:
    if shot.kind == "histogram":
        return _histogram(shot, values)
    kind = shot.kind
    return View(shot.name, shot.help, shot.labels, _reader(values), kind, len(values))


def _reader(values: _Values) -> Callable[[], list[Reading]]:
    return lambda: [(labels, numbers[0]) for labels, numbers in values.items()]


def _histogram(shot: Shot, values: _Values) -> Family[Distribution]:
    family = Family(
        shot.name, shot.help, shot.kind, shot.labels,
        lambda: Distribution(shot.bounds), len(values) + 1,
    )  # fmt: skip
    for labels, (*counts, total) in values.items():
        child = family.labels(*labels)
        child.counts = [int(count) for count in counts]
        child.sum = total
    return family
