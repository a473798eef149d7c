"""Number types: conversions, wrapping and promotion, against independent references."""

from __future__ import annotations

import math
import struct
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actinium import gpu
from actinium.gpu.ir.promote import common, holds, quotient
from actinium.gpu.layout.scalar import (
    BF16,
    BOOL,
    F16,
    F32,
    F64,
    FLOATS,
    I8,
    I32,
    I64,
    INTEGERS,
    SCALARS,
    U8,
    U32,
    U64,
    Scalar,
    convert,
    from_bits,
    to_bits,
)

FLOAT = st.floats(allow_nan=False)


def _nearest(type_: Scalar, exact: Fraction) -> float:
    """By definition: the neighbour of least distance, even significand on a tie."""
    if exact == 0:
        return 0.0
    size = abs(exact)
    exponent = math.frexp(float(size))[1] if size < Fraction(2) ** 1024 else 1025
    while Fraction(2) ** exponent <= size:
        exponent += 1
    step = Fraction(2) ** max(exponent - type_.digits, 2 - type_.exponent - type_.digits)
    rounded = round(size / step) * step  # ties to even
    sign = -1.0 if exact < 0 else 1.0
    if rounded >= Fraction(2) ** (type_.exponent + 1):
        return sign * math.inf
    return sign * float(rounded)


@pytest.mark.parametrize("type_", [F16, BF16, F32], ids=repr)
@given(value=FLOAT)
def test_floats_round_to_nearest_even(type_: Scalar, value: float) -> None:
    if math.isinf(value):
        assert type_(value) == value
        return
    assert type_(value) == _nearest(type_, Fraction(value))


@given(value=st.integers(-(1 << 64), 1 << 64))
def test_an_integer_becomes_f32_with_one_rounding(value: int) -> None:
    assert F32(value) == _nearest(F32, Fraction(value))


@pytest.mark.parametrize("type_", [F16, BF16], ids=repr)
def test_every_code_of_16_bits_comes_back(type_: Scalar) -> None:
    for code in range(1 << 16):
        value = from_bits(type_, code)
        if math.isnan(value):
            continue
        assert to_bits(type_, value) == code and type_(value) == value


@given(value=st.integers(), type_=st.sampled_from(INTEGERS))
def test_integers_wrap(value: int, type_: Scalar) -> None:
    code = type_.code
    raw = (value % (1 << type_.bits)).to_bytes(type_.size, "little")
    assert type_(value) == struct.unpack("<" + code, raw)[0]


@given(value=st.floats(), type_=st.sampled_from(INTEGERS))
def test_a_float_becomes_an_integer_towards_zero_and_saturates(value: float, type_: Scalar) -> None:
    got = type_(value)
    if math.isnan(value):
        assert got == 0
    elif math.isinf(value):
        assert got == (type_.high if value > 0 else type_.low)
    else:
        assert got == min(max(math.trunc(value), type_.low), type_.high)


def test_a_number_becomes_a_truth_value() -> None:
    assert (
        convert(BOOL, 0.0) is False and convert(BOOL, math.nan) is True and convert(BOOL, 2) is True
    )


def _values(type_: Scalar) -> list[int | float]:
    if type_.is_int:
        return [type_.low, type_.high, type_.high - 1, 1]
    top = 2.0**type_.exponent * (2 - 2.0 ** (1 - type_.digits))
    return [top, 1 + 2.0 ** (1 - type_.digits), 2.0 ** (1 - type_.exponent)]


@pytest.mark.parametrize("a", [*INTEGERS, *FLOATS], ids=repr)
@pytest.mark.parametrize("b", [*INTEGERS, *FLOATS], ids=repr)
def test_the_common_type_holds_both_exactly_and_is_the_smallest(a: Scalar, b: Scalar) -> None:
    joint = common(a, b)
    assert joint is common(b, a)
    fits = [
        t for t in (*INTEGERS, *FLOATS)
        if all(t(v) == v for type_ in (a, b) for v in _values(type_))
    ]  # fmt: skip
    if a.is_float or b.is_float:
        fits = [t for t in fits if t.is_float]
    elif any(t.is_int for t in fits):
        fits = [t for t in fits if t.is_int]
    else:
        fits = []
    if joint is None:
        assert not fits or all(not holds(t, a) or not holds(t, b) for t in fits)
    else:
        assert joint in fits and joint.bits == min(t.bits for t in fits)


def test_promotions_that_people_ask_about() -> None:
    table = {
        (I32, I64): I64, (U32, I32): I64, (U8, I8): SCALARS["i16"], (U64, I64): None,
        (I32, F32): F64,
        (I8, F16): F16, (F16, BF16): F32, (I64, F64): None, (BOOL, I32): None, (F32, F64): F64,
    }  # fmt: skip
    for (a, b), want in table.items():
        assert common(a, b) is want
    assert quotient(I32, I32) is F64 and quotient(I64, I64) is None and quotient(F32, F32) is F32


def test_a_type_called_in_python_converts() -> None:
    assert gpu.i8(300) == 44 and gpu.u8(-1) == 255 and gpu.f32(0.1) != 0.1 and gpu.i32(2.9) == 2
