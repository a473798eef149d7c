"""Programs made at random, and the comparison of executors that every test of them uses."""

from __future__ import annotations

import linecache
import math
import random
from typing import Any

import actinium as ac
from actinium import gpu
from actinium.errors import DeviceFault
from actinium.gpu.ir.promote import common
from actinium.gpu.layout.scalar import BOOL, FLOATS, INTEGERS, NARROW, SCALARS, Scalar

NUMBERS = (*INTEGERS, *FLOATS)
PAIRS = [(x, y) for x in NUMBERS for y in NUMBERS if common(x, y)]
SMALL = tuple(NARROW.values())
_count = 0


def define(source: str, **names: Any) -> dict[str, Any]:
    """Runs a text whose lines can be found again, as an interactive session's can."""
    global _count
    _count += 1
    file = f"<program {_count}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    scope: dict[str, Any] = {"ac": ac, "gpu": gpu, "math": math, "__name__": "programs", **names}
    exec(compile(source, file, "exec"), scope)
    return scope


class Maker:
    """Draws one well-typed actor with ``handlers`` handlers, and inputs for it."""

    def __init__(self, seed: int, handlers: int = 8) -> None:
        self.random = random.Random(seed)
        self.handlers = handlers
        self.fields: dict[str, Scalar] = {}
        self.arrays: dict[str, tuple[Scalar, int]] = {}
        self.locals: dict[str, Scalar] = {}
        self.fresh = 0

    # Text

    def source(self) -> str:
        draw = self.random
        types = [*INTEGERS, *FLOATS, BOOL, *SMALL]
        self.fields = {f"s{i}": draw.choice(types) for i in range(6)}
        self.arrays = {f"a{i}": (draw.choice(types), draw.choice((1, 3, 8))) for i in range(3)}
        lines = []
        self.messages = []
        for i in range(self.handlers):
            given = {f"m{k}": draw.choice(types) for k in range(4)}
            self.messages.append(given)
            lines.append(f"@gpu.message(kind={0x100 + i})\nclass M{i}:")
            lines += [f"    {name}: gpu.{t.name}" for name, t in given.items()]
        lines.append('@gpu.actor(level="thread")\nclass Made:')
        lines += [f"    {name}: gpu.{t.name}" for name, t in self.fields.items()]
        lines += [f"    {n}: gpu.Array[gpu.{t.name}, {k}]" for n, (t, k) in self.arrays.items()]
        for i, given in enumerate(self.messages):
            self.message = given
            self.locals = {}
            result = draw.choice(types)
            lines.append(f"    @ac.on\n    def h{i}(self, m: M{i}) -> gpu.{result.name}:")
            lines += self.block(2, 3)
            lines.append(f"        return {self.expr(result, 3)}")
        return "\n".join(lines) + "\n"

    def block(self, depth: int, count: int, loop: bool = False) -> list[str]:
        out: list[str] = []
        for _ in range(self.random.randint(1, count)):
            out += self.statement(depth, loop)
        return ["    " * (2 if depth == 2 else 1) + line for line in out] if depth == 2 else out

    def nested(self, depth: int, loop: bool) -> list[str]:
        """A block one level in; locals made there are not known after it."""
        before = dict(self.locals)
        lines: list[str] = []
        for _ in range(self.random.randint(1, 2)):
            lines += self.statement(depth - 1, loop)
        self.locals = before
        return ["    " + line for line in lines]

    def statement(self, depth: int, loop: bool) -> list[str]:
        draw = self.random
        kind = draw.randrange(10 if depth > 0 else 5)
        if kind == 0 or (kind == 1 and not self.locals):
            type_ = draw.choice([*INTEGERS, *FLOATS, BOOL])
            value = self.expr(type_, 3)
            self.fresh += 1
            name = f"x{self.fresh}"
            self.locals[name] = type_
            return [f"{name}: gpu.{type_.name} = {value}"]
        if kind == 1:
            name = draw.choice(sorted(self.locals))
            return [f"{name} = {self.expr(self.locals[name], 3)}"]
        if kind in (2, 3):
            place, type_ = self.place()
            if type_ not in (BOOL, *SMALL) and draw.random() < 0.5:
                sign = draw.choice(("+", "-", "*") if type_.is_float else ("+", "-", "*", "&", "^"))
                return [f"{place} {sign}= {self.expr(type_, 2)}"]
            return [f"{place} = {self.expr(type_, 3)}"]
        if kind == 4:
            if draw.random() < 0.15:
                return [f"assert {self.expr(BOOL, 2)} or {self.expr(BOOL, 1)}"]
            place, type_ = self.place()
            return [f"{place} = {self.expr(type_, 2)}"]
        if kind in (5, 6):
            lines = [f"if {self.expr(BOOL, 3)}:", *self.nested(depth, loop)]
            if draw.random() < 0.6:
                lines += ["else:", *self.nested(depth, loop)]
            return lines
        if kind in (7, 8):
            self.fresh += 1
            name = f"i{self.fresh}"
            unknown = f"gpu.i64({self.expr(SCALARS['i32'], 1)}) % 6"
            bound = draw.choice(("3", "1, 6", "5, -2, -2", "4", unknown))
            lines = [f"for {name} in {draw.choice(('range', 'gpu.prange', 'range'))}({bound}):"]
            before = dict(self.locals)
            self.locals[name] = SCALARS["i64"]
            body = self.nested(depth, True)
            if draw.random() < 0.6:  # before or after the body: what was carried so far stays
                ways = ("continue",) if "prange" in lines[0] else ("break", "continue")
                leave = [f"    if {self.expr(BOOL, 1)}:", f"        {draw.choice(ways)}"]
                body = leave + body if draw.random() < 0.7 else body + leave
            self.locals = before
            return lines + body
        self.fresh += 1
        name = f"w{self.fresh}"
        return [
            f"{name}: gpu.i32 = {draw.randint(0, 4)}",
            f"while {name} > 0 and {self.expr(BOOL, 2)}:",
            f"    {name} -= 1",
            *self.nested(depth, True),
        ]

    def place(self) -> tuple[str, Scalar]:
        draw = self.random
        if draw.random() < 0.5:
            name = draw.choice(sorted(self.fields))
            return f"self.{name}", self.fields[name]
        name = draw.choice(sorted(self.arrays))
        type_, length = self.arrays[name]
        return f"self.{name}[{self.index(length)}]", type_

    def index(self, length: int) -> str:
        draw = self.random
        kind = draw.randrange(4)
        if kind == 0:
            return str(draw.randint(-length, length - 1))
        if kind == 1:
            return f"{self.expr(SCALARS['i32'], 1)} % {length}"
        if kind == 2:
            return f"{self.expr(SCALARS['u8'], 1)} & {length // 2}"
        return self.expr(draw.choice(INTEGERS), 0)

    def literal(self, type_: Scalar) -> str:
        draw = self.random
        if type_ is BOOL:
            return draw.choice(("True", "False"))
        if type_.is_float:
            return draw.choice(("0.0", "1.0", "-2.5", "0.1", "3", "1e3", "-0.0"))
        edges = [0, 1, 2, 3, 7, type_.high, type_.low, type_.high // 3]
        return str(draw.choice(edges))

    def leaf(self, type_: Scalar) -> str:
        """A typed leaf; where nothing has the type, a conversion of a literal."""
        found = [f"self.{n}" for n, t in self.fields.items() if t is type_]
        found += [f"m.{n}" for n, t in self.message.items() if t is type_]
        found += [n for n, t in self.locals.items() if t is type_]
        found += [
            f"self.{n}[{self.random.randint(-k, k - 1)}]"
            for n, (t, k) in self.arrays.items()
            if t is type_
        ]
        return self.random.choice(found) if found else f"gpu.{type_.name}({self.literal(type_)})"

    def expr(self, type_: Scalar, depth: int) -> str:
        draw = self.random
        if depth == 0:
            return self.leaf(type_)
        kind = draw.randrange(9)
        if type_ is BOOL:
            return self.truth(depth)
        if type_ in SMALL:
            if kind <= 2:
                return f"({self.leaf(type_)} if {self.truth(depth)} else {self.leaf(type_)})"
            sign = draw.choice(("+", "-", "*", "/"))
            other = draw.choice((*SMALL, *INTEGERS[:3], *FLOATS[:3]))
            return f"gpu.{type_.name}({self.leaf(type_)} {sign} {self.leaf(other)})"
        a = self.expr(type_, depth - 1)
        if kind <= 2:
            b = self.literal(type_) if draw.random() < 0.3 else self.expr(type_, depth - 1)
            signs = (
                ("+", "-", "*", "/", "//", "%")
                if type_.is_float
                else ("+", "-", "*", "&", "|", "^")
            )
            return f"({a} {draw.choice(signs)} {b})"
        if kind == 3:
            return f"({a} if {self.expr(BOOL, depth - 1)} else {self.expr(type_, depth - 1)})"
        if kind == 4:
            other = draw.choice([*INTEGERS, *FLOATS, BOOL])
            return f"gpu.{type_.name}({self.expr(other, depth - 1)})"
        if kind == 5:
            return f"{draw.choice(('min', 'max'))}({a}, {self.expr(type_, depth - 1)})"
        if kind == 6:
            return draw.choice((f"abs({a})", f"(-{a})"))
        if kind == 7:
            x, y = draw.choice(PAIRS)
            sign = draw.choice(("+", "-", "*"))
            return f"gpu.{type_.name}({self.expr(x, depth - 1)} {sign} {self.expr(y, depth - 1)})"
        if type_.is_float:
            return draw.choice((f"gpu.{type_.name}(gpu.sqrt(gpu.f64({a})))", f"({a} + {a})"))
        texts = [
            f"{a} << {draw.randrange(type_.bits)}",
            f"{a} >> {self.expr(type_, depth - 1)}",
            f"{a} ** 3",
            f"~{a}",
            f"{a} // {draw.choice((1, 2, 3, 8, 7))}",
            f"{a} % {draw.choice((1, 2, 5, 16))}",
            f"{a} // {self.leaf(type_)}",
            f"{a} % {self.leaf(type_)}",
        ]
        return f"({draw.choice(texts)})"

    def truth(self, depth: int) -> str:
        draw = self.random
        kind = draw.randrange(6)
        if kind == 0:
            return f"(not {self.expr(BOOL, depth - 1)})"
        if kind == 1:
            word = draw.choice(("and", "or", "&", "|", "^", "==", "!="))
            return f"({self.expr(BOOL, depth - 1)} {word} {self.expr(BOOL, depth - 1)})"
        type_ = draw.choice((*INTEGERS, *FLOATS, *SMALL))
        a, b, c = (self.expr(type_, depth - 1) for _ in range(3))
        signs = ("<", "<=", "==", "!=", ">", ">=")
        if kind == 2:
            return f"({a} {draw.choice(signs)} {b} {draw.choice(signs)} {c})"
        return f"({a} {draw.choice(signs)} {b})"

    # Inputs

    def value(self, type_: Scalar) -> Any:
        draw = self.random
        if type_ is BOOL:
            return draw.random() < 0.5
        if type_.is_float:
            special = [0.0, -0.0, math.inf, -math.inf, math.nan, 1e-45, 3.0e38, 65504.0, 0.5]
            return type_(draw.choice(special) if draw.random() < 0.3 else draw.gauss(0, 100))
        special_ = [0, 1, 2, 3, type_.low, type_.high, type_.high - 1]
        return draw.choice(special_) if draw.random() < 0.5 else draw.randint(type_.low, type_.high)

    def state(self) -> dict[str, Any]:
        plain = {n: self.value(t) for n, t in self.fields.items()}
        return plain | {
            n: tuple(self.value(t) for _ in range(k)) for n, (t, k) in self.arrays.items()
        }


def outcome(actor: Any, message: Any) -> Any:
    """The reply, or the fault with its line."""
    try:
        return actor.handle(message)
    except DeviceFault as e:
        return ("fault", e.fault, e.line)


def same(a: Any, b: Any) -> bool:
    """Equal bit for bit; one NaN is as good as another."""
    if isinstance(a, float) and isinstance(b, float):
        if math.isnan(a) or math.isnan(b):
            return math.isnan(a) and math.isnan(b)
        return a == b and math.copysign(1, a) == math.copysign(1, b)
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and bool(a == b)


def compare(
    seed: int, cache: Any, rounds: int = 6, handlers: int = 8, max_steps: tuple[int, ...] = (0,)
) -> int:
    """Runs one made actor on both executors; gives the number of messages compared."""
    maker = Maker(seed, handlers)
    source = maker.source()
    scope = define(source)
    program = gpu.compile(scope["Made"])
    actors = [
        (gpu.NativeActor(program, cache, max_steps=n), gpu.OracleActor(program, max_steps=n))
        for n in max_steps
    ]
    done = 0
    for i, given in enumerate(maker.messages):
        for k in range(rounds):
            native, oracle = actors[k % len(actors)]
            native.state = oracle.state = maker.state()
            message = scope[f"M{i}"](**{n: maker.value(t) for n, t in given.items()})
            a, b = outcome(native, message), outcome(oracle, message)
            where = f"seed {seed}, h{i}, {message}\n{source}\n{program.ir}"
            assert same(a, b), f"reply: native {a}, oracle {b}; {where}"
            assert same(native.state, oracle.state), (
                f"state: native {native.state}, oracle {oracle.state}; {where}"
            )
            done += 1
    return done
