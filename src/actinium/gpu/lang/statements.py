"""Statements: assignments, branches, loops, returns, assertions."""

from __future__ import annotations

import ast
from typing import Any, NoReturn

from ..ir import arithmetic, budget
from ..ir.nodes import Op, Region, Value
from ..ir.promote import DEFAULTS, common
from ..layout.record import ArrayType, Record
from ..layout.scalar import BOOL, I64, Scalar
from .builder import OPERATORS
from .calls import Calls, declared
from .session import Retype, Session
from .source import MISSING, Source
from .values import Known, Lit, Operand, Place, Ranged, Static, named

REFUSED: dict[type[ast.AST], tuple[str, str, str]] = {
    ast.Try: ("try", "there are no exceptions on a device", "a test before the operation"),
    ast.Raise: ("raise", "there are no exceptions on a device", "`assert`, which stops the handler"),
    ast.With: ("with", "there are no context managers on a device", "plain statements"),
    ast.Global: ("global", "a handler changes its state only", "a field of the state"),
    ast.Nonlocal: ("nonlocal", "a handler changes its state only", "a field of the state"),
    ast.Delete: ("del", "a value has no life of its own to end", "nothing"),
    ast.Import: ("import", "nothing is imported on a device", "the import at the head of the file"),
    ast.ImportFrom: ("import", "nothing is imported on a device", "the import at the head of the file"),
    ast.FunctionDef: ("nested-def", "a function within a function", "`@gpu.function` at the top of the file"),
    ast.AsyncFunctionDef: ("nested-def", "a function within a function", "`@gpu.function` at the top of the file"),
    ast.ClassDef: ("nested-class", "a class within a function", "`@gpu.state` at the top of the file"),
    ast.TryStar: ("try", "there are no exceptions on a device", "a test before the operation"),
}  # fmt: skip


class Loop:
    """A loop being compiled: what it is, and the names it carries."""

    def __init__(self, kind: str, names: list[str]) -> None:
        self.kind = kind
        self.names = names


class Statements(Calls):
    """From ``ast.stmt`` to operations."""

    def __init__(self, source: Source, session: Session, key: Any) -> None:
        super().__init__(source, session, key)
        self.leaves: list[Op] = []
        self.result: Any = None
        self.loops: list[Loop] = []
        self.stores: dict[str, int] = {}
        self.annotated: dict[str, Scalar] = {}
        for inner in ast.walk(source.tree):
            if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
                self.stores[inner.id] = self.stores.get(inner.id, 0) + 1
            if isinstance(inner, ast.AugAssign) and isinstance(inner.target, ast.Name):
                self.stores[inner.target.id] = self.stores.get(inner.target.id, 0) + 1
        self.stored_names = frozenset(self.stores)
        in_loops = [name for node in ast.walk(source.tree) for name in _targets(node)]
        self.indices = {name for name in in_loops if in_loops.count(name) == self.stores[name]}
        """Names that only ``for`` binds: each loop has one of its own, of its own type."""

    def declared_result(self) -> Any:
        if self.source.annotation("return") in (None, MISSING):
            if self.source.annotation("return") is MISSING and any(
                isinstance(n, ast.Return) and n.value is not None
                for n in ast.walk(self.source.tree)
            ):
                declared(self.source, self.source.tree, "return")
            return None
        type_ = declared(self.source, self.source.tree, "return")
        if not isinstance(type_, Scalar | Record):
            self.refuse(
                self.source.tree, "result-type", f"a function cannot return {type_!r}",
                "a number or a record",
            )  # fmt: skip
        return type_

    def run(self, result: Any) -> None:
        """The whole body, into the current region."""
        self.result = result
        for node in ast.walk(self.source.tree):  # an annotation holds for the whole function
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                self.annotated.setdefault(node.target.id, self.annotation(node.annotation))
        self.block(self.source.tree.body)
        if self.session.region.last is None:
            if result is not None:
                self.refuse(
                    self.source.tree, "missing-return",
                    f"`{self.source.function.__name__}` can end without a value of {result!r}",
                    "`return ...` at its end",
                )  # fmt: skip
            self.leaves.append(self.emit(self.source.tree, "leave", [], scope=None))

    def block(self, body: list[ast.stmt]) -> None:
        for statement in body:
            if self.session.region.last is not None:
                return  # after a return, break or continue nothing runs
            self.statement(statement)

    def statement(self, node: ast.stmt) -> None:
        method = getattr(self, f"_{type(node).__name__}", None)
        if method is None:
            code, text, write = REFUSED.get(
                type(node),
                ("statement", f"{type(node).__name__} is not in the language", "plain statements"),
            )
            self.refuse(node, code, text, write)
        method(node)

    def _Pass(self, node: ast.Pass) -> None:
        pass

    def _Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            return  # a docstring
        if isinstance(node.value, ast.Constant) and node.value.value is Ellipsis:
            return
        known = self.expression(node.value)
        if not isinstance(node.value, ast.Call):
            self.refuse(
                node, "no-effect", f"`{self.text(node)}` computes {named(known)} and drops it",
                "an assignment, or nothing",
            )  # fmt: skip

    # Assignment

    def _Assign(self, node: ast.Assign) -> None:
        known = self.expression(node.value)
        for target in node.targets:
            self.assign(target, known, node.value)

    def _AnnAssign(self, node: ast.AnnAssign) -> None:
        if not isinstance(node.target, ast.Name):
            self.refuse(
                node, "annotated-field", f"`{self.text(node.target)}` has its type in the class body",
                "the assignment without an annotation",
            )  # fmt: skip
        type_ = self.annotation(node.annotation)
        before = self.annotated.setdefault(node.target.id, type_)
        if before is not type_:
            self.refuse(
                node, "two-annotations", f"`{node.target.id}` is annotated with {before} and {type_}",
                "one type for each local",
            )  # fmt: skip
        if node.value is None:
            return
        value = self.value(node.value, self.operand(node.value), type_)
        self.local(node.target, value)

    def annotation(self, node: ast.expr) -> Scalar:
        found: Any
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found = self.source.resolve(node.value)
        else:
            known = self.expression(node)
            found = known.value if isinstance(known, Static) else known
        if not isinstance(found, Scalar):
            self.refuse(
                node, "annotation-type", f"`{self.text(node)}` has no width",
                "a number type such as gpu.i32 or gpu.f32",
            )  # fmt: skip
        return found

    def assign(self, target: ast.expr, known: Known, at: ast.expr) -> None:
        if isinstance(target, ast.Name):
            self.local(target, known, at)
        elif isinstance(target, ast.Tuple | ast.List):
            if type(known) is not tuple or len(known) != len(target.elts):
                got = f"{len(known)} values" if type(known) is tuple else named(known)
                self.refuse(
                    target, "unpack", f"{len(target.elts)} names for {got}",
                    f"{len(target.elts)} values, separated by commas",
                )  # fmt: skip
            for inner, item in zip(target.elts, known, strict=True):
                self.assign(inner, item, at)
        else:
            self.store(target, self.place(target), known, at)

    def store(self, node: ast.AST, place: Place, known: Known, at: ast.AST) -> None:
        if isinstance(place.type, Scalar):
            value = self.value(at, self.number(at, known), place.type)
        elif isinstance(place.type, Record):
            value = self.record_value(at, known, place.type)
        else:
            self.refuse(
                node, "array-value", f"`{self.text(node)}` is a whole array ({place.type!r})",
                "one element at a time, in a loop",
            )  # fmt: skip
        self.emit(node, "store", [*place.indices, value], root=place.root, path=place.path)

    def local(self, target: ast.Name, known: Known, at: ast.AST | None = None) -> None:
        """Binds a local; each has one type in the whole function."""
        name = target.id
        if name in self.indices:
            self.env[name] = known
            return
        if isinstance(known, Static) and known.value is None:
            self.refuse(target, "none", f"`{name}` would be None", "a value")
        once = self.stores[name] == 1 and name not in self.annotated
        if not isinstance(known, Lit | Value) or (
            isinstance(known, Value) and isinstance(known.type, Record)
        ):
            there = self.env.get(name, known)
            if not once and (name in self.notes.locals or named(there) != named(known)):
                self.other_kind(target, name, there, known)
            self.env[name] = known
            return
        if isinstance(known, Lit) and once:
            self.env[name] = known
            return
        self.env[name] = self.typed(target, name, known, at or target)

    def typed(self, node: ast.AST, name: str, operand: Operand, at: ast.AST) -> Value:
        key = (self.key, name)
        before = (
            self.annotated.get(name) or self.notes.locals.get(name) or self.session.hints.get(key)
        )
        there = self.env.get(name, operand)
        if not isinstance(there, Lit) and not (
            isinstance(there, Value) and isinstance(there.type, Scalar)
        ):
            self.other_kind(node, name, there, operand)
        given = self.type_of(operand)
        type_ = given if before is None else before
        if before is not None and before.weak and given is not before:
            joint = common(before, given)
            if joint is None:
                self.retype(node, name, before, given)
            if joint is not before:
                self.session.hints[key] = joint
                raise Retype
        if type_.weak and self.session.final:
            type_ = DEFAULTS[type_]
        if type_.weak:
            self.session.weak.add(key)
        self.notes.locals[name] = type_
        if given is type_ or (given.weak and self.weak_into(given, type_)):
            return self._weak_value(at, operand, type_)
        if name in self.annotated:
            return self.value(at, operand, type_)
        self.retype(node, name, type_, given)

    def other_kind(self, node: ast.AST, name: str, before: Known, known: Known) -> NoReturn:
        self.refuse(
            node,
            "retype",
            f"`{name}` was {named(before)} and becomes {named(known)}",
            "another name",
        )

    def retype(self, node: ast.AST, name: str, before: Any, given: Scalar) -> NoReturn:
        wide = common(before, given) or given
        self.refuse(
            node, "retype", f"`{name}` is {before}, and {given} is assigned to it",
            f"`{name}: {wide.hint} = ...` where it is first set, or a conversion",
        )  # fmt: skip

    def _AugAssign(self, node: ast.AugAssign) -> None:
        if type(node.op) not in OPERATORS:
            self.refuse(node, "matmul", f"`{self.text(node)}`: `@` multiplies matrices", "loops")
        name = OPERATORS[type(node.op)][0]
        if isinstance(node.target, ast.Name):
            read = ast.copy_location(ast.Name(node.target.id, ast.Load()), node.target)
            before = self.operand(read)
            value = self.binary(node, name, before, self.operand(node.value))
            self.local(node.target, value, node)
            return
        place = self.place(node.target)
        old = self.number(node.target, self.read(node.target, place))
        value = self.binary(node, name, old, self.operand(node.value))
        self.store(node.target, place, value, node)

    # Branches

    def _If(self, node: ast.If) -> None:
        condition = self.truth(node.test, self.operand(node.test))
        self.branch(node, condition, lambda: self.block(node.body), lambda: self.block(node.orelse))

    def branch(self, node: ast.AST, condition: Operand, then: Any, other: Any) -> None:
        if isinstance(condition, Lit):
            (then if condition.value else other)()
            return
        before = dict(self.env)
        regions, envs = [Region(), Region()], []
        outer = self.session.region
        for region, body in zip(regions, (then, other), strict=True):
            self.inside(region)
            self.env = dict(before)
            body()
            envs.append(self.env)
        self.inside(outer)
        open_ = [env for env, region in zip(envs, regions, strict=True) if region.last is None]
        self.env = self.merged(node, before, open_)
        outs = [
            name for name in self.env
            if (isinstance(self.env[name], Value) and any(env[name] is not self.env[name] for env in open_))
            or (open_ and self.env[name] is not before.get(name) and isinstance(self.env[name], Value))
        ]  # fmt: skip
        for env, region in zip(envs, regions, strict=True):
            if region.last is None:
                self.inside(region)
                self.emit(node, "yield", [env[name] for name in outs])  # type: ignore[misc]
        self.inside(outer)
        op = self.emit(node, "if", [condition], *(self.env[name].type for name in outs))  # type: ignore[union-attr]
        op.regions = regions
        for name, value in zip(outs, op.results, strict=True):
            self.env[name] = value
        if not open_:
            self.emit(node, "unreachable", [])

    def merged(
        self, node: ast.AST, before: dict[str, Known], open_: list[dict[str, Known]]
    ) -> dict[str, Known]:
        """The names that have a value after a branch, with a value of one open side."""
        if not open_:
            return before
        env: dict[str, Known] = {}
        for name, known in open_[0].items():
            others = [side.get(name, MISSING) for side in open_[1:]]
            if any(other is MISSING for other in others):
                continue
            if all(
                other is known or (isinstance(known, Lit) and other == known) for other in others
            ):
                if isinstance(known, Place) and known is not before.get(name):
                    continue  # its indices are known inside only
                if type(known) is tuple and known is not before.get(name):
                    continue
                env[name] = known
            elif isinstance(known, Value) and all(
                isinstance(o, Value) and o.type is known.type for o in others
            ):
                env[name] = known
        return env

    def _Match(self, node: ast.Match) -> None:
        subject = self.operand(node.subject)
        self._case(node, subject, node.cases)

    def _case(self, node: ast.Match, subject: Operand, cases: list[ast.match_case]) -> None:
        if not cases:
            return
        case = cases[0]
        condition = self._pattern(node, subject, case.pattern)
        if case.guard is not None:
            guard = case.guard
            condition = self.both(
                guard, condition, lambda: self.truth(guard, self.operand(guard)), True
            )
        self.branch(
            node,
            condition,
            lambda: self.block(case.body),
            lambda: self._case(node, subject, cases[1:]),
        )

    def _pattern(self, node: ast.AST, subject: Operand, pattern: ast.pattern) -> Operand:
        if isinstance(pattern, ast.MatchAs) and pattern.pattern is None and pattern.name is None:
            return Lit(True)
        if isinstance(pattern, ast.MatchValue):
            return self.compare(pattern, "eq", subject, self.operand(pattern.value))
        if isinstance(pattern, ast.MatchOr):
            found: Operand = Lit(False)
            for inner in pattern.patterns:
                found = self.both(
                    pattern, found, lambda inner=inner: self._pattern(node, subject, inner), False
                )
            return found
        self.refuse(pattern, "pattern", "a pattern of this kind", "a number, `a | b`, or `_`")

    # Loops

    def carried(self, body: list[ast.stmt], node: ast.AST) -> list[str]:
        """Names from before the loop that its body sets."""
        names = sorted(
            {
                inner.id
                for statement in body
                for inner in ast.walk(statement)
                if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store)
            }
            & self.env.keys()
        )
        for name in names:
            known = self.env[name]
            if not isinstance(known, Lit | Value):
                self.refuse(
                    node, "loop-name", f"`{name}` is {named(known)} and is set again in the loop",
                    "another name inside the loop",
                )  # fmt: skip
        return names

    def loop(
        self, node: Any, name: str, head: list[Value], first: list[Value], names: list[str],
        inner: Any, **attrs: Any,
    ) -> None:  # fmt: skip
        """One loop: ``head`` operands and parameters, then the carried ones."""
        initial = [self.env[n] for n in names]
        region = Region()
        before = dict(self.env)
        region.params = [*first, *(self.session.value(v.type) for v in initial)]  # type: ignore[union-attr]
        self.env.update(zip(names, region.params[len(first) :], strict=True))
        outer = self.inside(region)
        self.loops.append(Loop(name, names))
        inner()
        if region.last is None:
            self.emit(node, "yield", self.current(node))
        self.loops.pop()
        self.inside(outer)
        self.env = before
        op = self.emit(node, name, [*head, *initial], *(v.type for v in initial), **attrs)  # type: ignore[list-item, union-attr]
        op.regions = [region]
        self.env.update(zip(names, op.results, strict=True))
        if name == "loop" and not budget.breaks(region):
            self.emit(node, "unreachable", [])

    def current(self, node: ast.AST) -> list[Value]:
        """What the innermost loop carries, now."""
        values = []
        for name in self.loops[-1].names:
            known = self.env.get(name)
            if not isinstance(known, Value):
                self.refuse(
                    node, "maybe-undefined", f"`{name}` has no one value at the end of the loop",
                    f"a value for `{name}` on each path",
                )  # fmt: skip
            values.append(known)
        return values

    def _While(self, node: ast.While) -> None:
        if node.orelse:
            self.refuse(
                node.orelse[0], "loop-else", "`else` of a loop", "a flag that is tested after it"
            )
        names = self.carried(node.body, node)

        def body() -> None:
            condition = self.truth(node.test, self.operand(node.test))
            self.branch(
                node.test, condition, lambda: None,
                lambda: self.emit(node.test, "break", self.current(node.test)),
            )  # fmt: skip
            if self.session.region.last is None:
                self.emit(node, "step", [])
            self.block(node.body)

        self.notes.loops[(node.lineno, node.col_offset)] = "each"

        self.loop(node, "loop", [], [], names, body)

    def _For(self, node: ast.For) -> None:
        if node.orelse:
            self.refuse(
                node.orelse[0], "loop-else", "`else` of a loop", "a flag that is tested after it"
            )
        over = self.expression(node.iter)
        for name in _targets(node):
            if name in self.indices:
                self.env.pop(name, None)
        if isinstance(over, Place) and isinstance(over.type, ArrayType):
            self._over_array(node, over, over.type.length)
            return
        if type(over) is tuple:
            self._unrolled(node, list(over))
            return
        if not isinstance(over, Ranged):
            self.refuse(
                node.iter, "iterable", f"`{self.text(node.iter)}` is {named(over)}",
                "`range(n)`, `gpu.prange(n)`, a gpu.Array or a tuple",
            )  # fmt: skip
        if not isinstance(node.target, ast.Name):
            self.refuse(node.target, "loop-target", f"`{self.text(node.target)}`", "one name")
        if over.kind == "unroll":
            self._unroll(node, over)
            return
        self._ranged(node, over, lambda index: self.local(node.target, index, node.iter))

    def _ranged(self, node: ast.For, over: Ranged, bind: Any) -> None:
        names = self.carried(node.body, node)
        target = node.target.id if isinstance(node.target, ast.Name) else ""
        carried = (
            [*names] if target not in self.env or target in names else sorted([*names, target])
        )
        low, high, type_ = over.low, over.high, I64
        if not (isinstance(low, Lit) and isinstance(high, Lit)):
            low, high, type_ = self.meet(node.iter, low, high, "a range")
        else:
            low, high = self.value(node.iter, low), self.value(node.iter, high)
        index = self.session.value(type_)

        def body() -> None:
            bind(index)
            self.block(node.body)

        self.loop(node, over.kind, [low, high], [index], carried, body, step=over.step)
        op = self.session.region.ops[-1]
        trips: int | None = None
        if isinstance(over.low, Lit) and isinstance(over.high, Lit):
            trips = arithmetic.trips(int(over.low.value), int(over.high.value), over.step)
        how = budget.counted(op, trips, self.session.level)
        if how == "each":
            op.regions[0].ops.insert(0, Op("step", [], {}, op.place))
        elif how == "all":
            op.attrs["count"] = "counted"
        if how:
            self.notes.loops[(node.lineno, node.col_offset)] = how

    def _over_array(self, node: ast.For, place: Place, length: int) -> None:
        def bind(index: Value) -> None:
            item = Place(
                place.root, (*place.path, None), (*place.indices, index), place.type.element
            )
            self.assign(node.target, self.read(node.iter, item), node.iter)

        self._ranged(node, Ranged("for", Lit(0), Lit(length), 1), bind)

    def _unroll(self, node: ast.For, over: Ranged) -> None:
        if not (isinstance(over.low, Lit) and isinstance(over.high, Lit)):
            self.refuse(
                node.iter, "unroll-bounds", f"`{self.text(node.iter)}`: the bounds are not constant",
                "constants, or `range`",
            )  # fmt: skip
        numbers = range(int(over.low.value), int(over.high.value), over.step)
        if len(numbers) > 256:
            self.refuse(node.iter, "unroll-bounds", f"{len(numbers)} copies of a loop", "`range`")
        self._unrolled(node, [Lit(i) for i in numbers])

    def _unrolled(self, node: ast.For, items: list[Known]) -> None:
        self.loops.append(Loop("unroll", []))
        for item in items:
            if self.session.region.last is not None:
                break
            self.assign(node.target, item, node.iter)
            self.block(node.body)
        self.loops.pop()

    def _leave_loop(self, node: ast.stmt, name: str) -> None:
        loop = self.loops[-1]
        if loop.kind == "unroll":
            self.refuse(
                node, "unroll-break", f"`{name}` in an unrolled loop", "`range`, or an `if`"
            )
        if loop.kind == "par" and name == "break":
            self.refuse(
                node, "par-break", "`break` in `gpu.prange`, whose iterations have no order",
                "`range`, or a flag that the iterations test",
            )  # fmt: skip
        self.emit(node, name, self.current(node))

    def _Break(self, node: ast.Break) -> None:
        self._leave_loop(node, "break")

    def _Continue(self, node: ast.Continue) -> None:
        self._leave_loop(node, "continue")

    # Ends

    def _Return(self, node: ast.Return) -> None:
        none = node.value is None or (
            isinstance(node.value, ast.Constant) and node.value.value is None
        )
        if self.result is None or none:
            if self.result is not None or not none:
                self.refuse(
                    node, "result-type",
                    f"`{self.source.function.__name__}` returns {self.result!r}, got `{self.text(node)}`",
                    "what the annotation says",
                )  # fmt: skip
            self.leaves.append(self.emit(node, "leave", [], scope=None))
            return
        assert node.value is not None
        if any(loop.kind == "par" for loop in self.loops):
            self.refuse(
                node, "par-return", "`return` in `gpu.prange`, whose iterations have no order",
                "a flag that is tested after the loop",
            )  # fmt: skip
        if isinstance(self.result, Scalar):
            value = self.value(node.value, self.operand(node.value), self.result)
        else:
            value = self.record_value(node.value, self.expression(node.value), self.result)
        self.leaves.append(self.emit(node, "leave", [value], scope=None))

    def _Assert(self, node: ast.Assert) -> None:
        condition = self.truth(node.test, self.operand(node.test))
        if isinstance(condition, Lit):
            if condition.value:
                return
            condition = self.session.constant(BOOL, False, (self.source, node))
        self.emit(node, "check", [condition])


def _targets(node: ast.AST) -> list[str]:
    """The names that a ``for`` binds, in order; none for other nodes."""
    if not isinstance(node, ast.For):
        return []
    return [
        inner.id
        for inner in ast.walk(node.target)
        if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store)
    ]
