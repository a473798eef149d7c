"""The form checked: a value is used after it is made, within its region, and types agree."""

from __future__ import annotations

from ..nodes import Function, Op, Region, Value
from ..ops import COMPARISONS, LOOPS


class Broken(AssertionError):
    """A pass, or the front end, made a function that is no function."""


def _need(condition: bool, op: Op, text: str) -> None:
    if not condition:
        raise Broken(f"{op.name} ({op.results} <- {op.args}): {text}")


def check(function: Function) -> None:
    """Raises Broken where the function is not well formed."""
    seen = {value for _, value in function.params}
    _region(function.body, seen, [], set())


def _region(region: Region, seen: set[Value], loops: list[Op], scopes: set[Op]) -> None:
    seen = seen | set(region.params)
    for i, op in enumerate(region.ops):
        for argument in op.args:
            _need(argument in seen, op, f"{argument} is used before it is made, or outside")
        _need(
            op.info.terminator == (i + 1 == len(region.ops)),
            op,
            "it does not end its region, or is not last",
        )
        _types(op, loops, scopes)
        for inner in op.regions:
            _region(
                inner, seen, [*loops, op] if op.name in LOOPS else loops,
                scopes | {op} if op.name == "scope" else scopes,
            )  # fmt: skip
        seen.update(op.results)


def _types(op: Op, loops: list[Op], scopes: set[Op]) -> None:
    if op.name in COMPARISONS:
        _need(op.args[0].type is op.args[1].type, op, "it compares two types")
    if op.name in ("break", "continue"):
        _need(bool(loops), op, "it is in no loop")
        _need(_same(op.args, loops[-1].results), op, "it does not carry what the loop carries")
    if op.name == "leave":
        scope = op.attrs["scope"]
        _need(scope is None or scope in scopes, op, "it leaves a scope that it is not in")
        _need(scope is None or _same(op.args, scope.results), op, "it leaves with other types")
    if op.name in ("if", *LOOPS):
        for region in op.regions:
            last = region.last
            if last is not None and last.name == "yield":
                _need(_same(last.args, op.results), last, "it yields other types")


def _same(a: list[Value], b: list[Value]) -> bool:
    return [x.type for x in a] == [y.type for y in b]
