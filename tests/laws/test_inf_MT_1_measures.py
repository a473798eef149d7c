"""MT-1: counters equal events exactly; series stay within the label budget."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from actinium.base.measures import OTHER, Registry, View
from actinium.ops.metrics import render

NAMES = st.lists(
    st.tuples(st.text("abcdefgh", min_size=1, max_size=3), st.sampled_from(["in", "out"])),
    max_size=200,
)


@given(NAMES, st.integers(1, 12))
@settings(max_examples=100)
def test_inf_MT_1_nothing_is_lost_within_the_budget(
    events: list[tuple[str, str]], series: int
) -> None:
    registry = Registry(series=series)
    family = registry.counter("tokens", "Tokens.", ("tenant", "kind"))
    for tenant, kind in events:
        family.labels(tenant, kind).value += 1
    children = dict(family)
    assert sum(child.value for child in children.values()) == len(events)
    assert len(children) <= series + series // 4 + 1, "MT-1: series beyond the budget"
    folded = sum(1 for event in events if event not in children)
    assert family.folded >= folded


def test_inf_MT_1_names_that_are_known_keep_their_own_series() -> None:
    registry = Registry(series=4)
    family = registry.counter("requests", "Requests.", ("tenant", "outcome"))
    family.labels("a", "ok").value += 1
    family.labels("b", "ok").value += 1
    family.labels("a", "error").value += 1
    family.labels("c", "ok").value += 1
    family.labels("b", "error").value += 1  # both are known: a combination of its own
    family.labels("stranger", "ok").value += 1
    family.labels("another", "error").value += 1
    family.labels("a", "ok").value += 1
    assert {values: child.value for values, child in family} == {
        ("a", "ok"): 2,
        ("b", "ok"): 1,
        ("a", "error"): 1,
        ("c", "ok"): 1,
        ("b", "error"): 1,
        (OTHER, OTHER): 2,
    }
    text = render(registry)[0].decode()
    assert 'actinium_series_folded_total{family="requests"} 3.0' in text


def test_inf_MT_1_a_view_shows_the_largest() -> None:
    registry = Registry(series=2)
    view: View = registry.view(
        "used", "Used.", ("scope",), lambda: [((name,), float(ord(name))) for name in "abcd"]
    )
    assert view.readings() == [(("d",), 100.0), (("c",), 99.0)]
    assert view.folded == 2


def test_inf_MT_1_a_histogram_is_folded_as_well() -> None:
    registry = Registry(series=1)
    family = registry.histogram("seconds", "Seconds.", (1.0,), ("name",))
    for name in ("a", "b", "c", "a"):
        family.labels(name).observe(0.5)
    assert {values: child.total for values, child in family} == {("a",): 2, (OTHER,): 2}
