"""A Python value that computes as the language does: with a width, promoted exactly.

The oracle runs a handler's own source on these. Plain Python numbers beside them are literals.
"""

from __future__ import annotations

from typing import Any

from ..ir import arithmetic
from ..ir.promote import WEAK_FLOAT, WEAK_INT, common, quotient
from ..layout.scalar import BOOL, F64, I64, Plain, Scalar, convert, widened


def type_of(value: Any) -> Scalar:
    """The type of an operand; plain numbers are weak."""
    if isinstance(value, Number):
        return value.type
    if isinstance(value, bool):
        return BOOL
    return WEAK_FLOAT if isinstance(value, float) else WEAK_INT


def plain(value: Any) -> Plain:
    """The bare number."""
    return value.value if isinstance(value, Number) else value


def inside(type_: Scalar, value: Any) -> Plain:
    """The bare number of a type; one that has the type already stays as it is."""
    if isinstance(value, Number) and value.type is type_:
        return value.value
    return convert(type_, plain(value))


def typed(type_: Scalar, value: Any) -> Any:
    """The value in a type; a truth value is a plain bool."""
    return there(type_, inside(type_, value))


def there(type_: Scalar, value: Plain) -> Any:
    """A bare number that is one of the type."""
    return value if type_ is BOOL else Number(type_, value)


def _binary(name: str, a: Any, b: Any) -> Any:
    ta, tb = widened(type_of(a)), widened(type_of(b))
    if name in ("shl", "shr") or (name == "pow" and ta.is_int and tb.is_int):
        type_: Scalar | None = I64 if ta.weak else ta
        right = plain(b)
    else:
        type_ = quotient(ta, tb) if name == "div" else common(ta, tb)
        if type_ is WEAK_FLOAT:
            type_ = F64
        assert type_ is not None, (name, ta, tb)
        right = convert(type_, plain(b))
    assert type_ is not None
    return Number(type_, arithmetic.binary(name, type_, convert(type_, plain(a)), right))


def extreme(name: str, *operands: Any) -> Any:
    """Python's min and max, two by two."""
    best = operands[0]
    for other in operands[1:]:
        if not isinstance(best, Number) and not isinstance(other, Number):
            best = (min if name == "min" else max)(best, other)
        else:
            best = _binary(name, best, other)
    return best


def _forward(name: str) -> Any:
    return lambda self, other: _binary(name, self, other)


def _backward(name: str) -> Any:
    return lambda self, other: _binary(name, other, self)


def _compare(name: str) -> Any:
    """Values as they are, which is exact; a literal in the type of what it meets."""

    def compare(self: Number, other: Any) -> bool:
        right = plain(other)
        if not isinstance(other, Number):
            joint = common(widened(self.type), type_of(other))
            right = right if joint is None else convert(joint, right)
        return arithmetic.COMPARE[name](self.value, right)

    return compare


class Number:
    """One value of a type."""

    __slots__ = ("type", "value")

    def __init__(self, type_: Scalar, value: Plain) -> None:
        self.type = type_
        self.value = value

    def __repr__(self) -> str:
        return f"{self.type}({self.value})"

    def __bool__(self) -> bool:
        return bool(self.value)

    def __index__(self) -> int:
        return int(self.value)

    def __neg__(self) -> Number:
        type_ = widened(self.type)
        return Number(type_, arithmetic.unary("neg", type_, self.value))

    def __pos__(self) -> Number:
        return self

    def __invert__(self) -> Number:
        return Number(self.type, arithmetic.unary("invert", self.type, self.value))

    def __abs__(self) -> Number:
        type_ = widened(self.type)
        return Number(type_, arithmetic.unary("abs", type_, self.value))

    def __divmod__(self, other: Any) -> tuple[Any, Any]:
        return _binary("floordiv", self, other), _binary("mod", self, other)

    def __rdivmod__(self, other: Any) -> tuple[Any, Any]:
        return _binary("floordiv", other, self), _binary("mod", other, self)

    __hash__ = None  # type: ignore[assignment]
    __add__, __radd__ = _forward("add"), _backward("add")
    __sub__, __rsub__ = _forward("sub"), _backward("sub")
    __mul__, __rmul__ = _forward("mul"), _backward("mul")
    __truediv__, __rtruediv__ = _forward("div"), _backward("div")
    __floordiv__, __rfloordiv__ = _forward("floordiv"), _backward("floordiv")
    __mod__, __rmod__ = _forward("mod"), _backward("mod")
    __pow__, __rpow__ = _forward("pow"), _backward("pow")
    __lshift__, __rlshift__ = _forward("shl"), _backward("shl")
    __rshift__, __rrshift__ = _forward("shr"), _backward("shr")
    __and__, __rand__ = _forward("and"), _backward("and")
    __or__, __ror__ = _forward("or"), _backward("or")
    __xor__, __rxor__ = _forward("xor"), _backward("xor")
    __eq__, __ne__ = _compare("eq"), _compare("ne")
    __lt__, __le__ = _compare("lt"), _compare("le")
    __gt__, __ge__ = _compare("gt"), _compare("ge")
