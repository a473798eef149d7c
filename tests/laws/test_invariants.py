"""docs/explain/invariants.md says of every invariant where it is proven, and it is proven there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/explain/invariants.md"
DEVICES = ROOT / "docs/explain/invariants-gpu.md"

_TEST = re.compile(r"(?:def test_|TEST\(|class Test)(\w+)")
_ID = re.compile(r"(?:^|_)([A-Za-z]{2})((?:_\d)+)(?=_|$)")
_ROW = re.compile(r"^\| ([A-Z]{2}-\d) \| (.+) \| (.+) \|$", re.MULTILINE)

ROWS = {row[1]: row[3] for row in _ROW.finditer(PAGE.read_text(encoding="utf-8"))}

LETTERS = {id_[:2] for id_ in ROWS}

OF_DEVICES = {"CM", "HC", "RG", "SV"}
"""Letters that mean others in tests of device actors: invariants-gpu.md has them."""


def ids_in(name: str) -> set[str]:
    """The ids that a test's name holds: ``ST_1_2_ends`` has two."""
    if name.startswith("inf_"):  # those of inference, which have letters of their own
        return set()
    return {
        f"{letters.upper()}-{digit}"
        for letters, digits in _ID.findall(name)
        for digit in digits.split("_")[1:]
        if letters.upper() in LETTERS
    }


def proofs() -> dict[str, set[str]]:
    """Which files have tests by which id."""
    found: dict[str, set[str]] = {}
    for file in [*ROOT.glob("tests/**/*.py"), *ROOT.glob("native/tests/*.cpp")]:
        path = str(file.relative_to(ROOT))
        for name in _TEST.findall(file.read_text(encoding="utf-8")):
            for id_ in ids_in(name):
                if id_[:2] not in OF_DEVICES or not ("gpu" in path or "device" in name):
                    found.setdefault(id_, set()).add(path)
    return found


PROOFS = proofs()


ALL = {
    "MS": 5, "MB": 5, "SC": 6, "TM": 2, "SL": 2, "DL": 2, "SV": 6, "LC": 3, "WD": 1, "ST": 4,
    "RL": 1, "BR": 1, "RG": 1, "RT": 1, "PS": 4, "HC": 1, "CL": 7, "DD": 1, "CF": 2, "OP": 2,
    "TK": 1,
}  # fmt: skip
"""How many the runtime has of each kind: none is forgotten, none struck out in passing."""

NOT_OF_THE_RUNTIME = re.compile(r"(RL|CL|DD|OP)-\d|CF-2")
"""Those of parts that stand on it; only these may still be `later`."""


def test_the_page_has_every_invariant_and_those_of_the_runtime_are_proven() -> None:
    assert {id_ for id_ in ROWS if id_[:2] in ALL} == {
        f"{kind}-{n}" for kind, most in ALL.items() for n in range(1, most + 1)
    }
    for id_, where in ROWS.items():
        if id_[:2] not in ALL:  # of the layers above
            continue
        proven = bool(PROOFS.get(id_)) and not re.match(r"(later|open)\b", where)
        assert proven or NOT_OF_THE_RUNTIME.fullmatch(id_), f"{id_} has no test with its name"


def test_ids_are_read_from_names() -> None:
    assert ids_in("MS_1_MS_3_LC_3_under_anything") == {"MS-1", "MS-3", "LC-3"}
    assert ids_in("ST_1_2_3_4_credits") == {"ST-1", "ST-2", "ST-3", "ST-4"}
    assert ids_in("mb_2_no_wakeup") == {"MB-2"}
    assert ids_in("inf_SE_1_one_turn") == ids_in("stamps_of_8_threads") == set()


@pytest.mark.parametrize("id_", sorted(ROWS))
def test_an_invariant_is_proven_where_the_page_says(id_: str) -> None:
    where = ROWS[id_]
    files = re.findall(r"`([^`]+)`", where)
    proven = PROOFS.get(id_, set())
    assert set(files) <= proven, f"{id_} is not in a test's name in {set(files) - proven}"
    if not files:
        assert re.match(r"(later|open)\b", where), f"{id_}: name a file, 'later: ...' or 'open'"
    if where.startswith("later"):
        assert not proven, f"{id_} is proven by now: name {sorted(proven)} in {PAGE.name}"


def test_every_id_that_a_test_or_the_code_names_is_on_the_page() -> None:
    assert set(PROOFS) <= set(ROWS)
    devices = set(
        re.findall(r"^\| ([A-Z]{2}-\d) \|", DEVICES.read_text(encoding="utf-8"), re.MULTILINE)
    )
    named = re.compile(r"\b(?<!inf_)([A-Z]{2}-\d)\b")
    for folder in ("src", "native"):
        for file in (ROOT / folder).rglob("*.[chp]*"):
            if file.suffix not in {".py", ".cpp", ".hpp", ".pyi"} or "inference" in file.parts:
                continue
            ids = {i for i in named.findall(file.read_text(encoding="utf-8")) if i[:2] in LETTERS}
            assert ids <= set(ROWS) | devices, file
