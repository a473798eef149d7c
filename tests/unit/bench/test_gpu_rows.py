"""No figure without verification, floor, baseline, n and manifest (BM-1); statistics; goals."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from bench.gpu import goals, scenarios
from bench.gpu.rows import MANIFEST, Refused, Row, check, markdown, row_of
from bench.gpu.stats import effect, interval, quantiles
from bench.gpu.subject import SUBJECTS
from bench.harness import Cell, Scenario

FULL: dict[str, Any] = dict.fromkeys(MANIFEST, "known")
ROW = Row(
    id="B1", name="trip@1", in_timer="a round trip", does_not_show="Python", unit="ns", value=900.0,
    low=880.0, high=950.0, quantiles={"p99": 1200.0}, n=100, processes=5, verified=True,
    floor="mapped_echo", floor_value=600.0, baselines={"launch_sync": (9000.0, -1.0)},
)  # fmt: skip


def test_bm_1_a_whole_row_is_published() -> None:
    check(ROW, FULL)
    check(dataclasses.replace(ROW, floor="none: nothing does less", floor_value=None), FULL)


@pytest.mark.parametrize(
    ("change", "lacks"),
    [
        ({"verified": False}, "verified contents"),
        ({"floor_value": None}, "a floor"),
        ({"baselines": {}}, "a baseline"),
        ({"n": 0}, "n"),
        ({"processes": 4}, r"5 processes \(it has 4\)"),
        ({"in_timer": ""}, "what is inside the timer"),
        ({"does_not_show": ""}, "what it does not show"),
    ],
)
def test_bm_1_a_row_that_lacks_something_is_refused(change: dict[str, Any], lacks: str) -> None:
    with pytest.raises(Refused, match=f"B1 trip@1 is not published; it lacks {lacks}$"):
        check(dataclasses.replace(ROW, **change), FULL)


@pytest.mark.parametrize("key", MANIFEST)
def test_bm_1_without_a_manifest_there_is_no_figure(key: str) -> None:
    with pytest.raises(Refused, match=f"lacks {key} in the manifest"):
        check(ROW, FULL | {key: ""})


def _cell(subject: str, *runs: dict[str, Any]) -> Cell:
    scenario = Scenario("trip@1", "round trip", 100, metric="p50", unit="ns", divisor=1.0)
    return Cell(scenario, subject, list(runs))


ABOUT = {"id": "B1", "in_timer": "x", "does_not_show": "y", "floor": "word"}


def test_bm_1_one_wrong_run_spoils_the_row() -> None:
    good = {"p50": 10.0, "p99": 20.0, "n": 100, "verified": True}
    row = row_of(_cell("actinium", good, good), _cell("word", good), [_cell("queue", good)], ABOUT)
    assert row.verified and row.value == 10.0 and row.quantiles == {"p99": 20.0}
    for bad in ({**good, "verified": False}, {"failed": "wrong contents"}):
        row = row_of(_cell("actinium", good, bad), _cell("word", good), [], ABOUT)
        assert not row.verified
    with pytest.raises(Refused, match="wrong contents"):
        row_of(_cell("actinium", {"failed": "wrong contents"}), None, [], ABOUT)


def test_quantiles_leave_nothing_out() -> None:
    found = quantiles([*range(1, 1000), 10**9])
    assert found == {"p50": 501, "p99": 991, "p99_9": 10**9, "max": 10**9}


def test_the_interval_holds_the_median_and_repeats() -> None:
    values = [10.0, 11.0, 12.0, 13.0, 30.0]
    low, high = interval(values)
    assert (low, high) == interval(values) and 10.0 <= low <= 12.0 <= high <= 30.0
    assert interval([7.0] * 5) == (7.0, 7.0)


def test_the_effect_is_one_where_all_of_ours_are_above() -> None:
    assert effect([3, 4], [1, 2]) == 1.0 and effect([1, 2], [3, 4]) == -1.0
    assert effect([1, 2], [1, 2]) == 0.0


def test_goals_are_met_missed_or_not_measured() -> None:
    rate = dataclasses.replace(ROW, id="B2", name="tells@132", value=25.0)
    met = goals.judged([ROW, rate], "cuda")
    assert [line.split(":")[0] for line in met] == ["- met (1.5)", "- met (10)", "- met (25)"]
    slow = dataclasses.replace(ROW, value=3000.0)
    assert [line.split()[1] for line in goals.judged([slow], "cuda")] == ["MISSED", "MISSED", "not"]
    assert "not judged" in goals.judged([ROW], "cpu")[0]


def test_the_table_names_floor_and_baseline() -> None:
    text = markdown([ROW])
    assert "mapped_echo 600 (1.50x)" in text and "launch_sync 9000 (0.10x, -1.00)" in text
    assert "Does not show: Python." in text


@pytest.mark.parametrize("every", [scenarios.cpu(), scenarios.cuda(132), scenarios.cuda(4)])
def test_every_scenario_has_subjects_that_exist(every: list[scenarios.Measured]) -> None:
    names = [one.scenario.name for one in every]
    assert len(set(names)) == len(names)
    for one in every:
        assert {one.ours, one.floor, *one.baselines} <= set(SUBJECTS)
        assert one.baselines and one.in_timer and one.does_not_show
