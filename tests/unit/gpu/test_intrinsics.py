"""Every row of the table, for each of its types: its C++ text against its Python reference."""

from __future__ import annotations

import ctypes
import math
import random
import struct
from pathlib import Path
from typing import Any

import pytest

from actinium import gpu
from actinium.errors import UsageError
from actinium.gpu.codegen.cache import Cache
from actinium.gpu.codegen.cpp import held
from actinium.gpu.codegen.host import library
from actinium.gpu.intrinsics.lanes import updated
from actinium.gpu.intrinsics.row import Row
from actinium.gpu.intrinsics.table import MATH, TABLE, WHOLE_MATH, markdown
from actinium.gpu.layout.scalar import BOOL, Scalar

CASES = [(row, type_) for row in TABLE.values() for type_ in row.types]
DRAWS = 40
PAGE = Path(__file__).parents[3] / "docs/reference/intrinsics.md"


def _code(type_: Scalar) -> str:
    """How a value travels in the test: small floats as the f32 they are held as."""
    return "f" if type_.is_small else {"bool32": "?"}.get(type_.name, type_.code)


def entry(row: Row, type_: Scalar, name: str, target: str) -> str:
    """A function around one row: operands and result behind pointers."""
    types = row.operand_types(type_)
    names = [f"*({held(t)}*)a[{i}]" for i, t in enumerate(types)]
    levels = (0, 1, 2) if row.lanes and target == "cuda" else (0,)
    head = 'extern "C" __device__' if target == "cuda" else 'extern "C"'
    out = []
    for level in levels:
        text = row.text(target, type_, [f"x{i}" for i in range(len(names))], level)
        lets = [f"{held(t)} x{i} = {n};" for i, (t, n) in enumerate(zip(types, names, strict=True))]
        if row.group == "atomics":
            lets[0] = f"{held(type_)}& x0 = {names[0]};"
        out.append(
            f"{head} void {name}_{level}(ac_ctx* ctx, void** a, void* out) {{ (void)ctx; "
            f"{' '.join(lets)} *({held(row.result_type(type_))}*)out = {text}; }}"
        )
    return "\n".join(out)


def text(target: str) -> str:
    """All rows in one text."""

    @gpu.kernel
    def nothing() -> None:
        pass

    parts = [gpu.compile(nothing).text(target)]
    parts += [entry(row, type_, f"t{i}", target) for i, (row, type_) in enumerate(CASES)]
    return "\n".join(parts)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    folder = Path(tmp_path_factory.mktemp("rows"))
    path = folder / "rows.so"
    path.write_bytes(library(text("cpu"), True, Cache(folder), ("-O1",)))
    return ctypes.CDLL(str(path))


def draw(random_: random.Random, row: Row, type_: Scalar) -> Any:
    if type_ is BOOL:
        return random_.random() < 0.5
    if type_.is_float:
        low, high = row.domain
        return type_(random_.uniform(low, high))
    edges = [0, 1, 2, 31, 33, type_.low, type_.high, type_.high - 1]
    return (
        random_.choice(edges) if random_.random() < 0.4 else random_.randint(type_.low, type_.high)
    )


def distance(type_: Scalar, got: float, want: float) -> float:
    """In units of the last place of ``want``."""
    if got == want or (math.isnan(got) and math.isnan(want)):
        return 0.0
    if math.isnan(got) or math.isnan(want) or math.isinf(got) or math.isinf(want):
        return math.inf
    exponent = max(math.frexp(want)[1], 2 - type_.exponent)
    return float(abs(got - want) / 2.0 ** (exponent - type_.digits))


def run(function: Any, row: Row, type_: Scalar, operands: list[Any]) -> tuple[Any, Any]:
    """The result, and what the first operand's place holds afterwards."""
    types = row.operand_types(type_)
    buffers = [
        ctypes.create_string_buffer(struct.pack("<" + _code(t), x))
        for t, x in zip(types, operands, strict=True)
    ]
    pointers = (ctypes.c_void_p * max(len(buffers), 1))(*(ctypes.addressof(b) for b in buffers))
    out = ctypes.create_string_buffer(8)
    function(None, pointers, out)
    result = row.result_type(type_)
    first = struct.unpack_from("<" + _code(types[0]), buffers[0])[0]
    return struct.unpack_from("<" + _code(result), out)[0], first


@pytest.mark.parametrize("i", range(len(CASES)), ids=lambda i: f"{CASES[i][0].name}-{CASES[i][1]}")
def test_tr_1_a_row_equals_its_reference(compiled: ctypes.CDLL, i: int) -> None:
    row, type_ = CASES[i]
    random_ = random.Random(row.name)
    result = row.result_type(type_)
    for _ in range(DRAWS):
        operands = [draw(random_, row, t) for t in row.operand_types(type_)]
        got, after = run(getattr(compiled, f"t{i}_0"), row, type_, operands)
        want = row.compute(type_, *operands)
        where = f"TR-1: {row.signature} of {operands} as {type_}: got {got}, expected {want}"
        if result.is_float:
            assert distance(result, got, float(want)) <= row.ulp, where
        else:
            assert got == want, where
        if row.group == "atomics":
            assert after == updated(row.name, type_, operands[0], *operands[1:]), where


@pytest.mark.parametrize("name", ["floor", "ceil", "trunc", "rint", "round_away", "sqrt", "fma"])
def test_exact_rows_take_infinities_and_nan(compiled: ctypes.CDLL, name: str) -> None:
    row = TABLE[name]
    for i, (case, type_) in enumerate(CASES):
        if case is not row:
            continue
        for value in (0.0, math.inf, math.nan, 0.5, 2.5, -0.5 if name != "sqrt" else 1.0):
            operands = [value, *([1.0] * (len(row.params) - 1))]
            got, _ = run(getattr(compiled, f"t{i}_0"), row, type_, operands)
            want = row.compute(type_, *operands)
            assert distance(type_, got, float(want)) == 0, (name, value, got, want)


def test_the_table_is_one_list_without_gaps() -> None:
    assert len(TABLE) >= 160
    for name, row in TABLE.items():
        assert row.name == name and row.doc and row.types
        assert set(row.params) | {row.result} <= {"T"} | set(gpu.SCALARS)
        assert f"| `{row.signature}` |" in markdown()
    assert markdown() in PAGE.read_text(), "write docs/reference/intrinsics.md anew"
    assert f"The {len(TABLE)} functions" in PAGE.read_text()
    assert all(row in TABLE.values() for row in MATH.values()) and set(WHOLE_MATH.values()) <= set(
        TABLE
    )


def test_a_row_is_a_function_in_plain_python() -> None:
    assert gpu.popc(255) == 8 and gpu.clamp(5, 0, 3) == 3 and gpu.sqrt(2) == math.sqrt(2)
    assert gpu.philox(0, 0, 0) == 0x6627E8D5  # Salmon et al.'s known answer for key and counter 0
    with pytest.raises(UsageError, match=r"gpu.sqrt\(T\) -> T: got 2 operands"):
        gpu.sqrt(1, 2)
