"""Typed operations: conversions where they are exact, refusals where they are not."""

from __future__ import annotations

import ast
from abc import ABC, abstractmethod
from typing import Any, NoReturn

from ..ir import arithmetic
from ..ir.nodes import Op, Region, Value
from ..ir.promote import WEAK_FLOAT, WEAK_INT, common, holds, quotient
from ..layout.record import ArrayType, Record
from ..layout.scalar import BOOL, F64, I64, REF, Plain, Scalar, convert, fits, widened
from .session import Notes, Session
from .source import Source
from .values import Known, Lit, Operand, Place, named

OPERATORS: dict[type[ast.AST], tuple[str, str]] = {
    ast.Add: ("add", "+"), ast.Sub: ("sub", "-"), ast.Mult: ("mul", "*"), ast.Div: ("div", "/"),
    ast.FloorDiv: ("floordiv", "//"), ast.Mod: ("mod", "%"), ast.Pow: ("pow", "**"),
    ast.LShift: ("shl", "<<"), ast.RShift: ("shr", ">>"), ast.BitAnd: ("and", "&"),
    ast.BitOr: ("or", "|"), ast.BitXor: ("xor", "^"),
    ast.Eq: ("eq", "=="), ast.NotEq: ("ne", "!="), ast.Lt: ("lt", "<"), ast.LtE: ("le", "<="),
    ast.Gt: ("gt", ">"), ast.GtE: ("ge", ">="),
}  # fmt: skip
_SIGN = dict(OPERATORS.values())
_BITWISE = ("and", "or", "xor")
_PYTHON = {
    "add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b, "floordiv": lambda a, b: a // b, "mod": lambda a, b: a % b,
    "pow": lambda a, b: a**b, "shl": lambda a, b: a << b, "shr": lambda a, b: a >> b,
    "and": lambda a, b: a & b, "or": lambda a, b: a | b, "xor": lambda a, b: a ^ b,
}  # fmt: skip
_NO_NUMBER = "`gpu.u64(ref)`, since a handle is no number"
_LARGEST_LITERAL = 1 << 128


class Builder(ABC):
    """One function on its way into operations: its names, and the session it belongs to."""

    def __init__(self, source: Source, session: Session, key: Any) -> None:
        self.source = source
        self.session = session
        self.key = key
        self.env: dict[str, Known] = {}
        self.notes: Notes = session.notes.setdefault(key, Notes())
        self.node: ast.AST = source.tree

    @abstractmethod
    def expression(self, node: ast.expr) -> Known: ...

    @abstractmethod
    def call(self, node: ast.Call) -> Known: ...

    # Errors and operations

    def refuse(self, node: ast.AST, code: str, text: str, write: str) -> NoReturn:
        raise self.source.refuse(node, code, text, write)

    def emit(self, node: ast.AST, name: str, args: list[Value], *types: Any, **attrs: Any) -> Op:
        return self.session.emit(name, args, list(types), (self.source, node), **attrs)

    def inside(self, region: Region) -> Region:
        """Makes a region the current one and returns the one before."""
        before, self.session.region = self.session.region, region
        return before

    # Values

    def text(self, node: ast.AST) -> str:
        """The expression as the program writes it."""
        return ast.unparse(node)

    def load(self, node: ast.AST, place: Place) -> Value:
        if isinstance(place.type, ArrayType):
            self.refuse(
                node, "array-value", f"`{self.text(node)}` is a whole array ({place.type!r})",
                "one element, such as `a[i]`, or a loop over them",
            )  # fmt: skip
        return self.emit(
            node, "load", list(place.indices), place.type, root=place.root, path=place.path
        ).result

    def operand(self, node: ast.expr) -> Operand:
        """A number: a literal or a value."""
        known = self.expression(node)
        return self.number(node, known)

    def number(self, node: ast.AST, known: Known) -> Operand:
        if isinstance(known, Place):
            if isinstance(known.type, Record):
                self.not_a_number(node, known)
            known = self.load(node, known)
        if isinstance(known, Lit):
            return known
        if isinstance(known, Value) and isinstance(known.type, Scalar):
            return known
        self.not_a_number(node, known)

    def not_a_number(self, node: ast.AST, known: Known) -> NoReturn:
        self.refuse(
            node, "not-a-number", f"`{self.text(node)}` is {named(known)}, where a number is needed",
            "a number, a field that is one, or an element of an array",
        )  # fmt: skip

    def value(self, node: ast.AST, operand: Operand, type_: Scalar | None = None) -> Value:
        """A value of its own or the given type; implicit, so only if that is exact."""
        if isinstance(operand, Lit):
            return self.literal(node, operand, type_ or self.default(operand))
        if type_ is None or operand.type is type_:
            return operand
        have = operand.scalar
        if not (holds(type_, have) or (have.weak and self.weak_into(have, type_))):
            self.refuse(
                node, "type-mismatch",
                f"`{self.text(node)}` is {have}, and {type_} does not hold each {have}",
                f"`{type_.hint}({self.text(node)})` to convert it",
            )  # fmt: skip
        if have.weak and operand.op is not None and operand.op.name == "if":
            for region in operand.op.regions:  # a choice of literals: each has to fit
                (chosen,) = region.ops[-1].args
                if chosen.constant is not None:
                    self.literal(node, Lit(chosen.constant), type_)
        return self.converted(node, operand, type_)

    def weak_into(self, weak: Scalar, type_: Scalar) -> bool:
        return type_.is_float or (weak is WEAK_INT and type_.is_int)

    def default(self, literal: Lit) -> Scalar:
        if isinstance(literal.value, bool):
            return BOOL
        return F64 if isinstance(literal.value, float) else I64

    def literal(self, node: ast.AST, literal: Lit, type_: Scalar) -> Value:
        if not fits(type_, literal.value):
            if isinstance(literal.value, bool) or type_ is BOOL:
                self.refuse(
                    node, "bool-number", f"{literal.described} is no {type_}",
                    "`True` or `False` for bool32, a number for a number",
                )  # fmt: skip
            if type_ is REF:
                self.refuse(
                    node, "ref-number", f"{literal.described} is no gpu.Ref",
                    "0, which is nobody, or a gpu.Ref out of the state, a message or gpu.me()",
                )  # fmt: skip
            span = f" ({type_.low}..{type_.high})" if type_.is_int else ""
            self.refuse(
                node, "literal-range", f"{literal.described} is no {type_}{span}",
                f"a literal that fits, or `{type_.hint}(...)` to convert it",
            )  # fmt: skip
        return self.session.constant(type_, convert(type_, literal.value), (self.source, node))

    def converted(self, node: ast.AST, operand: Operand, type_: Scalar) -> Value:
        """The explicit conversion."""
        if isinstance(operand, Lit) and type_ is REF:
            return self.literal(node, operand, type_)
        if isinstance(operand, Lit):
            value = convert(type_, operand.value)
            return self.session.constant(type_, value, (self.source, node))
        if operand.type is type_:
            return operand
        if type_ is REF or (operand.type is REF and type_.name not in ("u64", "bool32")):
            self.refuse(
                node, "ref-conversion", f"a conversion of {operand.type} to {type_}",
                "gpu.u64 or gpu.bool32 of a gpu.Ref; nothing becomes one",
            )  # fmt: skip
        return self.emit(node, "convert", [operand], type_).result

    def type_of(self, operand: Operand) -> Scalar:
        """Literals count as weak."""
        if isinstance(operand, Value):
            return operand.scalar
        if isinstance(operand.value, bool):
            return BOOL
        return WEAK_FLOAT if isinstance(operand.value, float) else WEAK_INT

    def meet(self, node: ast.AST, a: Operand, b: Operand, what: str) -> tuple[Value, Value, Scalar]:
        """Both operands in the smallest type that holds each."""
        ta, tb = self.type_of(a), self.type_of(b)
        type_ = common(ta, tb)
        if type_ is None and REF in (ta, tb):
            self.refuse(
                node,
                "ref-mixed",
                f"{what} of {ta} and {tb}",
                "a gpu.Ref on both sides, or 0 for nobody",
            )
        if type_ is None:
            if BOOL in (ta, tb):
                self.refuse(
                    node, "bool-mixed", f"{what} of {ta} and {tb}",
                    "`gpu.i32(flag)` to count with a truth value, or a comparison",
                )  # fmt: skip
            self.refuse(
                node, "no-common-type", f"{what} of {ta} and {tb}: no type holds both exactly",
                f"a conversion of one side, such as `{(ta if not ta.weak else tb).hint}(...)`",
            )  # fmt: skip
        return self._weak_value(node, a, type_), self._weak_value(node, b, type_), type_

    def _weak_value(self, node: ast.AST, operand: Operand, type_: Scalar) -> Value:
        if type_.weak:
            if isinstance(operand, Lit):
                return self.session.constant(type_, operand.value, (self.source, node))
            return operand
        return self.value(node, operand, type_)

    # Operators

    def widen(self, node: ast.AST, operand: Any) -> Any:
        """A float below 16 bits as the f32 that it is computed as; all else as it is."""
        if isinstance(operand, Lit):
            return operand
        return self.converted(node, operand, widened(operand.scalar))

    def binary(self, node: ast.AST, name: str, a: Operand, b: Operand) -> Operand:
        if isinstance(a, Lit) and isinstance(b, Lit):
            return self.fold(node, name, a, b)
        a, b = self.widen(node, a), self.widen(node, b)
        sign = _SIGN[name]
        if name in ("shl", "shr"):
            return self.shift(node, name, a, b)
        ta, tb = self.type_of(a), self.type_of(b)
        if REF in (ta, tb):
            self.refuse(node, "ref-arithmetic", f"`{sign}` of {ta} and {tb}", _NO_NUMBER)
        if BOOL in (ta, tb) and not (ta is tb and name in _BITWISE):
            self.refuse(
                node, "bool-arithmetic", f"`{sign}` of {ta} and {tb}",
                "`gpu.i32(flag)` to count with a truth value; and, or, not to combine them",
            )  # fmt: skip
        if name == "div":
            type_ = quotient(ta, tb)
            if type_ is not None and ta.is_int and tb.is_int:
                pair = [self.converted(node, x, F64) for x in (a, b)]
                return self.emit(node, "div", pair, F64).result
            if type_ is None and ta.is_int and tb.is_int:
                self.refuse(
                    node, "wide-division", f"`/` of {ta} and {tb} has no exact meaning in f64",
                    "`//` for a whole quotient, or `gpu.f64(a) / gpu.f64(b)`",
                )  # fmt: skip
        if name == "pow":
            return self.power(node, a, b)
        x, y, type_ = self.meet(node, a, b, f"`{sign}`")
        if name in _BITWISE and type_.is_float:
            self.refuse(
                node, "float-bits", f"`{sign}` of {ta} and {tb}",
                "integers; `gpu.f32_bits(x)` gives the bits of a float",
            )  # fmt: skip
        if (
            name in ("floordiv", "mod")
            and not type_.is_float
            and isinstance(b, Lit)
            and not b.value
        ):
            self.refuse(
                node, "division-by-zero", f"`{self.text(node)}` divides by zero", "another divisor"
            )
        return self.emit(node, name, [x, y], type_).result

    def fold(self, node: ast.AST, name: str, a: Lit, b: Lit) -> Lit:
        """Literals compute as in Python, without a width."""
        try:
            if name in ("shl", "pow") and abs(b.value) > 1024:
                raise OverflowError("the result is too large")
            result: Any = _PYTHON[name](a.value, b.value)
        except ZeroDivisionError:
            self.refuse(
                node, "division-by-zero", f"`{self.text(node)}` divides by zero", "another divisor"
            )
        except OverflowError:
            self.refuse(
                node, "constant", f"`{self.text(node)}` is too large a number", "another constant"
            )
        except (ValueError, TypeError) as e:
            self.refuse(
                node, "constant", f"`{self.text(node)}` cannot be computed: {e}", "another constant"
            )
        if isinstance(result, complex) or (
            isinstance(result, int) and abs(result) > _LARGEST_LITERAL
        ):
            self.refuse(
                node, "constant", f"`{self.text(node)}` is no number of the language",
                "a constant of at most 64 bits",
            )  # fmt: skip
        return Lit(result)

    def shift(self, node: ast.AST, name: str, a: Operand, b: Operand) -> Operand:
        ta, tb = self.type_of(a), self.type_of(b)
        if not (ta.is_int and tb.is_int):
            self.refuse(
                node, "shift-type", f"`{_SIGN[name]}` of {ta} and {tb}", "integers on both sides"
            )
        left = self.value(node, a)
        type_ = left.scalar
        if isinstance(b, Lit) and not 0 <= b.value < type_.bits:
            self.refuse(
                node, "shift-count", f"a shift of {type_} by {b.value}",
                f"a count of 0..{type_.bits - 1}; other counts are taken modulo {type_.bits}",
            )  # fmt: skip
        right = self.value(node, b)
        return self.emit(node, name, [left, right], type_).result

    def power(self, node: ast.AST, a: Operand, b: Operand) -> Operand:
        ta, tb = self.type_of(a), self.type_of(b)
        if ta.is_int and tb.is_int:
            if isinstance(b, Lit) and b.value < 0:
                self.refuse(
                    node, "negative-power", f"`{self.text(node)}`: an integer to a negative power",
                    "a float base, such as `gpu.f64(x) ** -1`",
                )  # fmt: skip
            if isinstance(b, Value) and tb.kind != "u":
                self.refuse(
                    node, "signed-power", f"`**` of {ta} and {tb}: the exponent may be negative",
                    "an unsigned exponent, such as `x ** gpu.u32(n)`, or a float base",
                )  # fmt: skip
            base = self.value(node, a)
            return self.emit(node, "pow", [base, self.value(node, b)], base.scalar).result
        x, y, type_ = self.meet(node, a, b, "`**`")
        return self.emit(node, "pow", [x, y], type_).result

    def compare(self, node: ast.AST, name: str, a: Operand, b: Operand) -> Operand:
        if isinstance(a, Lit) and isinstance(b, Lit):
            return Lit(arithmetic.COMPARE[name](a.value, b.value))
        a, b = self.widen(node, a), self.widen(node, b)
        x, y, type_ = self.meet(node, a, b, f"`{_SIGN[name]}`")
        if type_ is BOOL and name not in ("eq", "ne"):
            self.refuse(
                node, "bool-order", f"`{_SIGN[name]}` of truth values", "== or !=, or and, or, not"
            )
        if type_ is REF and name not in ("eq", "ne"):
            self.refuse(node, "ref-order", f"`{_SIGN[name]}` of gpu.Refs", "== or !=")
        return self.emit(node, name, [x, y], BOOL).result

    def truth(self, node: ast.AST, operand: Operand) -> Operand:
        """Whether a number is not zero."""
        if isinstance(operand, Lit):
            return Lit(bool(operand.value))
        if operand.type is BOOL:
            return operand
        return self.emit(node, "convert", [operand], BOOL).result

    def negated(self, node: ast.AST, operand: Operand) -> Operand:
        operand = self.truth(node, operand)
        if isinstance(operand, Lit):
            return Lit(not operand.value)
        return self.emit(node, "not", [operand], BOOL).result


def as_plain(value: Any) -> Plain | None:
    """A Python object as a number, if it is one (an ``IntEnum`` member, a NumPy scalar)."""
    if isinstance(value, bool | int | float):
        return (
            bool(value)
            if isinstance(value, bool)
            else (int(value) if isinstance(value, int) else float(value))
        )
    if type(value).__module__ == "numpy" and hasattr(value, "item"):
        return as_plain(value.item())
    return None
