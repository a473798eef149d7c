"""RG-1 to RG-5 in every order in which the sides of a small ring can pass each other."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from actinium.gpu.abi.text import abi_header
from actinium.gpu.codegen.host import compiler
from actinium.gpu.codegen.rings import part
from actinium.gpu.layout.header import BASICS

HERE = Path(__file__).resolve().parent
MUTANTS = {
    "one tag for a line": (
        "o 2 1 1 0", "if (c[i].tag != tag) return false;", "if (c[0].tag != tag) return false;",
    ),
    "only the first line's tags": ("o 2 2 1 0", "if (more.tag != tag) return false;", ""),
    "credit one slot too far": (
        "m 1 2 1 1", "ac_ld32(read) + capacity", "ac_ld32(read) + capacity + 1",
    ),
    "a ticket that two can have": (
        "m 2 2 1 1", "if (ac_near_cas(&t->next, next, next + n) == next) {",
        "ac_near_st(&t->next, next + n); {",
    ),
    "more than was asked room for": (
        "m 2 2 2 2", "(ac_u32)room < wanted ? (ac_u32)room : wanted", "wanted",
    ),
}  # fmt: skip


def built(folder: Path, right: str = "", wrong: str = "") -> Path:
    """The search over the rings as they are shipped, or with a change."""
    before, after = part("rings.h").split('#include "port.h"\n')
    assert not right or (before + after).count(right) == 1
    if right:
        after = after.replace(right, wrong)
    text = (HERE / "gpu_ring_search.cpp").read_text()
    pieces = {"BASICS": BASICS, "ABI": abi_header(), "RINGS BEFORE": before, "RINGS AFTER": after}
    for name, piece in pieces.items():
        text = text.replace(f"// {name}\n", piece)
    source, program = folder / "search.cpp", folder / "search"
    source.write_text(text)
    native = HERE.parents[1] / "native" / "tests"
    path, _ = compiler()
    flags = ("-std=c++20", "-O1", "-w", "-fno-strict-aliasing", f"-I{native}")
    subprocess.run([path, *flags, "-o", str(program), str(source)], check=True)
    return program


def search(program: Path, bounds: str) -> tuple[int, str]:
    run = subprocess.run(
        [str(program), *bounds.split()], capture_output=True, text=True, timeout=20, check=False
    )
    return run.returncode, run.stdout


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("search"))


BOUNDS = (
    "o 1 1 2 0", "o 2 1 2 0", "o 2 2 1 0", "o 1 1 2 4294967295",
    "m 1 2 1 1", "m 2 2 2 2", "m 2 3 1 1",
)  # fmt: skip


@pytest.mark.parametrize("bounds", BOUNDS)
def test_rg_1_to_rg_5_hold_in_every_order(program: Path, bounds: str) -> None:
    """o: capacity, lines, messages, first number; m: capacity, producers, each, wanted at once."""
    code, words = search(program, bounds)
    assert code == 0, words
    assert int(words.split()[0]) > 10, "several orders were tried"


@pytest.mark.slow
@pytest.mark.parametrize("name", MUTANTS)
def test_the_search_finds_what_is_wrong(tmp_path: Path, name: str) -> None:
    bounds, right, wrong = MUTANTS[name]
    code, words = search(built(tmp_path, right, wrong), bounds)
    assert code == 1 and "orders" in words, f"{name}: {words}"
