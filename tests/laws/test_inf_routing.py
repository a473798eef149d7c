"""Laws of the routing table, over random programs."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actinium.inference.limits.affinity import Chooser
from actinium.inference.routing import Entry, Load, RoutingTable, Table, merged_tables

NODES = ("a", "b", "c", "d", "e")
KEYS = [("m", f"r{n}") for n in range(4)]

ENTRIES = st.builds(
    Entry, node=st.sampled_from(NODES), generation=st.integers(0, 3), version=st.integers(0, 3),
    removed=st.booleans(), state=st.sampled_from(["loading", "serving", "draining", "stopped"]),
)  # fmt: skip
LOADS = st.builds(Load, stamp=st.integers(0, 5), inflight=st.integers(0, 9))
TABLES = st.dictionaries(st.sampled_from(KEYS), st.tuples(ENTRIES, LOADS), max_size=4)


@given(TABLES, TABLES, TABLES)
def test_inf_ro_1_tables_merge_in_any_order_any_number_of_times(
    a: Table, b: Table, c: Table
) -> None:
    assert merged_tables(a, b) == merged_tables(b, a), "RO-1: commutative"
    assert merged_tables(merged_tables(a, b), c) == merged_tables(a, merged_tables(b, c))
    assert merged_tables(a, a) == a and merged_tables(merged_tables(a, b), b) == merged_tables(a, b)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["put", "remove", "report", "send", "again"]), st.integers(0, 4),
        st.integers(0, 4), st.integers(0, 3),
    ),
    max_size=60,
)  # fmt: skip


@given(STEPS)
def test_inf_ro_1_copies_converge_and_nobody_returns_without_a_new_generation(
    steps: list[tuple[str, int, int, int]],
) -> None:
    """Five nodes, each with one replica; words come late, twice, or in another order."""
    tables = [RoutingTable(node) for node in NODES]
    keys = [("m", f"r{n}") for n in range(5)]
    generation = [0] * 5
    late: list[tuple[int, Table]] = []
    gone: set[tuple[int, int]] = set()  # replica, generation

    def look() -> None:
        for table in tables:
            table_gone = {key for key, (entry, _) in table.state().items() if entry.removed}
            assert not table_gone & {key for key, _ in table.serving("m")}

    for op, at, other, number in steps:
        table = tables[at]
        match op:
            case "put":
                if (at, generation[at]) in gone:
                    generation[at] += 1
                table.put(keys[at], generation=generation[at], state="serving")
            case "remove":
                known = table.state().get(keys[other])
                if known is not None:
                    gone.add((other, known[0].generation))
                    table.remove(keys[other])
            case "report":
                if keys[at] in table.state():
                    table.report(keys[at], Load(number, number))
            case "send":
                tables[other].merge(table.state())
                late.append((other, table.state()))
            case "again" if late:
                to, old = late[number % len(late)]
                tables[to].merge(old)
        look()
    for table in tables * 2:
        for source in tables:
            table.merge(source.state())
    assert all(table.state() == tables[0].state() for table in tables), "RO-1: copies converge"
    for key, (entry, _) in tables[0].state().items():
        if (keys.index(key), entry.generation) in gone:
            assert entry.removed, "RO-1: a removed replica never returns without a new generation"


def test_complaint_31_inf_ro_1_an_older_incarnation_means_nothing() -> None:
    a, b = RoutingTable("a"), RoutingTable("b")
    assert a.put(("m", "r"), generation=1, state="serving")
    b.merge(a.state())
    with pytest.raises(ValueError, match="runs on 'a'"):
        b.put(("m", "r"), generation=1, state="draining")
    b.remove(("m", "r"))
    a.merge(b.state())
    assert not a.put(("m", "r"), generation=1, state="serving")
    assert a.put(("m", "r"), generation=2, state="serving") and list(a.serving("m"))
    a.forget([("m", "r")])
    assert list(a.serving("m")), "what lives is not forgotten"
    a.remove(("m", "r"))
    a.forget([("m", "r")])
    assert not a.state()


def test_inf_ro_2_picks_between_two_reports_spread() -> None:
    """10,000 picks between two reports over 8 equal replicas: the most is 1.15 of the mean."""
    table = RoutingTable("a")
    keys = [("m", f"r{n}") for n in range(8)]
    for key in keys:
        table.put(key, generation=1, state="serving")
        table.report(key, Load(1, 5))
    chooser = Chooser(8, random.Random(4))
    got = [0] * 8
    for _ in range(10_000):
        place = chooser.choose((), [table.load(key) for key in keys])
        table.sent(keys[place])
        got[place] += 1
    assert max(got) <= 1.15 * sum(got) / 8
    for place, key in enumerate(keys):
        for _ in range(got[place]):
            table.ended(key)
        assert table.load(key) == 5, "RO-2: all is counted back"
        table.sent(key)
        table.report(key, Load(2, 6))
        table.ended(key)
        assert table.load(key) == 6, "the report has counted it"
