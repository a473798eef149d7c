"""Records for the compiled module, which packs and unpacks them without the interpreter."""

from __future__ import annotations

from typing import Any

from actinium._native import RecordPlan

from .record import ArrayType, Record
from .scalar import Scalar

_CODES = {"f16": "e", "bf16": "g", "bool32": "?"}
_PLAIN = frozenset(
    ["i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64", "f16", "f32", "f64", "bool32", "bf16"]
)


def plan_of(record: Record, kind: int = 0, codec: Any = None) -> RecordPlan:
    """The plan of a record; ``kind`` is the number of the message type that it is, if it is one.

    ``codec.pack`` and ``codec.unpack`` are asked for what is not packed here; the record's, unless
    given.
    """
    fields = tuple(_field(f.name, f.type, f.offset) for f in record.fields)
    asked = record if codec is None else codec
    return RecordPlan(asked, record.python, kind, record.size, False, fields)


def number_plan(scalar: Scalar) -> RecordPlan:
    """The plan of a reply that is a bare number."""
    record = Record("reply", {"value": scalar})
    return RecordPlan(record, None, 0, record.size, True, (_field("value", scalar, 0),))


def reply_plan(result: Any) -> RecordPlan | None:
    """The plan of what a handler answers (None: nothing)."""
    if result is None:
        return None
    return number_plan(result) if isinstance(result, Scalar) else plan_of(result)


def _field(name: str, type_: Any, offset: int) -> tuple[str, str, int, int, RecordPlan | None]:
    count = type_.length if isinstance(type_, ArrayType) else 0
    element = type_.element if isinstance(type_, ArrayType) else type_
    if isinstance(element, Record):
        return name, "r", offset, count, plan_of(element)
    # A type that the compiled module does not know is left to the record's own code.
    code = _CODES.get(element.name, element.code) if element.name in _PLAIN else "-"
    return name, code, offset, count, None
