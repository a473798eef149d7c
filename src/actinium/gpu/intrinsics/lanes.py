"""Rows that concern several threads: values of all of a level, and atomic updates of a place.

Their references see one thread, as the CPU runs a handler: a value of all threads is then the
thread's own, and an atomic update is a plain one.
"""

from __future__ import annotations

from typing import Any

from ..ir.arithmetic import binary
from ..layout.scalar import BOOL, F32, F64, I32, I64, U32, U64, Scalar
from .row import Table

ROWS = Table()
COLLECTIVE = "values of all threads"
NUMBERS = (I32, U32, I64, U64, F32, F64)
WHOLE = (I32, U32, I64, U64)

for _name, _op, _types, _doc in (
    ("sum", "add", NUMBERS, "sum"),
    ("product", "mul", NUMBERS, "product"),
    ("smallest", "min", NUMBERS, "the smallest"),
    ("largest", "max", NUMBERS, "the largest"),
    ("union", "or", WHOLE, "bitwise or"),
    ("intersection", "and", WHOLE, "bitwise and"),
    ("difference", "xor", WHOLE, "bitwise xor"),
):
    ROWS.add(f"reduce_{_op}", COLLECTIVE, _types, "T->T", f"ac_reduce_{_op}<{{L}}>(ctx, {{0}})", lambda _, x: x, f"{_doc} of what each thread holds", effect=True, lanes=True)  # fmt: skip
ROWS.add("any_of", COLLECTIVE, (BOOL,), "bool32->bool32", "ac_any_of<{L}>(ctx, {0})", lambda _, x: x, "whether one thread holds True", effect=True, lanes=True)  # fmt: skip
ROWS.add("all_of", COLLECTIVE, (BOOL,), "bool32->bool32", "ac_all_of<{L}>(ctx, {0})", lambda _, x: x, "whether each thread holds True", effect=True, lanes=True)  # fmt: skip

REDUCTIONS = {f"reduce_{op}": op for op in ("add", "mul", "min", "max", "or", "and", "xor")}
"""Collective -> the operation by which a loop may carry a partial value to it."""


def _minmax(name: str) -> Any:
    def call(_: Scalar, old: Any, value: Any) -> Any:
        smaller = value < old if name == "min" else old < value
        return value if smaller else old

    return call


def _plain(name: str) -> Any:
    return lambda t, old, value: binary(name, t, old, value)


ATOMICS: dict[str, tuple[tuple[Scalar, ...], Any, str]] = {
    "atomic_add": ((I32, U32, U64, I64, F32, F64), _plain("add"), "adds"),
    "atomic_sub": ((I32, U32, U64, I64), _plain("sub"), "subtracts"),
    "atomic_min": (WHOLE, _minmax("min"), "keeps the smaller"),
    "atomic_max": (WHOLE, _minmax("max"), "keeps the larger"),
    "atomic_and": (WHOLE, _plain("and"), "bitwise and"),
    "atomic_or": (WHOLE, _plain("or"), "bitwise or"),
    "atomic_xor": (WHOLE, _plain("xor"), "bitwise xor"),
    "atomic_exch": ((*WHOLE, F32), lambda _t, _old, value: value, "puts a value"),
    "atomic_inc": (
        (U32,),
        lambda _, old, value: 0 if old >= value else old + 1,
        "adds 1, and wraps to 0 above the operand",
    ),  # fmt: skip
    "atomic_dec": (
        (U32,),
        lambda _, old, value: value if old == 0 or old > value else old - 1,
        "subtracts 1, and wraps from 0 to the operand",
    ),  # fmt: skip
}
"""Name -> (types, (T, old, operand) -> new, words). The first operand is a place."""

for _name, (_places, _new, _doc) in ATOMICS.items():
    ROWS.add(_name, "atomics", _places, "T,T->T", f"ac_{_name}(&{{0}}, {{1}})", lambda _, old, value: old, f"{_doc} in one step; gives the value before", effect=True)  # fmt: skip
ROWS.add("atomic_cas", "atomics", (I32, U32, U64, I64), "T,T,T->T", "ac_atomic_cas(&{0}, {1}, {2})", lambda _, old, expected, value: old, "puts the third if the place holds the second; gives the value before", effect=True)  # fmt: skip


def updated(name: str, type_: Scalar, old: Any, *operands: Any) -> Any:
    """What a place holds after an atomic update."""
    if name == "atomic_cas":
        return operands[1] if old == operands[0] else old
    return ATOMICS[name][1](type_, old, operands[0])
