"""The intermediate form as text, for people and tests."""

from __future__ import annotations

from typing import Any

from .nodes import Function, Op, Region, Value


def show(function: Function) -> str:
    """One line for each operation; regions are indented."""
    roots = [f"{r.name}: {r.type!r}" for r in function.roots]
    params = [f"{v!r} {name}: {v.type!r}" for name, v in function.params]
    out = [
        f"{function.level} {function.name}({', '.join(roots + params)}) -> {function.result!r} {{"
    ]
    _region(function.body, "  ", out)
    out.append("}")
    return "\n".join(out) + "\n"


def path(op: Op) -> str:
    """The place a load or store names, indices as ``[]``."""
    steps = "".join("[]" if step is None else f".{step}" for step in op.attrs["path"])
    return f"{op.attrs['root'].name}{steps}"


def _values(values: list[Value]) -> str:
    return ", ".join(map(repr, values))


def _attr(op: Op) -> str:
    if op.name in ("load", "store"):
        return path(op)
    if op.name == "scan":
        return f"{op.attrs['how']} {path(op)}"
    if op.name == "tell":
        return f"{op.attrs['record']} {path(op) if op.attrs['root'] else ''}".rstrip()
    hidden = ("scope", "leader", "shared", "type", "free")
    shown: list[Any] = [v for k, v in op.attrs.items() if k not in hidden and v is not None]
    return " ".join(getattr(v, "name", None) or str(v) for v in shown)


def _region(region: Region, pad: str, out: list[str]) -> None:
    for op in region.ops:
        results = ", ".join(f"{v!r}: {v.type!r}" for v in op.results)
        words = [op.name, _attr(op), _values(op.args)]
        out.append(f"{pad}{results + ' = ' if results else ''}{' '.join(w for w in words if w)}")
        for i, inner in enumerate(op.regions):
            head = f"({_values(inner.params)}) " if inner.params else ""
            out.append(f"{pad}{'else ' if i else ''}{head}{{")
            _region(inner, pad + "  ", out)
            out.append(f"{pad}}}")
