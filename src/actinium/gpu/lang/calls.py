"""Calls: conversions, Python's own functions, intrinsics, records, and functions inlined."""

from __future__ import annotations

import ast
import inspect
import math
from types import FunctionType
from typing import Any, NamedTuple

from ..intrinsics.lanes import NUMBERS
from ..intrinsics.row import Row
from ..intrinsics.table import MATH, TABLE, WHOLE_MATH
from ..ir.nodes import Region, Value
from ..layout.record import ArrayType, Record
from ..layout.scalar import BOOL, F64, I64, REF, Scalar
from . import marks
from .builder import as_plain
from .sends import CONTEXT, Sends
from .source import MISSING, Source
from .values import Known, Lit, Operand, Place, Ranged, Static, named

CASTS: dict[Any, Scalar] = {int: I64, float: F64, bool: BOOL}
BUILTINS: dict[Any, str] = {
    abs: "abs", min: "min", max: "max", len: "len", round: "round", pow: "pow", divmod: "divmod",
}  # fmt: skip
SCANS: dict[Any, str] = {marks.scan_add: "add", marks.scan_min: "min", marks.scan_max: "max"}
RANGES: dict[Any, str] = {range: "for", marks.prange: "par", marks.unroll: "unroll"}


class Method(NamedTuple):
    """A method of the actor, to be inlined with its self."""

    function: Any
    owner: Place


class Calls(Sends):
    """From ``ast.Call`` to values."""

    cls: type | None = None
    """The actor class, whose plain methods may be called."""

    def _Attribute(self, node: ast.Attribute) -> Known:
        if isinstance(node.value, ast.Name) and self.cls is not None:
            base = self.env.get(node.value.id)
            if isinstance(base, Place) and base.root.kind == "state" and not base.path:
                method = vars(self.cls).get(node.attr)
                if node.attr not in base.type.types and isinstance(method, FunctionType):
                    return Static(Method(method, base))
        return super()._Attribute(node)

    def call(self, node: ast.Call) -> Known:
        callee = self.expression(node.func)
        if not isinstance(callee, Static):
            self.refuse(
                node, "call", f"`{self.text(node.func)}` is {named(callee)} and cannot be called",
                "a function with @gpu.function, or an intrinsic",
            )  # fmt: skip
        target = callee.value
        found = self._find(node, target)
        if found is not None:
            return found
        hint = "a function with @gpu.function, or an intrinsic of `actinium.gpu`"
        if isinstance(target, FunctionType):
            hint = f"`@gpu.function` above `def {target.__name__}`, with annotations"
        if getattr(target, "__name__", "") == "print":
            hint = "nothing: a device has no terminal; put numbers into the reply"
        self.refuse(node, "unknown-call", f"`{self.text(node.func)}` cannot be compiled", hint)

    def _find(self, node: ast.Call, target: Any) -> Known | None:
        if isinstance(target, Scalar):
            return self.cast(node, target)
        if isinstance(target, Row):
            return self.intrinsic(node, target)
        if isinstance(target, marks.Helper):
            return self.inline(node, target.function, None)
        if isinstance(target, Method):
            return self.inline(node, target.function, target.owner)
        if isinstance(getattr(target, "__gpu_record__", None), Record):
            return self.make(node, target)
        return self._builtin(node, target)

    def _builtin(self, node: ast.Call, target: Any) -> Known | None:
        """Functions of Python and of ``math``."""
        try:
            hash(target)
        except TypeError:
            return None
        if target in CASTS:
            return self.cast(node, CASTS[target])
        if target is math.trunc:
            return self.cast(node, I64)
        if target in RANGES:
            return self.range(node, RANGES[target])
        if target in MATH:
            return self.intrinsic(node, MATH[target])
        if target in SCANS:
            return self.scan(node, SCANS[target])
        if target is marks.tell:
            return self.tell(node)
        if target in CONTEXT:
            return self.context(node, CONTEXT[target])
        if target in WHOLE_MATH:
            return self.intrinsic(node, TABLE[WHOLE_MATH[target]])
        name = BUILTINS.get(target)
        return None if name is None else getattr(self, f"_{name}")(node)

    # Conversions and Python's own functions

    def cast(self, node: ast.Call, type_: Scalar) -> Known:
        native = self._native(node, type_)
        plain = ast.copy_location(ast.Call(node.func, node.args, []), node) if native else node
        (operand,) = self.operands(plain, 1)
        self.note(node, "cast", type_)
        value = self.converted(node, operand, type_)
        if native and value.op is not None and value.op.name == "convert":
            value.op.attrs["native"] = True
        return value

    def _native(self, node: ast.Call, type_: Scalar) -> bool:
        """Whether a conversion asks for the device's own instruction with ``native=True``."""
        if [k.arg for k in node.keywords] != ["native"]:
            return False
        given = self.expression(node.keywords[0].value)
        if not type_.min_cc or not isinstance(given, Lit) or not isinstance(given.value, bool):
            self.refuse(
                node, "native", f"`native` of a conversion to {type_}",
                "`native=True` on a float of 8 bits or fewer",
            )  # fmt: skip
        return given.value

    def _abs(self, node: ast.Call) -> Known:
        (operand,) = self.operands(node, 1)
        type_ = self.type_of(operand)
        if type_ in (BOOL, REF):
            self.refuse(node, "bool-arithmetic", f"`abs` of {type_}", "a number")
        if isinstance(operand, Lit):
            return Lit(abs(operand.value))
        operand = self.widen(node, operand)
        return self.emit(node, "abs", [operand], operand.type).result

    def _extreme(self, node: ast.Call, name: str) -> Known:
        operands = self.operands(node, 2, 8)
        self.note(node, name, None)
        best = operands[0]
        for other in operands[1:]:
            if isinstance(best, Lit) and isinstance(other, Lit):
                best = Lit((min if name == "min" else max)(best.value, other.value))
                continue
            best, other = self.widen(node, best), self.widen(node, other)
            a, b, type_ = self.meet(node, best, other, f"`{name}`")
            if type_ is BOOL:
                self.refuse(node, "bool-arithmetic", f"`{name}` of truth values", "`and` or `or`")
            if type_ is REF:
                self.refuse(node, "ref-order", f"`{name}` of gpu.Refs", "== or !=")
            best = self.emit(node, name, [a, b], type_).result
        return best

    def _min(self, node: ast.Call) -> Known:
        return self._extreme(node, "min")

    def _max(self, node: ast.Call) -> Known:
        return self._extreme(node, "max")

    def _len(self, node: ast.Call) -> Known:
        known = self.expression(node.args[0]) if len(node.args) == 1 else Lit(0)
        if isinstance(known, Place) and isinstance(known.type, ArrayType):
            return Lit(known.type.length)
        if isinstance(known, Place) and isinstance(known.type, marks.BufferType):
            return self.emit(node, "length", [], I64, root=known.root).result
        if type(known) is tuple:
            return Lit(len(known))
        self.refuse(
            node, "len", f"`{self.text(node)}`", "`len` of a gpu.Array, a gpu.Buffer or a tuple"
        )

    def _round(self, node: ast.Call) -> Known:
        (operand,) = self.operands(node, 1)
        if self.type_of(operand).is_int:
            return operand
        self.note(node, "row", (TABLE["rint_i64"], None))
        return self.apply(node, TABLE["rint_i64"], [operand])

    def _pow(self, node: ast.Call) -> Known:
        a, b = self.operands(node, 2)
        return self.binary(node, "pow", a, b)

    def _divmod(self, node: ast.Call) -> Known:
        a, b = self.operands(node, 2)
        return self.binary(node, "floordiv", a, b), self.binary(node, "mod", a, b)

    def range(self, node: ast.Call, kind: str) -> Known:
        bounds = self.operands(node, 1, 3)
        for operand, arg in zip(bounds, node.args, strict=True):
            if not self.type_of(operand).is_int:
                self.refuse(
                    arg, "range-type", f"a bound of {self.type_of(operand)}",
                    f"an integer, such as `gpu.i32({self.text(arg)})`",
                )  # fmt: skip
        step = bounds[2] if len(bounds) == 3 else Lit(1)
        if not isinstance(step, Lit) or not step.value:
            self.refuse(
                node.args[2], "range-step", f"the step `{self.text(node.args[2])}`",
                "a constant other than 0, so that the direction is known",
            )  # fmt: skip
        if kind != "unroll":
            self.note(node, "range", None)
        low = bounds[0] if len(bounds) > 1 else Lit(0)
        high = bounds[0] if len(bounds) == 1 else bounds[1]
        return Ranged(kind, low, high, int(step.value))

    # Intrinsics

    def intrinsic(self, node: ast.Call, row: Row) -> Known:
        if row.name.startswith("atomic_"):
            return self.atomic(node, row)
        operands = self.operands(node, len(row.params))
        self.note(node, "row", (row, None))
        return self.apply(node, row, operands)

    def apply(self, node: ast.AST, row: Row, operands: list[Operand]) -> Known:
        chosen = row.choose([self.type_of(x) for x in operands])
        if chosen is None or any(
            self.type_of(x) is BOOL and p != "bool32" and BOOL not in row.types
            for x, p in zip(operands, row.params, strict=True)
        ):
            given = ", ".join(map(str, map(self.type_of, operands)))
            types = ", ".join(map(str, row.types))
            self.refuse(
                node, "intrinsic-type", f"`{row.signature}` of ({given}), where T is {types}",
                "a conversion of the operands, such as `gpu.f32(x)`",
            )  # fmt: skip
        if not row.effect and all(isinstance(x, Lit) for x in operands):
            types_ = row.operand_types(chosen)
            plain = [
                self.literal(node, x, t).constant
                for x, t in zip(operands, types_, strict=True)
                if isinstance(x, Lit)
            ]
            return Lit(row.compute(chosen, *plain))
        values = [
            self.value(node, x, t) for x, t in zip(operands, row.operand_types(chosen), strict=True)
        ]
        return self.emit(node, "call", values, row.result_type(chosen), row=row, type=chosen).result

    def atomic(self, node: ast.Call, row: Row) -> Known:
        if not node.args or not isinstance(node.args[0], ast.Attribute | ast.Subscript):
            self.refuse(
                node, "atomic-place", f"`{row.name}` updates a place",
                f"a field or an element first, such as `gpu.{row.name}(self.total, ...)`",
            )  # fmt: skip
        place = self.place(node.args[0])
        if not isinstance(place.type, Scalar) or place.type not in row.types:
            types = ", ".join(map(str, row.types))
            self.refuse(
                node, "atomic-type", f"`{row.name}` of a place of {place.type!r}",
                f"a field of type {types}",
            )  # fmt: skip
        rest = ast.copy_location(ast.Call(node.func, node.args[1:], node.keywords), node)
        operands = self.operands(rest, len(row.params) - 1)
        type_ = place.type
        values = [self.value(a, x, type_) for a, x in zip(rest.args, operands, strict=True)]
        self.note(node, "atomic", (row, type_))
        return self.emit(
            node, "atomic", [*place.indices, *values], type_,
            row=row, root=place.root, path=place.path, count=len(values),
        ).result  # fmt: skip

    def scan(self, node: ast.Call, how: str) -> Known:
        """``gpu.scan_add(self.array, n)`` and its like."""
        if node.keywords or not 1 <= len(node.args) <= 2:
            self.refuse(
                node, "operand-count", f"`gpu.scan_{how}` takes an array and how many of its elements",
                f"`gpu.scan_{how}(self.array, n)`",
            )  # fmt: skip
        place = self.expression(node.args[0])
        if (
            not isinstance(place, Place)
            or not isinstance(place.type, ArrayType)
            or place.root.kind != "state"
            or place.type.element not in NUMBERS
        ):
            types = ", ".join(map(str, NUMBERS))
            self.refuse(
                node, "scan-array", f"`{self.text(node.args[0])}` is {named(place)}",
                f"a gpu.Array of the state, of {types}",
            )  # fmt: skip
        count: Operand = Lit(place.type.length)
        if len(node.args) == 2:
            count = self.operand(node.args[1])
            if not self.type_of(count).is_int:
                self.refuse(
                    node.args[1], "range-type", f"a bound of {self.type_of(count)}",
                    f"an integer, such as `gpu.i32({self.text(node.args[1])})`",
                )  # fmt: skip
        whole = self.value(node, count, I64)
        self.note(node, "scan", (how, place.type.element))
        self.emit(
            node, "scan", [*place.indices, whole],
            root=place.root, path=place.path, how=how, length=place.type.length,
        )  # fmt: skip
        return Static(None)

    def place(self, node: ast.expr) -> Place:
        """Where an assignment or an atomic update goes."""
        if isinstance(node, ast.Attribute):
            base = self.expression(node.value)
            if isinstance(base, Place) and isinstance(base.type, Record):
                place = self.field(node, base)
            else:
                self.refuse(
                    node, "assign-target", f"`{self.text(node)}`: {named(base)} cannot be assigned to",
                    "a field of the state, or a local",
                )  # fmt: skip
        elif isinstance(node, ast.Subscript):
            place = self.element(node, self.expression(node.value))
        else:
            self.refuse(
                node, "assign-target", f"`{self.text(node)}` cannot be assigned to",
                "a field of the state, or a local",
            )  # fmt: skip
        if not place.root.writable:
            self.refuse(
                node, "read-only", f"`{self.text(node)}` is part of a message, which never changes",
                "a local, or a field of the state",
            )  # fmt: skip
        return place

    # Records and functions

    def make(self, node: ast.Call, cls: Any) -> Known:
        record: Record = cls.__gpu_record__
        given: dict[str, ast.expr] = {}
        names = list(record.types)
        if len(node.args) > len(names):
            self.refuse(
                node, "operand-count", f"{record!r} has {len(names)} fields, got {len(node.args)}",
                f"{', '.join(names)}",
            )  # fmt: skip
        given.update(zip(names, node.args, strict=False))
        for keyword in node.keywords:
            if keyword.arg is None or keyword.arg not in record.types or keyword.arg in given:
                self.refuse(
                    node, "record-field", f"{record!r} takes each of its fields once, got `{keyword.arg}`",
                    f"{', '.join(names)}",
                )  # fmt: skip
            given[keyword.arg] = keyword.value
        values: list[Value] = []
        for name, type_ in record.types.items():
            if name in given:
                values.append(self.field_value(given[name], type_, f"{record!r}.{name}"))
                continue
            default = as_plain(_default(cls, name))
            if default is None or not isinstance(type_, Scalar):
                self.refuse(node, "record-field", f"{record!r} needs `{name}`", f"`{name}=...`")
            values.append(self.literal(node, Lit(default), type_))
        self.note(node, "make", cls)
        return self.emit(node, "make", values, record).result

    def field_value(self, node: ast.expr, type_: Any, where: str) -> Value:
        if isinstance(type_, Scalar):
            return self.value(node, self.operand(node), type_)
        known = self.expression(node)
        if isinstance(type_, Record):
            return self.record_value(node, known, type_)
        self.refuse(
            node, "array-value", f"{where} is a whole array ({type_!r})",
            "a record in the state, filled element by element",
        )  # fmt: skip

    def inline(self, node: ast.Call, function: Any, owner: Place | None) -> Known:
        if function in self.session.stack:
            self.refuse(
                node, "recursion", f"`{self.text(node.func)}` calls itself", "a loop",
            )  # fmt: skip
        source = Source(function)
        self.note(node, "function" if owner is None else "method", function)
        bound = self._bind(node, source, owner)
        child = type(self)(source, self.session, function)
        child.cls = self.cls
        result = child.declared_result()
        for name, (argument, known) in bound.items():
            child.env[name] = self._argument(source, name, argument, known)
        region = Region()
        outer = self.inside(region)
        self.session.stack.append(function)
        child.run(result)
        self.session.stack.pop()
        self.inside(outer)
        types = [] if result is None else [result]
        op = self.emit(node, "scope", [], *types)
        op.regions = [region]
        for leave in child.leaves:
            leave.attrs["scope"] = op
        return op.result if types else Static(None)

    def _bind(
        self, node: ast.Call, source: Source, owner: Place | None
    ) -> dict[str, tuple[ast.AST, Known]]:
        signature = inspect.signature(source.function)
        known = [(arg, self.expression(arg)) for arg in node.args]
        keywords = {k.arg: (k.value, self.expression(k.value)) for k in node.keywords if k.arg}
        first: list[tuple[ast.AST, Known]] = [(node, owner)] if owner is not None else []
        try:
            bound = signature.bind(*first, *known, **keywords)
        except TypeError as e:
            self.refuse(
                node, "arguments", f"`{self.text(node.func)}`: {e}",
                f"`{source.function.__name__}{signature}`",
            )  # fmt: skip
        for name, parameter in signature.parameters.items():
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                raise source.refuse(
                    source.tree, "variadic", f"`{name}` takes any number of arguments",
                    "each parameter by name",
                )  # fmt: skip
            if name not in bound.arguments:
                bound.arguments[name] = (node, self.known(node, parameter.default))
        return dict(bound.arguments)

    def _argument(self, source: Source, name: str, at: ast.AST, known: Known) -> Known:
        if isinstance(known, Place) and known.root.kind == "state" and not known.path:
            return known
        type_ = declared(source, source.tree, name)
        if isinstance(type_, Scalar):
            return self.value(at, self.number(at, known), type_)
        if isinstance(type_, Record):
            if isinstance(known, Place) and known.type is type_:
                return known
            return self.record_value(at, known, type_)
        if isinstance(known, Place) and repr(known.type) == repr(type_):
            return known
        self.refuse(
            at, "argument-type", f"`{name}` is {named(known)}, where {type_!r} is needed",
            f"a value of {type_!r}",
        )  # fmt: skip

    # What the statements add

    def declared_result(self) -> Any:
        raise NotImplementedError

    def run(self, result: Any) -> None:
        raise NotImplementedError

    leaves: list[Any]


def declared(source: Source, node: ast.AST, name: str) -> Any:
    """The layout type a parameter or a result is annotated with."""
    annotation = source.annotation(name)
    what = "the result" if name == "return" else f"parameter `{name}`"
    if annotation is MISSING:
        raise source.refuse(
            node, "no-annotation", f"{what} of `{source.function.__name__}` has no type",
            "`-> gpu.f32`" if name == "return" else f"`{name}: gpu.f32`",
        )  # fmt: skip
    record = getattr(annotation, "__gpu_record__", None)
    known = (Scalar, ArrayType, marks.BufferType, marks.GridType)
    if record is None and not isinstance(annotation, known):
        instead = {int: "gpu.i64", float: "gpu.f32", bool: "gpu.bool32"}.get(annotation, "gpu.f32")
        raise source.refuse(
            node,
            "annotation-type",
            f"{what} has type {annotation!r}, which has no width",
            f"`{instead}`",
        )
    return annotation if record is None else record


def _default(cls: Any, name: str) -> Any:
    fields = cls.__struct_fields__
    defaults = cls.__struct_defaults__
    at = list(fields).index(name) - (len(fields) - len(defaults))
    return defaults[at] if at >= 0 else None
