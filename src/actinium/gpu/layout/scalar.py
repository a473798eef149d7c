"""Number types with a width: what a field, a local or a value on a device is made of.

A value of such a type is held in Python as a plain ``int``, ``float`` or ``bool`` that the type
can represent exactly. ``convert`` is the explicit conversion, the same on every executor:

- to an integer type from an integer: modulo 2**bits; from a float: towards zero, saturating,
  NaN becomes 0;
- to a float type: rounded to nearest, ties to even, overflow to infinity;
- to ``bool32``: whether the value is not zero.
"""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

Plain = int | float | bool


class Scalar:
    """One number type: its name, width in bits, kind (``i u f b``, or ``r``: a handle) and C name."""

    __slots__ = ("bits", "c", "code", "digits", "exponent", "kind", "name", "weak")

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


class Narrow:
    """A float of 8 bits or fewer: only named, since no target of this version computes with it.

    ``needs`` is the compute capability whose hardware has it.
    """

    __slots__ = ("name", "needs")

    def __init__(self, name: str, needs: str) -> None:
        self.name = name
        self.needs = needs

    def __repr__(self) -> str:
        return self.name


NARROW = {
    name: Narrow(name, needs)
    for name, needs in (
        ("f8e4m3", "8.9"), ("f8e5m2", "8.9"),
        ("f6e3m2", "10.0"), ("f6e2m3", "10.0"), ("f4e2m1", "10.0"),
    )
}  # fmt: skip


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
    """What ``struct`` packs for a value (f16 and bf16 as their 16 bits)."""
    if type_ is F16:
        return struct.unpack("<H", struct.pack("<e", _to_f16(float(value))))[0]
    if type_ is BF16:
        return struct.unpack("<I", struct.pack("<f", _to_bf16(float(value))))[0] >> 16
    return value


def from_bits(type_: Scalar, raw: Any) -> Plain:
    """The value whose bits ``struct`` unpacked."""
    if type_ is F16:
        return float(struct.unpack("<e", struct.pack("<H", raw))[0])
    if type_ is BF16:
        return float(struct.unpack("<f", struct.pack("<I", raw << 16))[0])
    return bool(raw) if type_.kind == "b" else raw
