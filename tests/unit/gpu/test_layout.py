"""Layouts: bytes, offsets, refusals; and that g++, ctypes and Python agree (LY-1)."""

from __future__ import annotations

import ctypes
import random
import subprocess
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import actinium as ac
from actinium import gpu
from actinium.errors import LayoutError, LayoutMismatch
from actinium.gpu.codegen.host import compiler
from actinium.gpu.layout.header import header, markdown
from actinium.gpu.layout.record import ArrayType, Record
from actinium.gpu.layout.scalar import NARROW, SCALARS, Scalar


@gpu.state
class Point:
    x: gpu.f32
    y: gpu.f32 = 1.5


@gpu.message(kind=0x0110)
class Sample:
    flag: gpu.bool32
    small: gpu.i8
    wide: gpu.u64
    half: gpu.f16
    brain: gpu.bf16
    at: Point
    row: gpu.Array[gpu.i16, 3]  # type: ignore[valid-type]


SAMPLE = Sample(True, -2, 1 << 63, 1.5, -2.0, Point(0.5), (1, -1, 300))


def test_golden_bytes() -> None:
    record = gpu.record_of(Sample)
    data = bytes.fromhex(
        "01000000 fe 000000 0000000000000080 003e 00c0 0000003f 0000c03f 0100ffff2c01 000000000000"
    )
    assert record.pack(SAMPLE) == data
    assert record.size == 40 and record.alignment == 8
    assert record.unpack(data) == SAMPLE
    assert record.table == [
        ("flag", 0, 4), ("small", 4, 1), ("wide", 8, 8), ("half", 16, 2), ("brain", 18, 2),
        ("at", 20, 8), ("at.x", 20, 4), ("at.y", 24, 4), ("row", 28, 6),
    ]  # fmt: skip


def test_a_message_is_an_ordinary_frozen_message() -> None:
    assert isinstance(SAMPLE, ac.Message) and Point(1.0).y == 1.5
    with pytest.raises(AttributeError):
        SAMPLE.small = 1  # type: ignore[misc]
    point = Point(1.0)
    point.x = 2.0
    assert gpu.record_of(Point).pack(point) == gpu.record_of(Point).pack({"x": 2, "y": 1.5})


def test_the_hash_is_of_everything_that_two_sides_must_share() -> None:
    base = {"a": SCALARS["i32"], "b": SCALARS["f32"]}
    hashes = {
        Record("R", base).hash, Record("S", base).hash,
        Record("R", base | {"b": SCALARS["u32"]}).hash,
        Record("R", {"b": SCALARS["f32"], "a": SCALARS["i32"]}).hash,
        Record("R", base | {"b": ArrayType(SCALARS["f32"], 1)}).hash,
    }  # fmt: skip
    assert len(hashes) == 5
    assert Record("R", base).hash == Record("R", dict(base)).hash == 5358146685878685380


def test_another_side_is_compared_field_by_field() -> None:
    record = gpu.record_of(Point)
    record.check({"x": (0, 4), "y": (4, 4)}, 8)
    with pytest.raises(
        LayoutMismatch, match=r"Point.y: expected \(offset, bytes\) \(4, 4\), got \(8, 4\)"
    ):
        record.check({"x": (0, 4), "y": (8, 4)}, 12)
    with pytest.raises(LayoutMismatch, match=r"Point.sizeof: .* 8, got 16"):
        record.check({"x": (0, 4), "y": (4, 4)}, 16)


def test_the_table_for_documents() -> None:
    assert markdown(Record("R", {"a": SCALARS["u8"], "b": SCALARS["i32"]})) == (
        "`R`: 8 bytes, aligned to 4\n\n| offset | bytes | field | type |\n|---|---|---|---|\n"
        "| 0 | 1 | `a` | `u8` |\n| 1 | 3 | | padding |\n| 4 | 4 | `b` | `i32` |\n"
    )


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"x": 1}, "Point.y is missing"),
        ({"x": "1", "y": 2}, "Point.x is f32: expected a number, got '1'"),
        ({"x": True, "y": 2}, "Point.x is f32: expected a number, got True"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(values: Any, text: str) -> None:
    with pytest.raises(LayoutError, match=text):
        gpu.record_of(Point).pack(values)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"small": 128}, r"Sample.small is i8: expected -128..127, got 128"),
        ({"wide": -1}, r"Sample.wide is u64: expected 0..18446744073709551615, got -1"),
        ({"small": 1.0}, r"Sample.small is i8: expected an integer, got 1.0"),
        ({"flag": 1}, r"Sample.flag is bool32: expected True or False, got 1"),
        ({"row": (1, 2)}, r"Sample.row takes 3 elements, got 2"),
        ({"row": 5}, r"Sample.row takes 3 elements, got 5"),
        ({"row": (1, 2, 40000)}, r"Sample.row\[2\] is i16"),
    ],
)
def test_a_field_that_does_not_fit_is_named(change: dict[str, Any], text: str) -> None:
    values = {name: getattr(SAMPLE, name) for name in gpu.record_of(Sample).types}
    with pytest.raises(LayoutError, match=text):
        gpu.record_of(Sample).pack(values | change)


def test_too_few_bytes_are_refused() -> None:
    with pytest.raises(LayoutError, match="Point has 8 bytes, got 7"):
        gpu.record_of(Point).unpack(bytes(7))


def _declare(annotation: Any, name: str = "x", **body: Any) -> type:
    return gpu.state(type("Made", (), {"__annotations__": {name: annotation}, **body}))


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        (int, r"Made.x is a plain int; write its width: gpu.i64"),
        (float, r"Made.x is a plain float; write its width: gpu.f32 or gpu.f64"),
        (list, r"Made.x has type <class 'list'>, which has no fixed layout"),
        ("Missing", r"Made.x: the annotation 'Missing' is unknown"),
    ],
)
def test_a_field_without_a_layout_is_refused(annotation: Any, text: str) -> None:
    with pytest.raises(LayoutError, match=text):
        _declare(annotation)


def test_names_that_mean_something_in_cpp_are_refused() -> None:
    for name in ("int", "class", "f32", "_hidden"):
        with pytest.raises(LayoutError, match=f"Made.{name} cannot be a field"):
            _declare(SCALARS["i32"], name)


def test_arrays_and_kinds_have_limits() -> None:
    for length in (0, -1, True, "3"):
        with pytest.raises(LayoutError, match="the length of an Array"):
            gpu.Array[gpu.i32, length]  # type: ignore[index, misc]
    with pytest.raises(LayoutError, match=r"expected Array\[type, length\]"):
        gpu.Array[gpu.i32]  # type: ignore[index, misc]
    assert gpu.Array[gpu.i32, Literal[3]] == gpu.Array[gpu.i32, 3]  # type: ignore[misc]
    for kind in (0xFF, 0x10000, True, "1"):
        with pytest.raises(LayoutError, match=r"kind must be 0x0100..0xFFFF"):
            gpu.message(kind=kind)  # type: ignore[arg-type]
    with pytest.raises(LayoutError, match="has no field"):
        gpu.state(type("Empty", (), {}))
    with pytest.raises(LayoutError, match=r"a layout holds at most"):
        _declare(gpu.Array[gpu.u8, 1 << 31])  # type: ignore[misc]
    with pytest.raises(LayoutError, match="has no layout; decorate it"):
        gpu.record_of(int)


# Random schemas: g++ (by its assertions), ctypes and Python place every field alike.

_LEAVES = st.sampled_from(list(SCALARS.values()))
_CTYPES = {
    "i8": ctypes.c_int8, "i16": ctypes.c_int16, "i32": ctypes.c_int32, "i64": ctypes.c_int64,
    "u8": ctypes.c_uint8, "u16": ctypes.c_uint16, "u32": ctypes.c_uint32, "u64": ctypes.c_uint64,
    "f16": ctypes.c_uint16, "bf16": ctypes.c_uint16, "f32": ctypes.c_float, "f64": ctypes.c_double,
    "bool32": ctypes.c_uint32, "Ref": ctypes.c_uint64, **dict.fromkeys(NARROW, ctypes.c_uint8),
}  # fmt: skip
_serial = iter(range(10**9))


def _record(types: list[Any]) -> Record:
    return Record(f"R{next(_serial)}", {f"f{i}": t for i, t in enumerate(types)})


_TYPES = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(
        st.builds(
            ArrayType, inner.filter(lambda t: not isinstance(t, ArrayType)), st.integers(1, 5)
        ),
        st.lists(inner, min_size=1, max_size=4).map(_record),
    ),
    max_leaves=6,
)
RECORDS = st.lists(_TYPES, min_size=1, max_size=8).map(_record)


def _as_ctypes(type_: Any) -> Any:
    if isinstance(type_, Scalar):
        return _CTYPES[type_.name]
    if isinstance(type_, ArrayType):
        return _as_ctypes(type_.element) * type_.length
    fields = [(f.name, _as_ctypes(f.type)) for f in type_.fields]
    return type(type_.name, (ctypes.Structure,), {"_fields_": fields})


@given(st.lists(RECORDS, min_size=1, max_size=4))
@settings(max_examples=30, deadline=None)
def test_ly_1_ctypes_agrees(records: list[Record]) -> None:
    for record in records:
        made = _as_ctypes(record)
        assert ctypes.sizeof(made) == record.size, f"LY-1: {record.description}"
        assert ctypes.alignment(made) == record.alignment
        for field in record.fields:
            assert getattr(made, field.name).offset == field.offset, f"LY-1: {record.description}"
        assert record.pack(record.zero) == bytes(record.size)


def _drawn(draw: random.Random, depth: int) -> Any:
    kind = draw.randrange(5) if depth else 0
    if kind <= 2:
        return draw.choice(list(SCALARS.values()))
    if kind == 3:
        element = _drawn(draw, 0) if draw.random() < 0.7 else _record([_drawn(draw, 0)] * 2)
        return ArrayType(element, draw.randint(1, 5))
    return _record([_drawn(draw, depth - 1) for _ in range(draw.randint(1, 4))])


def test_ly_1_gpp_agrees_on_1000_schemas(tmp_path: Path) -> None:
    draw = random.Random(1)
    made = [_record([_drawn(draw, 2) for _ in range(draw.randint(1, 6))]) for _ in range(1000)]
    text = header(made)
    assert text.count("static_assert") >= 3000
    path = tmp_path / "layouts.cpp"
    path.write_text(text)
    run = subprocess.run(
        [compiler()[0], "-std=c++17", "-fsyntax-only", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, f"LY-1: {run.stderr[:2000]}"


def test_ly_1_a_changed_field_fails_the_build(tmp_path: Path) -> None:
    path = tmp_path / "layout.cpp"
    path.write_text(header([gpu.record_of(Point)]).replace("ac_f32 x;", "ac_f64 x;"))
    run = subprocess.run(
        [compiler()[0], "-std=c++17", "-fsyntax-only", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode != 0 and "Point.y is not at 4" in run.stderr


def test_two_layouts_of_one_name_are_refused_when_a_program_is_compiled() -> None:
    other = gpu.message(kind=0x0111)(type("Point", (), {"__annotations__": {"z": SCALARS["i64"]}}))

    class Holder:
        at: Point

        @ac.on
        def move(self, m: other) -> None:  # type: ignore[valid-type]
            self.at.x = 1.0

    with pytest.raises(LayoutError, match=r"two layouts are named Point: .* rename one"):
        gpu.compile(gpu.actor()(Holder))
