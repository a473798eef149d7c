"""Measures of several processes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actinium.base.measures import Count, Distribution, Family, Registry, View
from actinium.base.snapshot import joined, shots_of

ROWS = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c"]), st.floats(0, 10), st.integers(0, 9)), max_size=20
)


def registry_of(rows: list[tuple[str, float, int]]) -> Registry:
    registry = Registry()
    requests = registry.counter("requests", "Requests.", ("deployment",))
    seconds = registry.histogram("seconds", "Seconds.", (1.0, 5.0), ("deployment",))
    waiting: dict[str, float] = {}
    for name, took, depth in rows:
        requests.labels(name).value += 1
        seconds.labels(name).observe(took)
        waiting[name] = depth
    read = lambda: [((name,), depth) for name, depth in waiting.items()]  # noqa: E731
    registry.view("waiting", "Waiting.", ("deployment",), read)
    return registry


@given(ROWS, ROWS)
def test_counters_and_histograms_are_sums_and_gauges_name_their_worker(
    one: list[tuple[str, float, int]], two: list[tuple[str, float, int]]
) -> None:
    shots = {"1": shots_of(registry_of(one)), "2": shots_of(registry_of(two))}
    found = {measure.name: measure for measure in joined(shots)}
    whole = {measure.name: measure for measure in registry_of([*one, *two])}
    requests, expected = found["requests"], whole["requests"]
    assert isinstance(requests, View) and isinstance(expected, Family)
    assert requests.kind == "counter"
    counts = {labels: child.value for labels, child in expected if isinstance(child, Count)}
    assert dict(requests.readings()) == counts
    seconds, expected = found["seconds"], whole["seconds"]
    assert isinstance(seconds, Family) and isinstance(expected, Family)
    for labels, child in expected:
        mine = seconds.labels(*labels)
        assert isinstance(mine, Distribution) and isinstance(child, Distribution)
        assert mine.bounds == child.bounds, "of a worker that observed something"
        assert mine.counts == child.counts and abs(mine.sum - child.sum) < 1e-9
    waiting = found["waiting"]
    assert isinstance(waiting, View) and waiting.label_names == ("deployment", "worker")
    last = {(name, worker): depth for worker, rows in (("1", one), ("2", two))
            for name, _, depth in rows}  # fmt: skip
    assert dict(waiting.readings()) == last


def test_nothing_of_nobody() -> None:
    assert joined({}) == []
