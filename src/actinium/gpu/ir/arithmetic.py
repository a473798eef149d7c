"""What each operation means, on plain Python values of a declared type.

The constant folder, the interpreter and the oracle compute with these functions; the generated
C++ has to give the same bits (TR-1). Floats of 16 bits are computed in f32 and then rounded.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable

from ..layout.scalar import F32, Plain, Scalar, round_to, wrap


class Fault(Exception):
    """A handler stops here: ``assert``, ``bounds``, ``divide``, ``budget`` or ``outbox``."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


def rounded(type_: Scalar, value: float) -> float:
    """A result in its type: 16-bit floats are rounded to f32 first, as the C++ computes them."""
    if type_.bits == 16:
        value = round_to(F32, value)
    return round_to(type_, value)


def _int_mod(a: int, b: int) -> int:
    if b == 0:
        raise Fault("divide")
    return a % b


def _int_floordiv(a: int, b: int) -> int:
    if b == 0:
        raise Fault("divide")
    return a // b


_INT: dict[str, Callable[[int, int], int]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "and": operator.and_,
    "or": operator.or_,
    "xor": operator.xor,
    "floordiv": _int_floordiv,
    "mod": _int_mod,
}


def divide(a: float, b: float) -> float:
    """IEEE division: by zero gives an infinity or NaN."""
    if b == 0.0:
        if a == 0.0 or math.isnan(a):
            return math.nan
        return math.copysign(math.inf, a) * math.copysign(1.0, b)
    return a / b


def _fmod(a: float, b: float) -> float:
    if math.isnan(a) or math.isnan(b) or math.isinf(a) or b == 0.0:
        return math.nan
    return math.fmod(a, b)


def _float_divmod(type_: Scalar, a: float, b: float) -> tuple[float, float]:
    """CPython's ``float_divmod``, each step rounded to the type; a zero divisor as IEEE says."""
    if b == 0.0:
        return divide(a, b), math.nan
    step = F32 if type_.bits == 16 else type_
    mod = _fmod(a, b)
    div = round_to(step, divide(round_to(step, a - mod), b))
    if mod != 0.0:
        if (b < 0.0) != (mod < 0.0):
            mod = round_to(step, mod + b)
            div = round_to(step, div - 1.0)
    else:
        mod = math.copysign(0.0, b)
    if div != 0.0 and math.isfinite(div):
        floor = float(math.floor(div))
        if round_to(step, div - floor) > 0.5:
            floor = round_to(step, floor + 1.0)
    elif div == 0.0:
        floor = math.copysign(0.0, divide(a, b))
    else:
        floor = div
    return floor, mod


def _power(a: float, b: float) -> float:
    """C's ``pow``, which Python's ``math.pow`` is but for its exceptions."""
    try:
        return math.pow(a, b)
    except OverflowError:
        return -math.inf if a < 0 and b % 2 == 1 else math.inf
    except ValueError:
        if a == 0.0:
            odd = b % 2 == 1
            return math.copysign(math.inf, a) if odd else math.inf
        return math.nan


_FLOAT: dict[str, Callable[[float, float], float]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": divide,
    "pow": _power,
}


def binary(name: str, type_: Scalar, a: Plain, b: Plain) -> Plain:
    """``a op b`` for two values of one type (the count of a shift may have another).

    Raises:
        Fault: integer division by zero.
    """
    if type_.kind == "b":
        return bool(_INT[name](bool(a), bool(b)))
    if name == "min":
        return b if b < a else a
    if name == "max":
        return b if a < b else a
    if type_.is_int:
        x, y = int(a), int(b)
        if name == "shl":
            return wrap(type_, x << (y & (type_.bits - 1)))
        if name == "shr":
            return x >> (y & (type_.bits - 1))
        if name == "pow":
            return wrap(type_, pow(x, y, 1 << type_.bits))
        return wrap(type_, _INT[name](x, y))
    if name in ("floordiv", "mod"):
        return round_to(type_, _float_divmod(type_, float(a), float(b))[name == "mod"])
    return rounded(type_, _FLOAT[name](float(a), float(b)))


def unary(name: str, type_: Scalar, a: Plain) -> Plain:
    """``-a``, ``~a``, ``abs(a)`` or ``not a``."""
    if name == "not":
        return not a
    if type_.is_float:
        return abs(float(a)) if name == "abs" else -float(a)
    if name == "abs":
        return wrap(type_, abs(int(a)))
    return wrap(type_, -int(a) if name == "neg" else ~int(a))


COMPARE: dict[str, Callable[[Plain, Plain], bool]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
}


def place(index: int, length: int) -> int:
    """An index as Python reads it: negative ones count from the end.

    Raises:
        Fault: outside of the array.
    """
    if not -length <= index < length:
        raise Fault("bounds")
    return index + length if index < 0 else index


def trips(low: int, high: int, step: int) -> int:
    """How often ``for i in range(low, high, step)`` runs."""
    return len(range(low, high, step))
