"""A handler's source, changed so that CPython runs it with the language's types.

Only what Python cannot know is changed: a local gets its type at each assignment, and calls go to
what the compiler understood them to be. Control flow, operators and evaluation order are
CPython's own.
"""

from __future__ import annotations

import ast
import copy
from typing import Any

from ..lang.session import Notes


def _call(name: str, *arguments: ast.expr) -> ast.Call:
    return ast.Call(ast.Name(name, ast.Load()), list(arguments), [])


class Rewriter(ast.NodeTransformer):
    """One function; ``names`` are what the changed source refers to."""

    def __init__(self, notes: Notes) -> None:
        self.notes = notes
        self.names: dict[str, Any] = {}

    def define(self, value: Any) -> str:
        """A name for an object that the source uses."""
        name = f"__ac_{len(self.names)}"
        self.names[name] = value
        return name

    def typed(self, type_: Any, value: ast.expr, at: ast.AST) -> ast.expr:
        made = _call("__ac_typed", ast.Name(self.define(type_), ast.Load()), value)
        return ast.copy_location(made, at)

    def retyped(self, target: ast.expr) -> list[ast.stmt]:
        """``x = typed(T, x)`` for each local that an assignment has bound."""
        found: list[ast.stmt] = []
        for node in ast.walk(target):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                type_ = self.notes.locals.get(node.id)
                if type_ is not None:
                    value = self.typed(type_, ast.Name(node.id, ast.Load()), node)
                    found.append(
                        ast.copy_location(ast.Assign([ast.Name(node.id, ast.Store())], value), node)
                    )
        return found

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Any:
        node.decorator_list = []
        node.returns = None
        for argument in node.args.args:
            argument.annotation = None
        node.args.defaults = []
        node.body = [s for old in node.body for s in self._statements(self.visit(old))]
        return node

    @staticmethod
    def _statements(made: Any) -> list[ast.stmt]:
        return made if isinstance(made, list) else [made]

    def visit_Assign(self, node: ast.Assign) -> Any:
        self.generic_visit(node)
        return [node, *(s for target in node.targets for s in self.retyped(target))]

    def visit_AugAssign(self, node: ast.AugAssign) -> Any:
        self.generic_visit(node)
        return [node, *self.retyped(node.target)]

    def visit_AnnAssign(self, node: ast.AnnAssign) -> Any:
        if node.value is None:
            return ast.copy_location(ast.Pass(), node)
        plain = ast.copy_location(ast.Assign([node.target], self.visit(node.value)), node)
        return [plain, *self.retyped(node.target)]

    def visit_For(self, node: ast.For) -> Any:
        how = self.notes.loops.get((node.lineno, node.col_offset))
        self.generic_visit(node)
        node.body = [*self._step(node, how), *self.retyped(node.target), *node.body]
        if how in ("all", "apart"):
            node.iter = ast.copy_location(_call(f"__ac_{how}", node.iter), node)
        return node

    def visit_While(self, node: ast.While) -> Any:
        self.generic_visit(node)
        node.body = [*self._step(node, "each"), *node.body]
        return node

    def _step(self, node: ast.stmt, how: str | None) -> list[ast.stmt]:
        """What counts one round, for a loop that counts them one at a time."""
        if how != "each":
            return []
        step = ast.Expr(ast.copy_location(_call("__ac_step"), node))
        return [ast.copy_location(step, node)]

    def visit_IfExp(self, node: ast.IfExp) -> Any:
        type_ = self.notes.types.get((node.lineno, node.col_offset))
        self.generic_visit(node)
        return node if type_ is None else self.typed(type_, node, node)

    def visit_Return(self, node: ast.Return) -> Any:
        if node.value is not None:
            node.value = _call("__ac_result", self.visit(node.value))
        return node

    def visit_Assert(self, node: ast.Assert) -> Any:
        stop = ast.Expr(_call("__ac_fault", ast.Constant("assert")))
        test = ast.UnaryOp(ast.Not(), self.visit(node.test))
        return ast.copy_location(ast.If(test, [stop], []), node)

    def visit_Call(self, node: ast.Call) -> Any:
        note = self.notes.calls.get((node.lineno, node.col_offset, node.end_col_offset))
        if note is None:
            return self.generic_visit(node)
        kind, what = note
        target = ast.Name(self.define((kind, what)), ast.Load())
        arguments: list[ast.expr] = [target]
        if kind == "atomic":
            place = node.args[0]
            if isinstance(place, ast.Attribute):
                arguments += [self.visit(place.value), ast.Constant(place.attr)]
            elif isinstance(place, ast.Subscript):
                arguments += [self.visit(place.value), self.visit(place.slice)]
            rest = node.args[1:]
        else:
            rest = node.args
            if kind == "method" and isinstance(node.func, ast.Attribute):
                arguments.append(self.visit(node.func.value))
        made = _call("__ac_call", *arguments, *(self.visit(a) for a in rest))
        made.keywords = [ast.keyword(k.arg, self.visit(k.value)) for k in node.keywords]
        return ast.copy_location(made, node)


def rewrite(tree: ast.FunctionDef, notes: Notes) -> tuple[ast.Module, dict[str, Any]]:
    """The changed source as a module that defines the function, and the names it needs."""
    rewriter = Rewriter(notes)
    changed = rewriter.visit(copy.deepcopy(tree))
    module = ast.Module([changed], [])
    ast.fix_missing_locations(module)
    return module, rewriter.names
