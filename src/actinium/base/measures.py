"""Counters, gauges and histograms as plain numbers, without any library.

The lower layers count here; ``actinium.ops.metrics`` reads them and speaks Prometheus. A
registry is handed down from the owner of a process or a test; there is none that is global.

    requests = registry.counter("requests", "Requests that ended.", ("deployment", "outcome"))
    ok = requests.labels("chat", "ok")        # look a child up once, outside the hot path
    ok.value += 1

Everything happens on the thread of one event loop; nothing here is locked.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, Generic, Literal, TypeVar

from actinium.errors import UsageError

Kind = Literal["counter", "gauge", "histogram"]
SERIES: Final = 200
"""Series of one measure before labels nobody has seen yet are folded into ``other``."""
OTHER: Final = "other"

Reading = tuple[tuple[str, ...], float]
"""The label values and the value of one gauge at the time of reading."""


class Count:
    """A number that only grows (counter) or that moves (gauge): set ``value`` directly."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: float = 0


class Distribution:
    """A histogram: how many observations fell into each bucket, their sum and number.

    ``bounds`` are the inclusive upper ends in rising order; ``counts`` has one place more,
    for observations above the last bound.
    """

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    @property
    def total(self) -> int:
        return sum(self.counts)


C = TypeVar("C", Count, Distribution)


class Family(Generic[C]):
    """One measure of a name, with a child for each combination of label values.

    MT-1: at most ``series`` combinations get a child of their own, and a quarter more where
    label values unknown so far became ``other``; all that is beyond is one child of ``other``
    alone. Nothing is lost by it: sums stay exact, and ``folded`` counts how many lookups ended so.
    """

    __slots__ = (
        "_children", "_known", "_make", "folded", "help", "kind", "label_names", "name", "series",
    )  # fmt: skip

    def __init__(
        self, name: str, help: str, kind: Kind, label_names: tuple[str, ...],
        make: Callable[[], C], series: int = SERIES,
    ) -> None:  # fmt: skip
        self.name = name
        self.help = help
        self.kind = kind
        self.label_names = label_names
        self._make: Callable[[], C] = make
        self._children: dict[tuple[str, ...], C] = {}
        self._known: tuple[set[str], ...] = tuple(set() for _ in label_names)
        self.series = series
        self.folded = 0

    def labels(self, *values: str) -> C:
        """The child for these label values, made at first use and kept for ever.

        Values from closed sets (names of deployments, classes of outcomes) stay within the
        budget; what clients choose may not, see the class.
        """
        child = self._children.get(values)
        if child is None:
            if len(values) != len(self.label_names):
                raise UsageError(
                    f"measure {self.name!r}: expected {len(self.label_names)} label values "
                    f"{self.label_names}, got {values}"
                )
            if len(self._children) >= self.series and values:
                values = self._fold(values)
            child = self._children.get(values)
            if child is None:
                child = self._children[values] = self._make()
                for known, value in zip(self._known, values, strict=True):
                    known.add(value)
        return child

    def _fold(self, values: tuple[str, ...]) -> tuple[str, ...]:
        """The values to count under when the budget is used up."""
        self.folded += 1
        if len(self._children) < self.series + self.series // 4:
            pairs = zip(self._known, values, strict=True)
            return tuple(value if value in known else OTHER for known, value in pairs)
        return (OTHER,) * len(values)

    def __iter__(self) -> Iterator[tuple[tuple[str, ...], C]]:
        return iter(list(self._children.items()))


class View:
    """A number that is read when somebody looks, from state that exists anyway.

    ``kind`` counter says that it only grows. At most ``series`` readings are shown, those with
    the largest values; ``folded`` counts the others.
    """

    __slots__ = ("folded", "help", "kind", "label_names", "name", "read", "series")

    def __init__(
        self,
        name: str,
        help: str,
        label_names: tuple[str, ...],
        read: Callable[[], Iterable[Reading]],
        kind: Literal["gauge", "counter"] = "gauge",
        series: int = SERIES,
    ) -> None:
        self.name = name
        self.help = help
        self.label_names = label_names
        self.read = read
        self.kind = kind
        self.series = series
        self.folded = 0

    def readings(self) -> list[Reading]:
        """What there is to see now, within the budget."""
        found = list(self.read())
        if len(found) > self.series:
            self.folded += len(found) - self.series
            found.sort(key=lambda reading: reading[1], reverse=True)
            del found[self.series :]
        return found


Measure = Family[Count] | Family[Distribution] | View


class Registry:
    """All measures of one process, by name. Names carry no prefix and no ``_total``.

    ``series`` is the label budget of each measure, see :class:`Family`. ``series_folded`` counts
    by measure what did not fit into it.
    """

    __slots__ = ("_measures", "_series")

    def __init__(self, *, series: int = SERIES) -> None:
        if series < 1:
            raise UsageError(f"a registry needs 1 series a measure or more, got {series!r}")
        self._measures: dict[str, Measure] = {}
        self._series = series
        help = "Observations whose labels were beyond the budget, and were folded into others."
        self.view("series_folded", help, ("family",), self._folded, kind="counter")

    def counter(self, name: str, help: str, labels: tuple[str, ...] = ()) -> Family[Count]:
        return self._add(Family(name, help, "counter", labels, Count, self._series))

    def gauge(self, name: str, help: str, labels: tuple[str, ...] = ()) -> Family[Count]:
        return self._add(Family(name, help, "gauge", labels, Count, self._series))

    def histogram(
        self, name: str, help: str, bounds: Sequence[float], labels: tuple[str, ...] = ()
    ) -> Family[Distribution]:
        fixed = tuple(bounds)
        if list(fixed) != sorted(set(fixed)):
            raise UsageError(f"measure {name!r}: bounds must rise strictly, got {fixed}")
        return self._add(
            Family(name, help, "histogram", labels, lambda: Distribution(fixed), self._series)
        )

    def view(
        self,
        name: str,
        help: str,
        labels: tuple[str, ...],
        read: Callable[[], Iterable[Reading]],
        kind: Literal["gauge", "counter"] = "gauge",
    ) -> View:
        return self._add(View(name, help, labels, read, kind, self._series))

    def __iter__(self) -> Iterator[Measure]:
        return iter(list(self._measures.values()))

    def _folded(self) -> list[Reading]:
        return [((m.name,), m.folded) for m in self._measures.values() if m.folded]

    M = TypeVar("M", Family[Count], Family[Distribution], View)

    def _add(self, measure: M) -> M:
        if measure.name in self._measures:
            raise UsageError(f"measure {measure.name!r} is registered already")
        self._measures[measure.name] = measure
        return measure
