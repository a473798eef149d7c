"""A function in operations as C++: the same text for CPU and CUDA but for some intrinsics.

Each value is a constant of its own; what a loop or branch hands on is a variable. Integer
arithmetic is done unsigned and converted back, so that it wraps. A fault stores its number and
ends the handler; inside ``prange`` of several threads the iteration goes on with a harmless
value, since the others could not wait for a thread that is gone. Each thread counts the steps of
loops in ``ac_steps``: alike where all run the same, its own inside ``prange``, added up after it.
"""

from __future__ import annotations

import math
from typing import Any

from actinium.errors import UnsupportedType

from ..ir.budget import counts
from ..ir.nodes import Function, Op, Region, Root, Value, walk
from ..layout.header import stored
from ..layout.record import Record
from ..layout.scalar import BOOL, NARROW, U64, Scalar

LEVELS = {"thread": 0, "warp": 1, "block": 2, "grid": 3}
BOUNDARIES = {"clamp": 0, "zero": 1, "periodic": 2}
_SIGNS = {
    "add": "+", "sub": "-", "mul": "*", "div": "/", "and": "&", "or": "|", "xor": "^",
    "eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">=",
}  # fmt: skip
_WRAPPED = ("add", "sub", "mul")


def held(type_: Any) -> str:
    """The C++ type of a value being computed with: 16-bit floats are held as f32."""
    if isinstance(type_, Scalar):
        return "float" if type_.is_small else type_.c
    return str(type_.name)


def literal(type_: Scalar, value: Any) -> str:
    """A constant, exactly."""
    if type_ is BOOL:
        return "true" if value else "false"
    if type_.is_float:
        double = type_.bits == 64
        if math.isnan(value) or math.isinf(value):
            inf = f"ac_inf<{'double' if double else 'float'}>()"
            return f"({inf} - {inf})" if math.isnan(value) else f"{'-' if value < 0 else ''}{inf}"
        text = float(value).hex() + ("" if double else "f")
        return f"({text})" if value < 0 or text[0] == "-" else text
    if value == type_.low and type_.kind == "i" and type_.bits == 64:
        return "(-9223372036854775807ll - 1)"
    suffix = {"i64": "ll", "u64": "ull", "u32": "u"}.get(type_.name, "")
    if type_.bits < 32 or value < 0:
        return f"(({type_.c}){value}{suffix})"
    return f"{value}{suffix}"


class Sites:
    """Places of the program that may stop it: number -> (fault, file, line)."""

    def __init__(self) -> None:
        self.all: list[tuple[str, str, int]] = []

    def number(self, fault: str, op: Op) -> int:
        """The number of a place, from 1."""
        source, node = op.place
        site = (fault, source.file, getattr(node, "lineno", source.first))
        if site not in self.all:
            self.all.append(site)
        return self.all.index(site) + 1


class Writer:
    """Writes the body of one function."""

    def __init__(self, function: Function, target: str, sites: Sites, boundary: str = "") -> None:
        self.function = function
        self.target = target
        self.sites = sites
        self.boundary = BOUNDARIES.get(boundary, 0)
        self.level = LEVELS[function.level]
        self.lines: list[str] = []
        self.pad = "  "
        self.par = False
        self.labels: dict[Op, str] = {}
        self.loops: list[Op] = []

    def line(self, text: str) -> None:
        self.lines.append(self.pad + text)

    def name(self, value: Value) -> str:
        if value.constant is not None:
            return literal(value.scalar, value.constant)
        return f"v{value.id}"

    def names(self, values: list[Value]) -> list[str]:
        return [self.name(v) for v in values]

    def let(self, value: Value, text: str) -> None:
        self.line(f"const {held(value.type)} v{value.id} = {text};")

    # Regions

    def region(self, region: Region) -> None:
        for op in region.ops:
            method = getattr(self, f"_{op.name}", None)
            if method is not None:
                method(op)
            else:
                self.let(op.result, self.expression(op))

    def nested(self, region: Region) -> None:
        before, self.pad = self.pad, self.pad + "  "
        self.region(region)
        self.pad = before

    def declare(self, values: list[Value], first: list[str] | None = None) -> None:
        for i, value in enumerate(values):
            start = f" = {first[i]}" if first is not None else "{}" if self.par else ""
            self.line(f"{held(value.type)} v{value.id}{start};")

    def assign(self, targets: list[Value], values: list[Value]) -> None:
        """All at once: a target may be among the values of the next."""
        moves = [(t, v) for t, v in zip(targets, values, strict=True) if t is not v]
        if len(moves) > 1 and any(v in targets for _, v in moves):
            for target, value in moves:
                self.line(f"const {held(target.type)} n{target.id} = {self.name(value)};")
            for target, _ in moves:
                self.line(f"v{target.id} = n{target.id};")
            return
        for target, value in moves:
            self.line(f"v{target.id} = {self.name(value)};")

    def _const(self, op: Op) -> None:
        pass  # written where it is used

    def _if(self, op: Op) -> None:
        self.declare(op.results)
        self.line(f"if ({self.name(op.args[0])}) {{")
        self._side(op, op.regions[0])
        if len(op.regions[1].ops) > 1 or op.results or op.regions[1].ops[-1].name != "yield":
            self.line("} else {")
            self._side(op, op.regions[1])
        self.line("}")

    def _side(self, op: Op, region: Region) -> None:
        before, self.pad = self.pad, self.pad + "  "
        for inner in region.ops[:-1]:
            self._one(inner)
        last = region.ops[-1]
        if last.name == "yield":
            self.assign(op.results, last.args)
        else:
            self._one(last)
        self.pad = before

    def _one(self, op: Op) -> None:
        one = Region()
        one.ops = [op]
        self.region(one)

    def _loop(self, op: Op) -> None:
        region = op.regions[0]
        self.declare(region.params, self.names(op.args))
        self.line("for (;;) {")
        self._body(op, region, region.params)
        self.line("}")
        self._after(op, region.params)

    def _for(self, op: Op) -> None:
        region = op.regions[0]
        index, carried = region.params[0], region.params[1:]
        low, high = self.names(op.args[:2])
        self.declare(carried, self.names(op.args[2:]))
        step = op.attrs["step"]
        wide = "ac_u64" if index.scalar.kind == "u" else "ac_i64"
        c, u = held(index.type), _unsigned(index.scalar)
        self.line(f"{c} v{index.id} = {low};")
        trips = self._trips(op, f"ac_trips(({wide}){low}, ({wide}){high}, {step}ll)")
        self.line(
            f"for (ac_u64 t{index.id} = {trips}; t{index.id}; "
            f"--t{index.id}, v{index.id} = ({c})(({u})v{index.id} + ({u}){step}ll)) {{"
        )
        self._body(op, region, carried)
        self.line("}")
        self._after(op, carried)

    def _par(self, op: Op) -> None:
        if self.level == 0:
            self._for(op)
            return
        region = op.regions[0]
        index, carried = region.params[0], region.params[1:]
        low, high = self.names(op.args[:2])
        lane, lanes = f"ac_lane<{self.level}>()", f"ac_lanes<{self.level}>()"
        for value, start, how, part in zip(
            carried, op.args[2:], op.attrs.get("joined", ()), op.attrs.get("parts", ()), strict=True
        ):
            c, first = held(value.type), self.name(start)
            none = f"ac_join_{how}::none<{c}>()"
            self.line(f"{c} v{value.id} = {first if part else f'{lane} == 0 ? {first} : {none}'};")
        wide = "ac_u64" if index.scalar.kind == "u" else "ac_i64"
        c, t = held(index.type), f"t{index.id}"
        trips = self._trips(op, f"ac_trips(({wide}){low}, ({wide}){high}, {op.attrs['step']}ll)")
        counted = next((inner for inner in walk(region) if counts(inner)), None)
        if counted is not None:
            self.line(f"const ac_u64 s{index.id} = ac_steps;")
        self.line(
            f"for (ac_u64 {t} = {lane}, e{index.id} = {trips}; {t} < e{index.id}; {t} += {lanes}) {{"
        )
        if counted is not None and self.level == LEVELS["grid"]:
            self.line(f"  ac_steps = s{index.id};")
        self.line(
            f"  const {c} v{index.id} = ({c})((ac_u64){low} + {t} * (ac_u64){op.attrs['step']}ll);"
        )
        before, self.par = self.par, True
        self._body(op, region, carried)
        self.par = before
        self.line("}")
        if counted is not None and self.level == LEVELS["grid"]:
            self.line(f"ac_steps = s{index.id};")
        elif counted is not None:
            self.line(
                f"ac_steps = s{index.id} + ac_reduce_add<{self.level}>(ctx, ac_steps - s{index.id});"
            )
            self.line(f"if (ac_steps > ac_limit) {self.stop('budget', counted)}")
        self._after(op, carried)

    def _trips(self, op: Op, trips: str) -> str:
        """How often a loop runs; one that counts its rounds at once has them checked before."""
        if not op.attrs.get("count"):
            return trips
        name = f"n{op.regions[0].params[0].id}"
        self.line(f"ac_u64 {name} = {trips};")
        stop = self.stop("budget", op)
        self.line(f"if (ac_over(ac_steps, ac_limit, {name})) {{ {stop} {name} = 0; }}")
        return name

    def _body(self, op: Op, region: Region, carried: list[Value]) -> None:
        self.loops.append(op)
        before, self.pad = self.pad, self.pad + "  "
        for inner in region.ops[:-1]:
            self._one(inner)
        last = region.ops[-1]
        if last.name == "yield":
            self.assign(carried, last.args)
        else:
            self._one(last)
        self.pad = before
        self.loops.pop()

    def _after(self, op: Op, carried: list[Value]) -> None:
        for result, value in zip(op.results, carried, strict=True):
            self.let(result, f"v{value.id}")

    def _carried(self) -> list[Value]:
        loop = self.loops[-1]
        return loop.regions[0].params[0 if loop.name == "loop" else 1 :]

    def _break(self, op: Op) -> None:
        self.assign(self._carried(), op.args)
        self.line("break;")

    def _continue(self, op: Op) -> None:
        self.assign(self._carried(), op.args)
        self.line("continue;")

    def _unreachable(self, op: Op) -> None:
        pass

    def _scope(self, op: Op) -> None:
        label = f"out{len(self.labels)}"
        self.labels[op] = label
        self.declare(op.results)
        self.line("{")
        outer, self.loops = self.loops, []
        self.nested(op.regions[0])
        self.loops = outer
        self.line("}")
        self.line(f"{label}:;")

    def _leave(self, op: Op) -> None:
        scope = op.attrs["scope"]
        if scope is None:
            if op.args:
                result = self._stored(self.function.result, self.name(op.args[0]))
                if self.function.shape:
                    self.line(f"return {result};")
                    return
                leader = "" if self.level == 0 else f"if (ac_lane<{self.level}>() == 0) "
                self.line(f"{leader}*reply = {result};")
            self.line("return;")
            return
        self.assign(scope.results, op.args)
        self.line(f"goto {self.labels[scope]};")

    # Memory

    def place(self, root: Root, path: tuple[str | None, ...], indices: list[Value]) -> str:
        text = f"p_{root.name}" if root.kind == "buffer" else root.name
        if not path:
            return f"(*{text})"
        rest = iter(indices)
        for i, step in enumerate(path):
            if step is None:
                text += f"[{self.name(next(rest))}]"
            else:
                text += ("->" if i == 0 else ".") + step
        return text

    def _load(self, op: Op) -> None:
        text = self.place(op.attrs["root"], op.attrs["path"], op.args)
        if getattr(op.result.type, "is_small", False):
            text = f"ac_{op.result.type}_from_bits({text}.bits)"
        elif op.result.type is BOOL:
            text = f"({text} != 0)"
        self.let(op.result, text)

    def _stored(self, type_: Any, text: str) -> str:
        if getattr(type_, "is_small", False):
            unit = "unsigned short" if type_.bits == 16 else "ac_u8"
            return f"{stored(type_)}{{({unit})ac_{type_}_bits({text})}}"
        return f"(ac_u32){text}" if type_ is BOOL else text

    def _store(self, op: Op) -> None:
        text = self.place(op.attrs["root"], op.attrs["path"], op.args[:-1])
        value = self._stored(op.args[-1].type, self.name(op.args[-1]))
        leader = f"if (ac_lane<{self.level}>() == 0) " if op.attrs.get("leader") else ""
        self.line(f"{leader}{text} = {value};")

    def _atomic(self, op: Op) -> None:
        count = op.attrs["count"]
        split = len(op.args) - count
        place = self.place(op.attrs["root"], op.attrs["path"], op.args[:split])
        text = op.attrs["row"].text(
            self.target, op.result.scalar, [place, *self.names(op.args[split:])]
        )
        self.let(op.result, text)

    def _tell(self, op: Op) -> None:
        root, record = op.attrs["root"], op.attrs["record"]
        what = self.place(root, op.attrs["path"], op.args[1:]) if root else self.name(op.args[1])
        size = f"{record.size}u"
        self.line(f"if (!ac_may_tell(ctx, ac_used, {size})) {self.stop('outbox', op)}")
        leader = "" if self.level == 0 else f"if (ac_lane<{self.level}>() == 0) "
        who = self.name(op.args[0])
        self.line(f"{leader}ac_tell(ctx, {who}, {op.attrs['kind']:#06x}u, &{what}, {size});")

    def _scan(self, op: Op) -> None:
        root, length = op.attrs["root"], op.attrs["length"]
        count = self.name(op.args[-1])
        if not isinstance(op.args[-1].constant, int) or not 0 <= op.args[-1].constant <= length:
            self.line(f"if ((ac_u64){count} > {length}ull) {self.stop('bounds', op)}")
        array = self.place(root, op.attrs["path"], op.args[:-1])
        self.line(f"ac_scan<ac_join_{op.attrs['how']}, {self.level}>(ctx, {array}, {count});")

    def _sync(self, op: Op) -> None:
        self.line(f"ac_sync<{self.level}>();")

    # Faults

    def stop(self, kind: str, op: Op) -> str:
        """What is done where the program stops."""
        call = f"ac_fault(ctx, {self.sites.number(kind, op)}u);"
        if self.par:
            return call
        if self.function.shape:
            return f"{{ {call} return {self._stored(self.function.result, f'({held(self.function.result)})0')}; }}"
        return f"{{ {call} return; }}"

    def _step(self, op: Op) -> None:
        leave = " break;" if self.par else ""
        self.line(f"if (++ac_steps > ac_limit) {{ {self.stop('budget', op)}{leave} }}")

    def _check(self, op: Op) -> None:
        self.line(f"if (!{self.name(op.args[0])}) {self.stop('assert', op)}")

    def _index(self, op: Op) -> None:
        length = op.attrs["length"]
        n = f"{length}ll" if length is not None else self.name(op.args[1])
        raw = f"r{op.result.id}"
        if op.args[0].type is U64:
            clipped = f"({self.name(op.args[0])} > (ac_u64)ac_most<ac_i64>() ? -{n} - 1 : (ac_i64){self.name(op.args[0])})"
        else:
            clipped = f"(ac_i64){self.name(op.args[0])}"
        self.line(f"ac_i64 {raw} = ac_index({clipped}, {n});")
        self.line(f"if ((ac_u64){raw} >= (ac_u64){n}) {{ {self.stop('bounds', op)} {raw} = 0; }}")
        self.let(op.result, raw)

    def _divide(self, op: Op) -> None:
        x, y = self.names(op.args)
        type_ = op.result.scalar
        if type_.is_float:
            text = f"ac_{op.name}({x}, {y})"
            self.let(op.result, self.rounded(type_, text))
            return
        divisor = y
        if op.may_fault:
            divisor = f"d{op.result.id}"
            self.line(f"{type_.c} {divisor} = {y};")
            self.line(f"if ({divisor} == 0) {{ {self.stop('divide', op)} {divisor} = 1; }}")
        self.let(op.result, f"ac_{op.name}<{type_.c}>({x}, {divisor})")

    _floordiv = _mod = _divide

    # Values

    def rounded(self, type_: Scalar, text: str) -> str:
        return f"ac_round_{type_}({text})" if type_.is_small else text

    def expression(self, op: Op) -> str:
        a = self.names(op.args)
        type_ = op.result.type
        if op.name == "call":
            return str(op.attrs["row"].text(self.target, op.attrs["type"], a, self.level))
        if op.name == "convert":
            if op.attrs.get("native"):
                return self.native(op, a[0])
            return self.convert(op.args[0].scalar, type_, a[0])
        if op.name == "make":
            return self.make(op, a)
        if op.name == "get":
            text = f"{a[0]}.{op.attrs['field']}"
            if getattr(type_, "is_small", False):
                return f"ac_{type_}_from_bits({text}.bits)"
            return f"({text} != 0)" if type_ is BOOL else text
        if op.name == "length":
            return f"n_{op.attrs['root'].name}"
        if op.name == "context":
            return f"ctx->{op.attrs['what']}"
        if op.name == "neighbour":
            return self.neighbour(op)
        return self.arithmetic(op.name, op, a)

    def arithmetic(self, name: str, op: Op, a: list[str]) -> str:
        type_ = op.result.scalar
        operand = op.args[0].scalar
        c, u = type_.c, _unsigned(type_)
        if name in ("min", "max"):
            return f"ac_{name}<{held(type_)}>({a[0]}, {a[1]})"
        if name == "not":
            return f"!{a[0]}"
        if name == "abs" and type_.is_float:
            return f"fabs{'' if type_.bits == 64 else 'f'}({a[0]})"
        if name == "abs":
            return (
                f"({c})({a[0]} < 0 ? ({u})0 - ({u}){a[0]} : ({u}){a[0]})"
                if type_.kind == "i"
                else a[0]
            )
        if name == "neg":
            return f"-{a[0]}" if type_.is_float else f"({c})(({u})0 - ({u}){a[0]})"
        if name == "invert":
            return f"({c})~{a[0]}"
        if name in ("shl", "shr"):
            left = f"(({u}){a[0]})" if name == "shl" else a[0]
            sign = "<<" if name == "shl" else ">>"
            return f"({c})({left} {sign} ((unsigned){a[1]} & {type_.bits - 1}u))"
        if name == "pow":
            if type_.is_float:
                return self.rounded(type_, f"ac_pow({a[0]}, {a[1]})")
            return f"ac_ipow<{c}, {u}>({a[0]}, (ac_u64){a[1]})"
        sign = _SIGNS[name]
        if type_.is_int and name in _WRAPPED:
            return f"({c})(({u}){a[0]} {sign} ({u}){a[1]})"
        if type_.is_int and operand.is_int:
            return f"({c})({a[0]} {sign} {a[1]})"
        return (
            self.rounded(type_, f"{a[0]} {sign} {a[1]}")
            if type_.is_float
            else f"{a[0]} {sign} {a[1]}"
        )

    def native(self, op: Op, text: str) -> str:
        """A conversion by the device's own instruction, which takes f32."""
        to = op.result.scalar
        if self.target != "cuda":
            source, node = op.place
            raise UnsupportedType(to.name, to.min_cc, f"{source.file}:{node.lineno}")
        return f"ac_{to}_from_bits(ac_native_{to}((float){text}))"

    def convert(self, from_: Scalar, to: Scalar, text: str) -> str:
        if to is BOOL:
            return f"({text} != 0)"
        if to.name in NARROW and from_.is_float and from_.bits <= 32:
            return f"ac_round_{to}({text})"
        if to.is_small:
            return f"ac_round_{to}((double){text})"
        if to.is_int and from_.is_float:
            return f"ac_to_{to.c}({text})"
        return f"({held(to)}){text}"

    def make(self, op: Op, a: list[str]) -> str:
        record: Record = op.result.type
        parts = []
        holes = dict(record.padding)
        end = 0
        for field, text, argument in zip(record.fields, a, op.args, strict=True):
            if end in holes:
                parts.append("{0}")
            parts.append(
                self._stored(argument.type, text) if isinstance(argument.type, Scalar) else text
            )
            end = field.offset + field.type.size
        if end in holes:
            parts.append("{0}")
        return f"{record.name}{{{', '.join(parts)}}}"

    def neighbour(self, op: Op) -> str:
        root = op.attrs["root"]
        axes = "zyx"[3 - self.function.shape :]
        where = []
        for axis, offset in zip(axes, op.attrs["offset"], strict=True):
            plain = f"{axis} + {offset}" if offset else axis
            where.append(f"ac_edge<{self.boundary}>({plain}, n{axis})" if offset else plain)
        flat = where[0]
        for axis, place in zip(axes[1:], where[1:], strict=True):
            flat = f"({flat}) * n{axis} + ({place})"
        text = f"p_{root.name}[{flat}]"
        if op.result.scalar.is_small:
            text = f"ac_{op.result.type}_from_bits({text}.bits)"
        outside = [p for p, o in zip(where, op.attrs["offset"], strict=True) if o]
        if self.boundary == 1 and outside:
            test = " || ".join(f"{p} < 0" for p in outside)
            return f"({test}) ? ({held(op.result.type)})0 : {text}"
        return text


def _unsigned(type_: Scalar) -> str:
    """In what integers are computed: at least 32 bits, since C++ would make narrower ones int."""
    return "ac_u64" if type_.bits == 64 else "ac_u32"
