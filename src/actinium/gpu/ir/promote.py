"""Which type two operands meet in: the smallest that holds every value of both.

Nothing is ever rounded unasked: where no type holds both exactly (i64 with f64, u64 with i64),
there is none, and the program has to say what it wants.
"""

from __future__ import annotations

from ..layout.scalar import BOOL, F64, FLOATS, I64, INTEGERS, REF, Scalar, widened

WEAK_INT = Scalar("int", "i", 64, "q")
WEAK_FLOAT = Scalar("float", "f", 64, "d", digits=53, exponent=1023)
WEAK_INT.weak = WEAK_FLOAT.weak = True
WEAK_INT.c, WEAK_FLOAT.c = I64.c, F64.c
"""Types of locals that were only ever given literals, while their type is still looked for."""


def holds(outer: Scalar, inner: Scalar) -> bool:
    """Whether each value of ``inner`` is a value of ``outer``."""
    if outer is inner:
        return True
    if BOOL in (outer, inner) or REF in (outer, inner):
        return False
    if outer.is_float:
        return inner.digits <= outer.digits and inner.exponent <= outer.exponent
    if inner.is_float:
        return False
    if outer.kind == inner.kind:
        return inner.bits <= outer.bits
    return outer.kind == "i" and inner.bits < outer.bits


def common(a: Scalar, b: Scalar) -> Scalar | None:
    """The type of ``a + b``, or None where no type holds both."""
    if a is b:
        return a
    if BOOL in (a, b):
        return None
    if REF in (a, b):
        return REF if WEAK_INT in (a, b) else None
    if a.weak and b.weak:
        return WEAK_FLOAT
    if a.weak or b.weak:
        weak, strong = (a, b) if a.weak else (b, a)
        if weak is WEAK_INT or strong.is_float:
            return strong
        a, b = strong, F64
    a, b = widened(a), widened(b)
    candidates = FLOATS if a.is_float or b.is_float else INTEGERS
    fitting = [t for t in candidates if holds(t, a) and holds(t, b)]
    return min(fitting, key=lambda t: t.bits, default=None)


def quotient(a: Scalar, b: Scalar) -> Scalar | None:
    """The type of ``a / b``: as ``a + b`` for floats, f64 for integers that f64 holds."""
    if a.is_int and b.is_int:
        if a.weak and b.weak:
            return WEAK_FLOAT
        fine = all(t.weak or holds(F64, t) for t in (a, b))
        return F64 if fine else None
    return common(a, b)


DEFAULTS = {WEAK_INT: I64, WEAK_FLOAT: F64}
"""What a local becomes that was only ever given literals: Python's own meaning."""
