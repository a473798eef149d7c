"""Common subexpressions: what was computed before on every path here is not computed again.

An effect and a read of what may change stay as often as they were written. What may fault is
shared too: where the second would stop the handler, the first has done so.
"""

from __future__ import annotations

import math
from typing import Any

from ..nodes import Function, Op, Region, Value, walk


def _key(op: Op) -> Any:
    """Equal for two operations that give the same values; -0.0 differs from 0.0, NaN from NaN."""
    attrs: list[Any] = []
    for name, value in sorted(op.attrs.items()):
        if isinstance(value, float):
            value = ("float", math.copysign(1.0, value), repr(value))
        elif not isinstance(value, int | str | tuple | type(None)):
            value = id(value)
        attrs.append((name, type(value).__name__, value))
    return (
        op.name,
        tuple(id(a) for a in op.args),
        tuple(attrs),
        tuple(id(r.type) for r in op.results),
    )


def run(function: Function) -> bool:
    """Shares; says whether anything changed."""
    same: dict[Value, Value] = {}

    def visit(region: Region, known: dict[Any, Op]) -> None:
        kept = []
        for op in region.ops:
            op.args = [same.get(a, a) for a in op.args]
            if (op.pure or op.info.pure) and not op.regions and not op.info.terminator:
                first = known.setdefault(_key(op), op)
                if first is not op:
                    same.update(zip(op.results, first.results, strict=True))
                    continue
            for inner in op.regions:
                visit(inner, dict(known))
            kept.append(op)
        region.ops = kept

    visit(function.body, {})
    for op in walk(function.body):
        op.args = [same.get(a, a) for a in op.args]
    return bool(same)
