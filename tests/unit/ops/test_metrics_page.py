"""The page of metrics, read back by Prometheus' own parsers."""

from __future__ import annotations

from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open
from prometheus_client.parser import text_string_to_metric_families as parse_text

from actinium.base.measures import Registry
from actinium.ops.metrics import render


def filled() -> Registry:
    registry = Registry()
    registry.counter("requests", "Requests.", ("deployment", "outcome")).labels(
        'a"b', "ok"
    ).value += 3
    registry.gauge("level", "Level.").labels().value = 2.5
    histogram = registry.histogram("seconds", "Seconds.", (0.1, 1.0), ("deployment",)).labels("a")
    for value in (0.05, 0.1, 0.5, 7.0):
        histogram.observe(value)
    registry.view("depth", "Depth.", ("deployment",), lambda: [(("a",), 4.0)])
    return registry


def test_both_formats_hold_the_same_truth() -> None:
    registry = filled()
    text, text_type = render(registry)
    opened, open_type = render(registry, "application/openmetrics-text; version=1.0.0")
    assert text_type.startswith("text/plain") and open_type.startswith("application/openmetrics")
    for families in (parse_text(text.decode()), parse_open(opened.decode())):
        samples = {
            (s.name, tuple(sorted(s.labels.items()))): s.value
            for family in families
            for s in family.samples
            if s.name.startswith("actinium_")
        }
        key = (("deployment", 'a"b'), ("outcome", "ok"))
        assert samples[("actinium_requests_total", key)] == 3
        assert samples[("actinium_level", ())] == 2.5
        assert samples[("actinium_depth", (("deployment", "a"),))] == 4
        of = "actinium_seconds_bucket"
        buckets = [
            samples[(of, (("deployment", "a"), ("le", le)))] for le in ("0.1", "1.0", "+Inf")
        ]
        assert buckets == [2, 3, 4]
        assert samples[("actinium_seconds_count", (("deployment", "a"),))] == 4


def test_the_process_is_measured_too() -> None:
    text, _ = render(Registry())
    assert b"process_resident_memory_bytes" in text
