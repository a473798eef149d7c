"""All rows by name, and Python's own functions that mean one of them."""

from __future__ import annotations

import math
from typing import Any

from . import bits, floats, lanes
from .row import Row

TABLE: dict[str, Row] = {**floats.ROWS, **bits.ROWS, **lanes.ROWS}

_SAME = (
    "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "cbrt", "copysign", "cos", "cosh",
    "degrees", "erf", "erfc", "exp", "exp2", "expm1", "fabs", "fmod", "hypot", "isfinite", "isinf",
    "isnan", "ldexp", "lgamma", "log", "log10", "log1p", "log2", "nextafter", "pow", "radians",
    "remainder", "sin", "sinh", "sqrt", "tan", "tanh",
)  # fmt: skip
MATH: dict[Any, Row] = {getattr(math, name): TABLE[name] for name in _SAME}
"""Functions of ``math`` -> the row that computes them (NaN where Python raises ValueError)."""
MATH[math.gamma] = TABLE["tgamma"]
WHOLE_MATH: dict[Any, str] = {math.floor: "floor_i64", math.ceil: "ceil_i64"}
"""Functions of ``math`` that give integers."""


def markdown() -> str:
    """The table for documents, by group."""
    groups: dict[str, list[Row]] = {}
    for row in TABLE.values():
        groups.setdefault(row.group, []).append(row)
    parts = []
    for group, rows in groups.items():
        parts.append(f"### {group[0].upper()}{group[1:]}\n")
        parts.append("| intrinsic | T | ulp | meaning |\n|---|---|---|---|")
        for row in rows:
            generic = "T" in (*row.params, row.result)
            types = " ".join(t.name for t in row.types) if generic else ""
            parts.append(f"| `{row.signature}` | {types} | {row.ulp:g} | {row.doc} |")
        parts.append("")
    return "\n".join(parts)
