"""What one compilation shares among the functions inlined into it."""

from __future__ import annotations

from typing import Any

from ..ir.nodes import Op, Region, Value
from ..layout.scalar import Scalar


class Retype(Exception):
    """A local got a stronger type: compile again with that known."""


class Notes:
    """What the oracle needs to know of a function: how each local and call was understood."""

    def __init__(self) -> None:
        self.locals: dict[str, Scalar] = {}
        self.calls: dict[Any, tuple[str, Any]] = {}
        """(line, column) of a call -> (kind, object)."""
        self.types: dict[Any, Scalar] = {}
        """(line, column) of an expression whose branches meet in a type."""
        self.loops: dict[Any, str] = {}
        """(line, column) of a loop -> how it counts its rounds: ``each``, ``all`` or ``apart``."""
        self.names: dict[str, Any] = {}
        """Names from outside that the function reads."""


class Session:
    """The region that operations go to, numbering, and what is known of local types."""

    def __init__(self, level: str) -> None:
        self.level = level
        self.hints: dict[tuple[Any, str], Scalar] = {}
        self.stack: list[Any] = []
        self.final = False
        self.dims = 0
        self.restart()

    def restart(self) -> None:
        self.region = Region()
        self.count = 0
        self.notes: dict[Any, Notes] = {}
        self.weak: set[tuple[Any, str]] = set()

    def value(self, type_: Any, op: Op | None = None) -> Value:
        self.count += 1
        return Value(type_, op, self.count)

    def emit(self, name: str, args: list[Value], types: list[Any], place: Any, **attrs: Any) -> Op:
        op = Op(name, args, attrs, place)
        op.results = [self.value(t, op) for t in types]
        self.region.ops.append(op)
        return op

    def constant(self, type_: Scalar, value: Any, place: Any) -> Value:
        return self.emit("const", [], [type_], place, value=value).result
