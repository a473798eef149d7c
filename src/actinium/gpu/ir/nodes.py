"""Values, operations and regions.

A region is a list of operations whose last one says where to go: ``yield`` (the values of the
region, to the operation that owns it), ``leave`` (out of an enclosing ``scope``), ``break`` or
``continue`` (of the nearest loop). A loop carries values: the region's parameters hold them, and
its terminators hand the next ones on. The operations are listed in ``ops.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..layout.scalar import Scalar
from .ops import OPS, Info


class Value:
    """One value, assigned once. ``type`` is a Scalar or a Record."""

    __slots__ = ("id", "op", "type")

    def __init__(self, type_: Any, op: Op | None, id_: int) -> None:
        self.type = type_
        self.op = op
        """The operation whose result it is; None for a parameter of a region."""
        self.id = id_

    @property
    def scalar(self) -> Scalar:
        assert isinstance(self.type, Scalar), self.type
        return self.type

    @property
    def constant(self) -> Any:
        """The value, where it is known; else None."""
        return self.op.attrs["value"] if self.op is not None and self.op.name == "const" else None

    def __repr__(self) -> str:
        return f"%{self.id}"


class Region:
    """Operations in order, with parameters."""

    __slots__ = ("ops", "params")

    def __init__(self) -> None:
        self.params: list[Value] = []
        self.ops: list[Op] = []

    @property
    def last(self) -> Op | None:
        """The terminator, once there is one."""
        return self.ops[-1] if self.ops and self.ops[-1].info.terminator else None


class Op:
    """One operation: operands, results, what it is beside them, inner regions, and its place."""

    __slots__ = ("args", "attrs", "name", "place", "regions", "results")

    def __init__(self, name: str, args: list[Value], attrs: dict[str, Any], place: Any) -> None:
        self.name = name
        self.args = args
        self.attrs = attrs
        self.results: list[Value] = []
        self.regions: list[Region] = []
        self.place = place
        """Where in the program it comes from, for errors and faults."""

    @property
    def info(self) -> Info:
        return OPS[self.name]

    @property
    def result(self) -> Value:
        (value,) = self.results
        return value

    @property
    def may_fault(self) -> bool:
        """Whether it can stop the handler, so that it must stay where it is."""
        if self.name in ("floordiv", "mod"):
            kind = self.result.scalar.kind
            return kind != "f" and not self.args[1].constant
        return self.info.faults

    @property
    def pure(self) -> bool:
        """Whether it may be removed, or computed once for two: no effect, no fault."""
        if self.name == "call":
            return not self.attrs["row"].effect
        if self.name == "load":
            return not self.attrs["root"].writable
        return self.info.pure and not self.may_fault

    @property
    def removable(self) -> bool:
        """Whether nobody would notice its absence if its results were not used."""
        return self.pure or self.name == "load"


class Root:
    """What a load or store starts from: the state, the message, or a buffer of a kernel."""

    __slots__ = ("kind", "name", "type", "writable")

    def __init__(self, name: str, kind: str, type_: Any, writable: bool) -> None:
        self.name = name
        self.kind = kind
        """``state``, ``message`` or ``buffer``."""
        self.type = type_
        """A Record; for a buffer the type of its elements."""
        self.writable = writable

    def __repr__(self) -> str:
        return self.name


class Function:
    """A handler or kernel: its roots, scalar parameters, body and the type it returns."""

    def __init__(self, name: str, level: str) -> None:
        self.name = name
        self.level = level
        """Who runs it: ``thread``, ``warp``, ``block`` or ``grid``."""
        self.roots: list[Root] = []
        self.params: list[tuple[str, Value]] = []
        self.order: list[str] = []
        """A kernel's parameters as they were written, roots and numbers mixed."""
        self.body = Region()
        self.result: Any = None
        self.shape = 0
        """Dimensions of a stencil."""
        self.count = 0
        """The highest number of a value."""

    @property
    def symbol(self) -> str:
        """Its name in C++, where ``double`` or ``pow`` would mean something else."""
        return f"fn_{self.name}"

    def value(self, type_: Any, op: Op | None) -> Value:
        self.count += 1
        return Value(type_, op, self.count)

    def constant(self, type_: Scalar, value: Any, place: Any) -> Op:
        op = Op("const", [], {"value": value}, place)
        op.results = [self.value(type_, op)]
        return op


def walk(region: Region) -> Iterator[Op]:
    """All operations, those of inner regions after the one that owns them."""
    for op in region.ops:
        yield op
        for inner in op.regions:
            yield from walk(inner)
