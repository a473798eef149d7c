"""Expressions: names, fields, elements, operators."""

from __future__ import annotations

import ast
import difflib
from types import ModuleType
from typing import Any

from ..ir.nodes import Region, Value
from ..ir.promote import DEFAULTS
from ..layout.record import ArrayType, Record
from ..layout.scalar import BOOL, I64, REF, Scalar
from .builder import OPERATORS, Builder, as_plain
from .marks import BufferType, GridType
from .source import MISSING
from .values import Known, Lit, Operand, Place, Static, named

REFUSED: dict[type[ast.AST], tuple[str, str, str]] = {
    ast.ListComp: ("list-comprehension", "a list comprehension makes a list", "a for loop over a gpu.Array"),
    ast.SetComp: ("set-comprehension", "a set comprehension makes a set", "a for loop over a gpu.Array"),
    ast.DictComp: ("dict-comprehension", "a dict comprehension makes a dict", "a gpu.Array indexed by a number"),
    ast.GeneratorExp: ("generator", "a generator expression makes a generator", "a for loop"),
    ast.List: ("list", "a list is memory on the heap", "a field of type gpu.Array[T, n]"),
    ast.Dict: ("dict", "a dict is memory on the heap", "a gpu.Array indexed by a number"),
    ast.Set: ("set", "a set is memory on the heap", "a bit set in an integer, or a gpu.Array of bool32"),
    ast.Lambda: ("lambda", "a lambda has no types", "a function with @gpu.function and annotations"),
    ast.JoinedStr: ("f-string", "there are no strings on a device", "a number that stands for the text"),
    ast.Yield: ("yield", "a handler gives one reply", "`return`, or several messages"),
    ast.YieldFrom: ("yield-from", "a handler gives one reply", "`return`, or several messages"),
    ast.NamedExpr: ("walrus", "`:=` assigns within an expression", "an assignment on a line of its own"),
    ast.Starred: ("starred", "`*` unpacks a sequence of unknown length", "each element by name"),
    ast.Slice: ("slice", "a slice makes a new array", "a for loop over the indices"),
}  # fmt: skip


class Expressions(Builder):
    """From ``ast.expr`` to values."""

    def expression(self, node: ast.expr) -> Known:
        method = getattr(self, f"_{type(node).__name__}", None)
        if method is None:
            code, text, write = REFUSED.get(
                type(node),
                (
                    "expression",
                    f"{type(node).__name__} is not in the language",
                    "numbers and calls",
                ),
            )
            self.refuse(node, code, f"`{self.text(node)}`: {text}", write)
        return method(node)  # type: ignore[no-any-return]

    def _Constant(self, node: ast.Constant) -> Known:
        plain = as_plain(node.value)
        if plain is not None:
            if not isinstance(plain, float) and abs(plain) > 1 << 128:
                self.refuse(node, "constant", "a literal of more than 128 bits", "a smaller number")
            return Lit(plain)
        if isinstance(node.value, str | bytes):
            self.refuse(
                node,
                "string",
                "there are no strings on a device",
                "a number that stands for the text",
            )
        if node.value is None:
            self.refuse(
                node, "none", "None is no number", "a number that stands for it, such as -1"
            )
        if node.value is Ellipsis:
            self.refuse(
                node, "ellipsis", "`...` is no number", "`pass`, where nothing is to be done"
            )
        self.refuse(node, "complex", f"{node.value!r} is a complex number", "two floats")

    def _Name(self, node: ast.Name) -> Known:
        name = node.id
        if name in self.env:
            return self.env[name]
        if name in self.stored_names:
            self.refuse(
                node, "maybe-undefined", f"`{name}` has no value on some path to here",
                f"a value for `{name}` before the branch or loop",
            )  # fmt: skip
        value = self.source.name(name)
        if value is MISSING:
            near = difflib.get_close_matches(
                name, [*self.env, *self.source.function.__globals__], 1
            )
            write = f"`{near[0]}`" if near else f"a value for `{name}` first"
            self.refuse(node, "undefined-name", f"`{name}` is not defined", write)
        self.notes.names[name] = value
        return self.known(node, value)

    def known(self, node: ast.AST, value: Any) -> Known:
        """A Python object from outside the function."""
        plain = as_plain(value)
        if plain is not None:
            return Lit(plain)
        if type(value) is tuple:
            return tuple(self.known(node, item) for item in value)
        if isinstance(value, str | bytes):
            self.refuse(
                node, "string", f"`{self.text(node)}` is text", "a number that stands for the text"
            )
        if isinstance(value, list | dict | set | bytearray):
            self.refuse(
                node, "mutable-constant", f"`{self.text(node)}` is a {type(value).__name__} of Python's",
                "a tuple of numbers, which cannot change, or a gpu.Array in the state",
            )  # fmt: skip
        return Static(value)

    def _Attribute(self, node: ast.Attribute) -> Known:
        base = self.expression(node.value)
        if isinstance(base, Static):
            return self._static_attribute(node, base.value)
        if isinstance(base, Place) and isinstance(base.type, Record):
            return self.read(node, self.field(node, base))
        if isinstance(base, Value) and isinstance(base.type, Record):
            type_ = base.type.types.get(node.attr)
            if type_ is None:
                self.no_field(node, base.type)
            if isinstance(type_, ArrayType):
                self.refuse(
                    node, "array-value", f"`{self.text(node)}` is a whole array ({type_!r})",
                    "the array in the state or the message, element by element",
                )  # fmt: skip
            return self.emit(node, "get", [base], type_, field=node.attr).result
        self.refuse(
            node, "attribute", f"`{self.text(node.value)}` is {named(base)} and has no fields",
            "a field of the state, the message or a record",
        )  # fmt: skip

    def _static_attribute(self, node: ast.Attribute, owner: Any) -> Known:
        value = getattr(owner, node.attr, MISSING)
        if value is MISSING:
            near = difflib.get_close_matches(node.attr, dir(owner), 1)
            write = f"`{self.text(node.value)}.{near[0]}`" if near else "a name that it has"
            what = f"module {owner.__name__}" if isinstance(owner, ModuleType) else f"{owner!r}"
            self.refuse(node, "unknown-attribute", f"{what} has no `{node.attr}`", write)
        return self.known(node, value)

    def field(self, node: ast.Attribute, base: Place) -> Place:
        type_ = base.type.types.get(node.attr)
        if type_ is None:
            self.no_field(node, base.type)
        return Place(base.root, (*base.path, node.attr), base.indices, type_)

    def no_field(self, node: ast.Attribute, record: Record) -> None:
        near = difflib.get_close_matches(node.attr, record.types, 1)
        names = ", ".join(record.types)
        write = f"`.{near[0]}`" if near else f"one of {names}, or declare it in the class body"
        self.refuse(node, "no-field", f"{record!r} has no field `{node.attr}`", write)

    def read(self, node: ast.AST, place: Place) -> Known:
        """A number is loaded at once, as Python does; arrays and records stay places."""
        return self.load(node, place) if isinstance(place.type, Scalar) else place

    def _Subscript(self, node: ast.Subscript) -> Known:
        base = self.expression(node.value)
        if type(base) is tuple:
            index = self.expression(node.slice)
            if not isinstance(index, Lit) or not isinstance(index.value, int):
                self.refuse(
                    node, "tuple-index", f"`{self.text(node)}`: a tuple is indexed by a constant",
                    "a constant index, or a gpu.Array in the state",
                )  # fmt: skip
            if not -len(base) <= index.value < len(base):
                self.refuse(
                    node, "constant-index", f"index {index.value} of {len(base)} elements",
                    f"an index of 0..{len(base) - 1}",
                )  # fmt: skip
            return base[index.value]  # type: ignore[no-any-return]
        if isinstance(base, Place) and isinstance(base.type, GridType):
            return self.neighbour(node, base)
        return self.read(node, self.element(node, base))

    def neighbour(self, node: ast.Subscript, grid: Place) -> Known:
        """``g[0, -1]``: a cell of a stencil's grid, by constant offsets."""
        index = self.expression(node.slice)
        offsets = index if type(index) is tuple else (index,)
        plain = [x.value for x in offsets if isinstance(x, Lit) and isinstance(x.value, int)]
        dims = self.session.dims
        if len(plain) != len(offsets) or len(plain) != dims or max(map(abs, plain)) > 16:
            self.refuse(
                node, "stencil-offset", f"`{self.text(node)}`: a neighbour in {dims} dimensions",
                f"{dims} constant offsets of -16..16, such as `g[{', '.join(['0'] * dims)}]`",
            )  # fmt: skip
        return self.emit(
            node, "neighbour", [], grid.type.element, root=grid.root, offset=tuple(map(int, plain))
        ).result

    def element(self, node: ast.Subscript, base: Known) -> Place:
        """The place of ``base[index]``, with the index checked."""
        if isinstance(base, Place) and isinstance(base.type, ArrayType | BufferType):
            index = self.index(node, base)
            path = (*base.path, None) if isinstance(base.type, ArrayType) else (None,)
            return Place(base.root, path, (*base.indices, index), base.type.element)
        self.refuse(
            node, "subscript", f"`{self.text(node.value)}` is {named(base)} and has no elements",
            "a gpu.Array, a gpu.Buffer or a tuple",
        )  # fmt: skip

    def index(self, node: ast.Subscript, base: Place) -> Value:
        if isinstance(node.slice, ast.Slice):
            self.expression(node.slice)
        operand = self.operand(node.slice)
        if not self.type_of(operand).is_int:
            self.refuse(
                node, "index-type", f"an index of {self.type_of(operand)}",
                f"an integer, such as `gpu.i32({self.text(node.slice)})`",
            )  # fmt: skip
        if isinstance(base.type, BufferType):
            length = self.emit(node, "length", [], I64, root=base.root).result
            index = self.value(node.slice, operand)
            return self.emit(node, "index", [index, length], I64, length=None).result
        n = base.type.length
        if isinstance(operand, Lit):
            if not -n <= operand.value < n:
                self.refuse(
                    node, "constant-index", f"index {operand.value} of {n} elements",
                    f"an index of 0..{n - 1}",
                )  # fmt: skip
            where = operand.value + n if operand.value < 0 else operand.value
            return self.session.constant(I64, int(where), (self.source, node))
        return self.emit(node, "index", [operand], I64, length=n).result

    def _Tuple(self, node: ast.Tuple) -> Known:
        return tuple(self.expression(item) for item in node.elts)

    def _BinOp(self, node: ast.BinOp) -> Known:
        if type(node.op) not in OPERATORS:
            self.refuse(node, "matmul", f"`{self.text(node)}`: `@` multiplies matrices", "loops")
        a, b = self.operand(node.left), self.operand(node.right)
        return self.binary(node, OPERATORS[type(node.op)][0], a, b)

    def _UnaryOp(self, node: ast.UnaryOp) -> Known:
        operand = self.operand(node.operand)
        if isinstance(node.op, ast.Not):
            return self.negated(node, operand)
        type_ = self.type_of(operand)
        name = {ast.USub: "neg", ast.UAdd: "pos", ast.Invert: "invert"}[type(node.op)]
        if type_ is BOOL or type_ is REF or (name == "invert" and type_.is_float):
            write = "`not x`" if type_ is BOOL else "an integer"
            self.refuse(node, "unary-type", f"`{self.text(node)}` of {type_}", write)
        if isinstance(operand, Lit):
            plain = operand.value
            return Lit({"neg": -plain, "pos": +plain}[name] if name != "invert" else ~int(plain))
        if name == "pos":
            return operand
        operand = self.widen(node, operand)
        return self.emit(node, name, [operand], operand.type).result

    def _Compare(self, node: ast.Compare) -> Known:
        left = self.operand(node.left)
        return self._chain(node, left, list(zip(node.ops, node.comparators, strict=True)))

    def _chain(
        self, node: ast.Compare, left: Operand, rest: list[tuple[ast.cmpop, ast.expr]]
    ) -> Operand:
        """``a < b < c``: each operand once, and those after the first False not at all."""
        operator, right_node = rest[0]
        if type(operator) not in OPERATORS:
            if isinstance(operator, ast.Is | ast.IsNot):
                self.refuse(node, "identity", "`is` compares objects", "`==` or `!=`")
            self.refuse(node, "membership", "`in` searches a container", "a loop, or comparisons")
        right = self.operand(right_node)
        first = self.compare(node, OPERATORS[type(operator)][0], left, right)
        if len(rest) == 1:
            return first
        return self.both(node, first, lambda: self._chain(node, right, rest[1:]), True)

    def both(self, node: ast.AST, first: Operand, second: Any, wanted: bool) -> Operand:
        """``and`` (wanted True) or ``or`` (False): the second only where the first leaves it open."""
        if isinstance(first, Lit):
            return second() if first.value is wanted else first
        regions = [Region(), Region()]
        outer = self.inside(regions[0])
        decided: Operand = second()
        chosen = self.value(node, decided)
        self.emit(node, "yield", [chosen])
        self.inside(regions[1])
        self.emit(node, "yield", [self.session.constant(BOOL, not wanted, (self.source, node))])
        self.inside(outer)
        op = self.emit(node, "if", [first], BOOL)
        op.regions = regions if wanted else regions[::-1]
        return op.result

    def _BoolOp(self, node: ast.BoolOp) -> Known:
        wanted = isinstance(node.op, ast.And)

        def rest(i: int) -> Operand:
            operand = self.operand(node.values[i])
            if self.type_of(operand) is not BOOL:
                word = "and" if wanted else "or"
                self.refuse(
                    node.values[i], "logic-type",
                    f"`{word}` of {self.type_of(operand)}: its result would have no one type",
                    f"a comparison, such as `{self.text(node.values[i])} != 0`",
                )  # fmt: skip
            if i + 1 == len(node.values):
                return operand
            return self.both(node, operand, lambda: rest(i + 1), wanted)

        return rest(0)

    def _IfExp(self, node: ast.IfExp) -> Known:
        condition = self.truth(node.test, self.operand(node.test))
        if isinstance(condition, Lit):
            return self.expression(node.body if condition.value else node.orelse)
        regions = [Region(), Region()]
        outer = self.inside(regions[0])
        a = self.operand(node.body)
        self.inside(regions[1])
        b = self.operand(node.orelse)
        x, y, type_ = self._branches(node, regions, a, b)
        self.inside(regions[0])
        self.emit(node, "yield", [x])
        self.inside(regions[1])
        self.emit(node, "yield", [y])
        self.inside(outer)
        op = self.emit(node, "if", [condition], type_)
        op.regions = regions
        self.notes.types[(node.lineno, node.col_offset)] = type_
        return op.result

    def _branches(
        self, node: ast.IfExp, regions: list[Region], a: Operand, b: Operand
    ) -> tuple[Value, Value, Scalar]:
        """Both results in one type, each converted in its own region."""
        before = self.inside(Region())
        _, _, type_ = self.meet(node, a, b, "a choice")
        if type_.weak and self.session.final:
            type_ = DEFAULTS[type_]
        self.inside(regions[0])
        x = self._weak_value(node, a, type_)
        self.inside(regions[1])
        y = self._weak_value(node, b, type_)
        self.inside(before)
        return x, y, type_

    def _Call(self, node: ast.Call) -> Known:
        return self.call(node)

    stored_names: frozenset[str] = frozenset()
