"""Compiled plans take and give what Record.pack and unpack do, errors included."""

from __future__ import annotations

import array
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actinium import gpu
from actinium._native import RecordPlan
from actinium.errors import LayoutError
from actinium.gpu.layout.plan import number_plan, plan_of
from actinium.gpu.layout.record import Record
from actinium.gpu.layout.scalar import SCALARS, Scalar


@gpu.state
class Inner:
    flag: gpu.bool32
    x: gpu.f64


@gpu.message(kind=0x0140)
class Every:
    a: gpu.i8
    b: gpu.i16
    c: gpu.i32
    d: gpu.i64
    e: gpu.u8
    f: gpu.u16
    g: gpu.u32
    h: gpu.u64
    i: gpu.f16
    j: gpu.f32
    k: gpu.f64
    yes: gpu.bool32
    inner: Inner
    floats: gpu.Array[gpu.f32, 3]  # type: ignore[valid-type]
    small: gpu.Array[gpu.u8, 4]  # type: ignore[valid-type]
    many: gpu.Array[Inner, 2]  # type: ignore[valid-type]


RECORD: Record = gpu.record_of(Every)
PLAN = plan_of(RECORD, 0x0140)
GOOD: dict[str, Any] = {
    "a": -1, "b": 2, "c": -3, "d": -(1 << 63), "e": 255, "f": 6, "g": 7, "h": (1 << 64) - 1,
    "i": 0.5, "j": 1.5, "k": math.pi, "yes": True, "inner": Inner(True, 2.5),
    "floats": (1.0, 2.0, 3.0), "small": (1, 2, 3, 4), "many": (Inner(False, 0.0), Inner(True, 1.0)),
}  # fmt: skip
ODD: list[Any] = [
    0, 1, -1, 127, 128, -129, 255, 256, 65536, 1 << 31, -(1 << 31), 1 << 32, 1 << 53, (1 << 53) + 1,
    1 << 63, (1 << 64) - 1, 1 << 64, 1 << 200, 0.0, -0.0, 1.5, 3.4e38, 3.5e38, -1e39, 65504.0,
    65520.0, 1e-46, math.inf, -math.inf, math.nan, True, False, None, "1", b"1", [1], (1, 2, 3),
    (1, 2, 3, 4), [1.0, 2.0, 3.0], b"\x01\x02\x03\x04", b"\x01\x02\x03",
    array.array("f", [1, 2, 3]),
    array.array("d", [1, 2, 3]), array.array("B", [1, 2, 3, 4]), array.array("b", [1, 2, 3, -4]),
    Inner(True, 1.0), Inner(1, 1.0), {"flag": True, "x": 1.0}, [Inner(True, 1), Inner(False, 2.5)],
]  # fmt: skip


def both(value: Any, plan: RecordPlan = PLAN, record: Record = RECORD) -> None:
    """Same bytes or same error."""
    try:
        expected: Any = record.pack(value)
    except LayoutError as e:
        with pytest.raises(type(e)) as raised:
            plan.pack(value)
        assert str(raised.value) == str(e)
    else:
        assert plan.pack(value) == expected


def test_the_fast_way_knows_every_field() -> None:
    assert PLAN.plain and PLAN.kind == 0x0140 and PLAN.size == RECORD.size
    both(Every(**GOOD))
    assert PLAN.unpack(RECORD.pack(Every(**GOOD))) == Every(**GOOD)


@pytest.mark.parametrize("field", list(GOOD))
def test_ly_1_every_odd_value_of_every_field_is_taken_or_refused_alike(field: str) -> None:
    for odd in ODD:
        both(Every(**(GOOD | {field: odd})))


def test_mappings_other_classes_and_missing_fields_go_the_record_s_own_way() -> None:
    both(GOOD)
    both({"a": 1})
    both(object())


@pytest.mark.parametrize("name", sorted(SCALARS))
@given(data=st.data())
def test_ly_1_numbers_are_packed_and_unpacked_alike(name: str, data: st.DataObject) -> None:
    scalar: Scalar = SCALARS[name]
    record, plan = Record("reply", {"value": scalar}), number_plan(scalar)
    value = data.draw(
        st.booleans() | st.floats() | st.integers(-(1 << 65), 1 << 65) | st.sampled_from(ODD)
    )
    try:
        packed = record.pack({"value": value})
    except LayoutError as e:
        with pytest.raises(LayoutError) as raised:
            plan.pack(value)
        assert str(raised.value) == str(e)
        return
    assert plan.pack(value) == packed
    expected, got = record.unpack(packed)["value"], plan.unpack(packed)
    assert type(got) is type(expected) and repr(got) == repr(expected)


@given(st.binary(min_size=PLAN.size, max_size=PLAN.size))
def test_ly_1_any_bytes_are_unpacked_alike(data: bytes) -> None:
    assert repr(PLAN.unpack(data)) == repr(RECORD.unpack(data))


def test_bytes_of_another_length_are_refused() -> None:
    with pytest.raises(LayoutError, match="Every has"):
        PLAN.unpack(b"123")


def test_a_plan_that_reaches_beyond_its_record_is_refused() -> None:
    with pytest.raises(ValueError, match="ends at 12"):
        RecordPlan(RECORD, Every, 1, 8, False, (("a", "q", 4, 0, None),))
    with pytest.raises(ValueError, match="a plan has"):
        RecordPlan(RECORD, Every, 1, 8, False, ())
