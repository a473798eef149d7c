"""Number types with a width: what a field, a local or a value on a device is made of.

A value of such a type is held in Python as a plain ``int``, ``float`` or ``bool`` that the type
can represent exactly. ``convert`` is the explicit conversion, the same on every executor:

- to an integer type from an integer: modulo 2**bits; from a float: towards zero, saturating,
  NaN becomes 0;
- to a float type: rounded to nearest, ties to even, overflow to infinity (of 8 bits and fewer: to
  the largest number, see ``narrow.py``);
- to ``bool32``: whether the value is not zero.
"""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Any

from .narrow import FORMATS, Format, decode, encode, nearest

if TYPE_CHECKING:
    from collections.abc import Callable

Plain = int | float | bool


class Scalar:
    """One number type: its name, width in bits, kind (``i u f b``, or ``r``: a handle) and C name."""

    __slots__ = ("bits", "c", "code", "digits", "exponent", "kind", "min_cc", "name", "weak")

    def __init__(
        self, name: str, kind: str, bits: int, code: str, digits: int = 0, exponent: int = 0
    ) -> None:
        self.name = name
        self.kind = kind
        self.bits = bits
        self.code = code
        """The letter of the ``struct`` module for its bytes."""
        self.digits = digits or bits - (kind == "i")
        """Bits of significand: an integer below 2**digits is exact."""
        self.exponent = exponent
        self.c = "bool" if kind == "b" else f"ac_{name}"
        self.weak = False
        self.min_cc = ""
        """The compute capability that converts to it in hardware, where not all do."""

    def __repr__(self) -> str:
        return self.name

    def __call__(self, value: Plain) -> Plain:
        return convert(self, value)

    @property
    def size(self) -> int:
        """Bytes in memory; also its alignment."""
        return self.bits // 8

    @property
    def is_int(self) -> bool:
        return self.kind in "iu"

    @property
    def is_float(self) -> bool:
        return self.kind == "f"

    @property
    def is_small(self) -> bool:
        """Whether it is a float that is held as f32 and has bits of its own at rest."""
        return self.kind == "f" and self.bits < 32

    @property
    def low(self) -> int:
        return -(1 << (self.bits - 1)) if self.kind == "i" else 0

    @property
    def high(self) -> int:
        return (1 << (self.bits - (self.kind == "i"))) - 1

    @property
    def hint(self) -> str:
        """How a program writes it."""
        return f"gpu.{self.name}"


I8 = Scalar("i8", "i", 8, "b")
I16 = Scalar("i16", "i", 16, "h")
I32 = Scalar("i32", "i", 32, "i")
I64 = Scalar("i64", "i", 64, "q")
U8 = Scalar("u8", "u", 8, "B")
U16 = Scalar("u16", "u", 16, "H")
U32 = Scalar("u32", "u", 32, "I")
U64 = Scalar("u64", "u", 64, "Q")
F16 = Scalar("f16", "f", 16, "H", digits=11, exponent=15)
BF16 = Scalar("bf16", "f", 16, "H", digits=8, exponent=127)
F32 = Scalar("f32", "f", 32, "f", digits=24, exponent=127)
F64 = Scalar("f64", "f", 64, "d", digits=53, exponent=1023)
BOOL = Scalar("bool32", "b", 32, "I", digits=1)

REF = Scalar("Ref", "r", 64, "Q")
"""Who a message can be told to: 64 bits that the host gave out, 0 for nobody. No number."""

INTEGERS = (I8, I16, I32, I64, U8, U16, U32, U64)
FLOATS = (F16, BF16, F32, F64)
SCALARS = {s.name: s for s in (*INTEGERS, *FLOATS, BOOL, REF)}


def _narrow(name: str, form: Format) -> Scalar:
    made = Scalar(
        name, "f", 8, "B", digits=form.mantissa + 1, exponent=math.frexp(form.most)[1] - 1
    )
    made.min_cc = form.min_cc
    return made


NARROW = {name: _narrow(name, form) for name, form in FORMATS.items()}
"""Floats of 8 bits and fewer: stored and converted; arithmetic makes them f32 first."""
SCALARS |= NARROW


def widened(type_: Scalar) -> Scalar:
    """What arithmetic computes an operand of this type as."""
    return F32 if type_.name in NARROW else type_


def wrap(type_: Scalar, value: int) -> int:
    """An integer modulo 2**bits, as the type reads those bits."""
    value &= (1 << type_.bits) - 1
    if type_.kind == "i" and value >> (type_.bits - 1):
        value -= 1 << type_.bits
    return value


def _to_f32(value: float) -> float:
    try:
        return float(struct.unpack("<f", struct.pack("<f", value))[0])
    except OverflowError:
        return math.copysign(math.inf, value)


def _to_f16(value: float) -> float:
    try:
        return float(struct.unpack("<e", struct.pack("<e", value))[0])
    except OverflowError:
        return math.copysign(math.inf, value)


def _to_bf16(value: float) -> float:
    """Nearest with 8 bits of significand and the exponents of f32, ties to even."""
    if value == 0.0 or math.isinf(value) or math.isnan(value):
        return value
    exponent = math.frexp(value)[1]
    step = math.ldexp(1.0, max(exponent - 8, -133))
    rounded = round(value / step) * step  # exact: a power of two, and round() is ties to even
    return math.copysign(math.inf, value) if abs(rounded) >= 2.0**128 else rounded + value * 0.0


_ROUND: dict[str, Callable[[float], float]] = {
    "f16": _to_f16,
    "bf16": _to_bf16,
    "f32": _to_f32,
    "f64": float,
}


def round_to(type_: Scalar, value: float) -> float:
    """The nearest value of a float type."""
    if type_.name in NARROW:
        return nearest(type_.name, value)
    return _ROUND[type_.name](value)


def _int_to_float(type_: Scalar, value: int) -> float:
    """One rounding, also for integers that f64 cannot hold (for f16, bf16: through f64)."""
    if type_ is not F32 or abs(value) <= 1 << 53:
        return round_to(type_, float(value))
    shift = value.bit_length() - type_.digits
    base, rest = divmod(value, 1 << shift)
    half = 1 << (shift - 1)
    base += rest > half or (rest == half and base & 1)
    return round_to(type_, float(base << shift))


def convert(type_: Scalar, value: Plain) -> Plain:
    """The explicit conversion ``type_(value)``; see the head of this module."""
    if type_.kind == "b":
        return bool(value)
    if type_.kind == "f":
        if isinstance(value, float):
            return round_to(type_, value)
        return _int_to_float(type_, int(value))
    if isinstance(value, float):
        if math.isnan(value):
            return 0
        if value >= type_.high:
            return type_.high
        return type_.low if value <= type_.low else math.trunc(value)
    return wrap(type_, int(value))


def fits(type_: Scalar, value: Plain) -> bool:
    """Whether a literal can become a value of the type: exact for integers, rounded for floats."""
    if type_.kind == "b":
        return isinstance(value, bool)
    if isinstance(value, bool):
        return False
    if type_ is REF:
        return isinstance(value, int) and value == 0
    if type_.kind == "f":
        return isinstance(value, float) or convert(type_, value) == value
    return isinstance(value, int) and type_.low <= value <= type_.high


def to_bits(type_: Scalar, value: Plain) -> Any:
    """What ``struct`` packs for a value (floats below 32 bits as their bits)."""
    if type_.name in NARROW:
        return encode(type_.name, float(value))
    if type_ is F16:
        return struct.unpack("<H", struct.pack("<e", _to_f16(float(value))))[0]
    if type_ is BF16:
        return struct.unpack("<I", struct.pack("<f", _to_bf16(float(value))))[0] >> 16
    return value


def from_bits(type_: Scalar, raw: Any) -> Plain:
    """The value whose bits ``struct`` unpacked."""
    if type_.name in NARROW:
        return decode(type_.name, raw)
    if type_ is F16:
        return float(struct.unpack("<e", struct.pack("<H", raw))[0])
    if type_ is BF16:
        return float(struct.unpack("<f", struct.pack("<I", raw << 16))[0])
    return bool(raw) if type_.kind == "b" else raw
