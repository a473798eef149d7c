"""Constants computed, identities applied, branches decided, needless index checks removed.

Only what is exact for every value is done: ``x * 0`` is 0 for integers alone, ``x % 8`` becomes
``x & 7`` because ``%`` rounds down. An operation that may fault stays unless it cannot.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...layout.scalar import BOOL, I64, Scalar, convert
from .. import arithmetic
from ..nodes import Function, Op, Region, Value, walk
from ..ops import ARITHMETIC, COMPARISONS

_BINARY = (*ARITHMETIC, "floordiv", "mod")
_UNARY = ("neg", "abs", "invert", "not")
Replacement = Value | None


class Simplifier:
    """One walk over a function."""

    def __init__(self, function: Function) -> None:
        self.function = function
        self.same: dict[Value, Value] = {}
        self.spans: dict[Value, tuple[int, int]] = {}
        self.changed = False
        self.out: list[Op] = []

    def resolve(self, value: Value) -> Value:
        while value in self.same:
            value = self.same[value]
        return value

    def region(self, region: Region) -> None:
        outer, self.out = self.out, []
        for op in region.ops:
            op.args = [self.resolve(a) for a in op.args]
            self.op(op)
            if self.out and self.out[-1].info.terminator:
                self.changed |= op is not region.ops[-1]
                break
        region.ops, self.out = self.out, outer

    def op(self, op: Op) -> None:
        if op.name in ("for", "par"):
            self._loop_span(op)
        for inner in op.regions:
            self.region(inner)
        if self._structure(op):
            self.changed = True
            return
        found = self._value(op)
        if found is None:
            self.out.append(op)
        else:
            self.changed = True
            self.same[op.result] = found

    def constant(self, type_: Scalar, value: Any, op: Op) -> Value:
        made = self.function.constant(type_, value, op.place)
        self.out.append(made)
        return made.result

    def made(self, name: str, type_: Scalar, args: list[Value], op: Op) -> Value:
        new = Op(name, args, {}, op.place)
        new.results = [self.function.value(type_, new)]
        self.out.append(new)
        return new.result

    # Structure

    def _structure(self, op: Op) -> bool:
        """Whether the operation was replaced by what is inside of it, or dropped."""
        if op.name == "check":
            return op.args[0].constant is True
        if op.name == "if" and op.args[0].constant is not None:
            return self._splice(op, op.regions[0 if op.args[0].constant else 1], "yield")
        if op.name == "scope":
            leaves = [x for x in walk(op.regions[0]) if x.attrs.get("scope") is op]
            last = op.regions[0].last
            if leaves == [last]:
                return self._splice(op, op.regions[0], "leave")
        return False

    def _splice(self, op: Op, region: Region, end: str) -> bool:
        last = region.last
        ours = last is not None and last.name == end
        self.out.extend(region.ops[:-1] if ours else region.ops)
        if ours:
            assert last is not None
            self.same.update(zip(op.results, last.args, strict=True))
        return True

    # Values

    def _value(self, op: Op) -> Replacement:
        if op.name in _BINARY:
            return self._binary(op)
        if op.name in COMPARISONS:
            return self._compare(op)
        if op.name in _UNARY:
            return self._unary(op)
        rule: Callable[[Op], Replacement] | None = {
            "convert": self._convert, "index": self._index, "get": self._get, "call": self._call,
        }.get(op.name)  # fmt: skip
        return None if rule is None else rule(op)

    def _binary(self, op: Op) -> Replacement:
        x, y = op.args
        type_ = op.result.scalar
        a, b = x.constant, y.constant
        if a is not None and b is not None:
            try:
                return self.constant(type_, arithmetic.binary(op.name, type_, a, b), op)
            except arithmetic.Fault:
                return None  # it happens when, and only if, the program gets there
        if type_.is_float:
            exact = (op.name in ("mul", "div") and b == 1.0) or (
                op.name == "sub" and b == 0.0 and not str(b).startswith("-")
            )
            return x if exact else None
        return self._whole(op, type_, x, y, a, b)

    def _whole(self, op: Op, type_: Scalar, x: Value, y: Value, a: Any, b: Any) -> Replacement:
        name = op.name
        if b == 0 and name in ("add", "sub", "or", "xor", "shl", "shr"):
            return x
        if a == 0 and name in ("add", "or", "xor"):
            return y
        if b == 1 and name in ("mul", "floordiv", "pow"):
            return x
        if a == 1 and name == "mul":
            return y
        if (a == 0 or b == 0) and name in ("mul", "and"):
            return self.constant(type_, type_(0), op)
        if x is y and name in ("sub", "xor"):
            return self.constant(type_, type_(0), op)
        if x is y and name in ("and", "or", "min", "max"):
            return x
        if name == "pow" and b == 2:
            return self.made("mul", type_, [x, x], op)
        if name in ("mod", "floordiv") and isinstance(b, int) and b > 1 and b & (b - 1) == 0:
            if name == "mod":
                return self.made("and", type_, [x, self.constant(type_, b - 1, op)], op)
            return self.made("shr", type_, [x, self.constant(type_, b.bit_length() - 1, op)], op)
        return None

    def _compare(self, op: Op) -> Replacement:
        x, y = op.args
        a, b = x.constant, y.constant
        if a is not None and b is not None:
            return self.constant(BOOL, arithmetic.COMPARE[op.name](a, b), op)
        if x is y and not x.scalar.is_float:
            return self.constant(BOOL, op.name in ("eq", "le", "ge"), op)
        return None

    def _unary(self, op: Op) -> Replacement:
        (x,) = op.args
        if x.constant is not None:
            return self.constant(
                op.result.scalar, arithmetic.unary(op.name, x.scalar, x.constant), op
            )
        if op.name != "abs" and x.op is not None and x.op.name == op.name:
            return x.op.args[0]
        return None

    def _convert(self, op: Op) -> Replacement:
        (x,) = op.args
        if x.constant is not None:
            return self.constant(op.result.scalar, convert(op.result.scalar, x.constant), op)
        return x if x.type is op.result.type else None

    def _get(self, op: Op) -> Replacement:
        (x,) = op.args
        if x.op is not None and x.op.name == "make":
            return x.op.args[list(x.type.types).index(op.attrs["field"])]
        return None

    def _call(self, op: Op) -> Replacement:
        row = op.attrs["row"]
        if row.effect or any(a.constant is None for a in op.args):
            return None
        value = row.compute(op.attrs["type"], *(a.constant for a in op.args))
        return self.constant(op.result.scalar, value, op) if row.ulp == 0 else None

    # Ranges of integers, to drop index checks

    def _loop_span(self, op: Op) -> None:
        low, high = (self.span(a) for a in op.args[:2])
        if op.attrs["step"] > 0:
            self.spans[op.regions[0].params[0]] = (low[0], max(high[1] - 1, low[0]))
        else:
            self.spans[op.regions[0].params[0]] = (min(high[0] + 1, low[1]), low[1])

    def span(self, value: Value) -> tuple[int, int]:
        """Smallest and largest value it can have."""
        if value in self.spans:
            return self.spans[value]
        type_ = value.scalar
        whole = (type_.low, type_.high)
        op = value.op
        if op is None or not type_.is_int:
            return whole
        found = whole
        if op.name == "const":
            found = (op.attrs["value"], op.attrs["value"])
        elif op.name == "mod" and (op.args[1].constant or 0) > 0:
            found = (0, op.args[1].constant - 1)
        elif op.name == "and" and any((a.constant or -1) >= 0 for a in op.args):
            found = (0, min(a.constant for a in op.args if (a.constant or -1) >= 0))
        elif op.name == "convert" and op.args[0].scalar.is_int:
            found = self.span(op.args[0])
        elif op.name in ("add", "sub"):
            (a, b), (c, d) = (self.span(x) for x in op.args)
            found = (a + c, b + d) if op.name == "add" else (a - d, b - c)
        elif op.name in ("min", "max"):
            (a, b), (c, d) = (self.span(x) for x in op.args)
            best = min if op.name == "min" else max
            found = (best(a, c), best(b, d))
        if not whole[0] <= found[0] <= found[1] <= whole[1]:
            found = whole  # it may wrap
        self.spans[value] = found
        return found

    def _index(self, op: Op) -> Replacement:
        length = op.attrs["length"]
        if length is None:
            return None
        x = op.args[0]
        low, high = self.span(x)
        if low >= 0 and high < length:
            return x if x.type is I64 else self.made("convert", I64, [x], op)
        return None


def run(function: Function) -> bool:
    """Simplifies; says whether anything changed."""
    simplifier = Simplifier(function)
    simplifier.region(function.body)
    _rename(function.body, simplifier)
    return simplifier.changed


def _rename(region: Region, simplifier: Simplifier) -> None:
    for op in walk(region):
        op.args = [simplifier.resolve(a) for a in op.args]
