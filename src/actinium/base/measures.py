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
from typing import Generic, Literal, TypeVar

from actinium.errors import UsageError

Kind = Literal["counter", "gauge", "histogram"]
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
    """One measure of a name, with a child for each combination of label values."""

    __slots__ = ("_children", "_make", "help", "kind", "label_names", "name")

    def __init__(
        self, name: str, help: str, kind: Kind, label_names: tuple[str, ...], make: Callable[[], C]
    ) -> None:
        self.name = name
        self.help = help
        self.kind = kind
        self.label_names = label_names
        self._make: Callable[[], C] = make
        self._children: dict[tuple[str, ...], C] = {}

    def labels(self, *values: str) -> C:
        """The child for these label values, made at first use.

        Label values must come from closed sets (names of deployments, classes of outcomes):
        a child is kept for ever.
        """
        child = self._children.get(values)
        if child is None:
            if len(values) != len(self.label_names):
                raise UsageError(
                    f"measure {self.name!r}: expected {len(self.label_names)} label values "
                    f"{self.label_names}, got {values}"
                )
            child = self._children[values] = self._make()
        return child

    def __iter__(self) -> Iterator[tuple[tuple[str, ...], C]]:
        return iter(list(self._children.items()))


class View:
    """A gauge that is computed when somebody reads it, from state that exists anyway."""

    __slots__ = ("help", "label_names", "name", "read")

    def __init__(
        self,
        name: str,
        help: str,
        label_names: tuple[str, ...],
        read: Callable[[], Iterable[Reading]],
    ) -> None:
        self.name = name
        self.help = help
        self.label_names = label_names
        self.read = read


Measure = Family[Count] | Family[Distribution] | View


class Registry:
    """All measures of one process, by name. Names carry no prefix and no ``_total``."""

    __slots__ = ("_measures",)

    def __init__(self) -> None:
        self._measures: dict[str, Measure] = {}

    def counter(self, name: str, help: str, labels: tuple[str, ...] = ()) -> Family[Count]:
        return self._add(Family(name, help, "counter", labels, Count))

    def gauge(self, name: str, help: str, labels: tuple[str, ...] = ()) -> Family[Count]:
        return self._add(Family(name, help, "gauge", labels, Count))

    def histogram(
        self, name: str, help: str, bounds: Sequence[float], labels: tuple[str, ...] = ()
    ) -> Family[Distribution]:
        fixed = tuple(bounds)
        if list(fixed) != sorted(set(fixed)):
            raise UsageError(f"measure {name!r}: bounds must rise strictly, got {fixed}")
        return self._add(Family(name, help, "histogram", labels, lambda: Distribution(fixed)))

    def view(
        self,
        name: str,
        help: str,
        labels: tuple[str, ...],
        read: Callable[[], Iterable[Reading]],
    ) -> View:
        return self._add(View(name, help, labels, read))

    def __iter__(self) -> Iterator[Measure]:
        return iter(list(self._measures.values()))

    M = TypeVar("M", Family[Count], Family[Distribution], View)

    def _add(self, measure: M) -> M:
        if measure.name in self._measures:
            raise UsageError(f"measure {measure.name!r} is registered already")
        self._measures[measure.name] = measure
        return measure
