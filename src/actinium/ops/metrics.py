"""Measures -> Prometheus' text formats, through prometheus-client's exposition."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from actinium.base.measures import Count, Distribution, Family, Measure, View
from actinium.errors import MissingExtra

try:
    from prometheus_client import CollectorRegistry, ProcessCollector
    from prometheus_client.core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
        Metric,
    )
    from prometheus_client.exposition import choose_encoder
    from prometheus_client.registry import Collector
except ImportError as error:
    raise MissingExtra("serve", "the page of metrics") from error

PREFIX = "actinium_"
_NUMBER: Final[dict[str, type[CounterMetricFamily] | type[GaugeMetricFamily]]] = {
    "counter": CounterMetricFamily,
    "gauge": GaugeMetricFamily,
}


def render(
    measures: Iterable[Measure], accept: str = "", *, process: bool = True
) -> tuple[bytes, str]:
    """The page and its content type: OpenMetrics where ``accept`` asks for it, else text 0.0.4.

    Names get the prefix ``actinium_``; those of this ``process`` (memory, CPU, files) are
    Prometheus' own.
    """
    collectors = CollectorRegistry(auto_describe=False)
    collectors.register(_Measures(measures))
    if process:
        ProcessCollector(registry=collectors)
    encoder, content_type = choose_encoder(accept)
    return encoder(collectors), content_type


class _Measures(Collector):
    def __init__(self, measures: Iterable[Measure]) -> None:
        self._measures = measures

    def collect(self) -> Iterator[Metric]:
        for measure in self._measures:
            yield _family(measure)


def _family(measure: Measure) -> Metric:
    name = PREFIX + measure.name
    labels = measure.label_names
    if isinstance(measure, View):
        view = _NUMBER[measure.kind](name, measure.help, labels=labels)
        for values, reading in measure.readings():
            view.add_metric(values, reading)
        return view
    if measure.kind == "histogram":
        return _histogram(name, measure)
    numbers = _NUMBER[measure.kind](name, measure.help, labels=labels)
    for values, child in measure:
        assert isinstance(child, Count)
        numbers.add_metric(values, child.value)
    return numbers


def _histogram(name: str, measure: Family[Count] | Family[Distribution]) -> Metric:
    family = HistogramMetricFamily(name, measure.help, labels=measure.label_names)
    for values, child in measure:
        assert isinstance(child, Distribution)
        buckets: list[tuple[str, float]] = []
        total = 0
        for bound, count in zip((*child.bounds, "+Inf"), child.counts, strict=True):
            total += count
            buckets.append((bound if isinstance(bound, str) else repr(bound), total))
        family.add_metric(values, buckets=buckets, sum_value=child.sum)
    return family
