"""docs/explain/invariants-inference.md says of every invariant where it is proven, and it is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/explain/invariants-inference.md"

_TEST = re.compile(r"(?:def test_|class Test)(\w+)")
_INF = re.compile(r"(?:^|_)inf_(.+)", re.IGNORECASE)
_ID = re.compile(r"(?:^|_)([A-Za-z]{2})((?:_\d)+)(?=_|$)")
_ROW = re.compile(r"^\| ([A-Z]{2}-\d) \| (.+) \| (.+) \|$", re.MULTILINE)

ROWS = {row[1]: row[3] for row in _ROW.finditer(PAGE.read_text(encoding="utf-8"))}


def ids_in(name: str) -> set[str]:
    """The ids behind ``inf_`` in a test's name."""
    found = _INF.search(name)
    return {
        f"{letters.upper()}-{digit}"
        for letters, digits in _ID.findall(found[1] if found is not None else "")
        for digit in digits.split("_")[1:]
    }


def proofs() -> dict[str, set[str]]:
    """Which files have tests by which id."""
    found: dict[str, set[str]] = {}
    for file in ROOT.glob("tests/**/*.py"):
        for name in _TEST.findall(file.read_text(encoding="utf-8")):
            for id_ in ids_in(name):
                found.setdefault(id_, set()).add(str(file.relative_to(ROOT)))
    return found


PROOFS = proofs()


def test_ids_are_read_from_names() -> None:
    assert ids_in("inf_rq_1_rq_2_chaos_of_10") == {"RQ-1", "RQ-2"}
    assert ids_in("complaint_3_inf_cx_1_leaving") == {"CX-1"}
    assert ids_in("LC_1_of_the_runtime") == set()


@pytest.mark.parametrize("id_", sorted(ROWS))
def test_an_invariant_is_proven_where_the_page_says(id_: str) -> None:
    where = ROWS[id_]
    files = set(re.findall(r"`([^`]+)`", where))
    proven = PROOFS.get(id_, set())
    assert files <= proven, f"{id_} is not in a test's name in one of {files - proven}"
    assert files or re.match(r"(later|open)\b", where), f"{id_}: name a file, or 'later: ...'"
    if where.startswith("later"):
        assert not proven, f"{id_} is proven by now: name {sorted(proven)} in {PAGE.name}"


def test_every_id_that_a_test_names_is_on_the_page() -> None:
    assert set(PROOFS) <= set(ROWS)
