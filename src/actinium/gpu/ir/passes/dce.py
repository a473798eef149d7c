"""Dead code: what nobody reads and nobody would notice is removed.

A store, an atomic update, a fault and a loop that counts its rounds are noticed (TR-2).
"""

from __future__ import annotations

from ..nodes import Function, Op, Region, Value, walk


def _quiet(op: Op, ends: tuple[str, ...] = ("yield",)) -> bool:
    """Whether the operation and all within it have no effect but their results.

    ``ends`` are the terminators that stay within it: an inner ``break`` ends an inner loop.
    """
    if op.attrs.get("count"):
        return False
    if op.name in ("for", "par"):
        ends = ("yield", "continue", "break")
    elif op.name != "if":
        return op.removable
    return all(
        inner.name in ends or _quiet(inner, ends) for region in op.regions for inner in region.ops
    )


def _prune(op: Op, used: set[Value]) -> bool:
    """Drops the results of a branch that nobody reads, and what its sides yield for them."""
    keep = [i for i, result in enumerate(op.results) if result in used]
    if op.name != "if" or len(keep) == len(op.results):
        return False
    op.results = [op.results[i] for i in keep]
    for region in op.regions:
        last = region.last
        if last is not None and last.name == "yield":
            last.args = [last.args[i] for i in keep]
    return True


def run(function: Function) -> bool:
    """Removes; says whether anything changed."""
    changed = False
    while True:
        used = {a for op in walk(function.body) for a in op.args}
        again = False

        def sweep(region: Region, used: set[Value] = used) -> None:
            nonlocal again
            kept = []
            for op in region.ops:
                if not op.info.terminator and not any(r in used for r in op.results) and _quiet(op):
                    again = True
                    continue
                again |= _prune(op, used)
                for inner in op.regions:
                    sweep(inner, used)
                kept.append(op)
            region.ops = kept

        sweep(function.body)
        if not again:
            return changed
        changed = True
