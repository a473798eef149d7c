"""docs/explain/invariants-gpu.md says of every invariant where it is proven, and it is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/explain/invariants-gpu.md"

_TEST = re.compile(r"(?:def test_|TEST\(|class Test)(\w+)")
_ID = re.compile(r"(?:^|_)(cm|hc|rg|sv)((?:_\d)+)(?=_|$)")
_RANGE = re.compile(r"(cm|hc|rg|sv)_(\d)_to_(?:cm|hc|rg|sv)_(\d)")
_ROW = re.compile(r"^\| ([A-Z]{2}-\d) \| (.+) \| (.+) \|$", re.MULTILINE)

ROWS = {row[1]: row[3] for row in _ROW.finditer(PAGE.read_text(encoding="utf-8"))}


def ids_in(name: str) -> set[str]:
    """The ids that a test's name holds: ``rg_1_to_rg_3`` has three."""
    found = {
        f"{letters.upper()}-{digit}"
        for letters, digits in _ID.findall(name)
        for digit in digits.split("_")[1:]
    }
    for letters, low, high in _RANGE.findall(name):
        found |= {f"{letters.upper()}-{n}" for n in range(int(low), int(high) + 1)}
    return found


def proofs() -> dict[str, set[str]]:
    """Which files of device actors have tests by which id."""
    found: dict[str, set[str]] = {}
    for file in [*ROOT.glob("tests/**/*.py"), *ROOT.glob("native/tests/*.cpp")]:
        path = str(file.relative_to(ROOT))
        for name in _TEST.findall(file.read_text(encoding="utf-8")):
            if "gpu" in path or "device" in name:
                for id_ in ids_in(name):
                    found.setdefault(id_, set()).add(path)
    return found


PROOFS = proofs()


def test_ids_are_read_from_names() -> None:
    assert ids_in("rg_1_to_rg_3_hold") == {"RG-1", "RG-2", "RG-3"}
    assert ids_in("cm_2_sv_2_sv_5_a_script") == {"CM-2", "SV-2", "SV-5"}


def test_every_id_that_a_test_names_is_on_the_page() -> None:
    assert set(PROOFS) <= set(ROWS)


@pytest.mark.parametrize("id_", sorted(ROWS))
def test_an_invariant_is_proven_where_the_page_says(id_: str) -> None:
    files = set(re.findall(r"`([^`]+)`", ROWS[id_]))
    assert files, f"{id_}: name a file"
    assert files <= PROOFS.get(id_, set()), f"{id_} is in no test's name in one of {files}"
