"""Which types may travel, and how closely their annotations describe them.

A struct or dataclass whose fields all have concrete types is encoded by msgspec in one call and
checked on arrival. Where an annotation leaves the type open (``Any``, ``object``, a bare
``tuple``, a base class of what is there) that would lose types in silence, so the values then
carry their types with them (see ``tree``).
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import uuid
from typing import Any

import msgspec

from actinium import _native

LEAVES: frozenset[type] = frozenset((
    datetime.date, datetime.datetime, datetime.time, datetime.timedelta, decimal.Decimal, uuid.UUID,
))  # fmt: skip
PLAIN: frozenset[type] = frozenset((type(None), bool, int, float, str, bytes, bytearray,
                                    memoryview, tuple, list, set, frozenset, dict,
                                    _native.Payload))  # fmt: skip


def is_record(cls: type) -> bool:
    """Whether values of this class are structs or dataclasses."""
    return issubclass(cls, msgspec.Struct) or dataclasses.is_dataclass(cls)


def may_travel(cls: type) -> bool:
    """Whether values of this class can be encoded at all; refs aside."""
    return cls in PLAIN or cls in LEAVES or issubclass(cls, enum.Enum) or is_record(cls)


def advice(cls: type) -> str:
    """Why values of a class stay in their process, and what to send instead."""
    name = cls.__qualname__
    if name == "Unchecked":
        return "ac.Unchecked shares an object within one process; it cannot go to another one"
    return (
        f"a {name} cannot go to another process; send an ac.Message, a dataclass, or values of "
        "numbers, text, bytes, ac.Payload, tuple, list, dict, set, date and time, Decimal, UUID "
        "or Enum"
    )


def is_ref(cls: Any) -> bool:
    """Whether an annotation stands for refs: a ref class, ``ac.Ref``, or one with a parameter."""
    origin = getattr(cls, "__origin__", cls)
    if not isinstance(origin, type):
        return False
    return issubclass(origin, _native.Cell) or (
        origin.__module__ == "actinium.core" and origin.__name__ in ("Ref", "EntityRef")
    )


class Shape:
    """What the annotations of a record class say: ``exact`` or open; which records are inside."""

    __slots__ = ("exact", "inside")

    def __init__(self, cls: type) -> None:
        self.exact = True
        self.inside: set[type] = set()
        try:
            for field in _fields_of(msgspec.inspect.type_info(cls)):
                if not _is_payload(field):
                    self._walk(field.type)
        except (NameError, TypeError, AttributeError):
            self.exact = False  # annotations that cannot be resolved describe nothing
        self.inside.discard(cls)

    def still_exact(self) -> bool:
        """Whether no class inside has subclasses, whose values would be cut down to the base."""
        return self.exact and not any(cls.__subclasses__() for cls in self.inside)

    def _walk(self, node: Any) -> None:
        if isinstance(node, msgspec.inspect.AnyType):
            self.exact = False
        elif isinstance(node, msgspec.inspect.CustomType):
            if not is_ref(node.cls):
                self.exact = False  # what is in there decides whether it can travel
        elif isinstance(node, (msgspec.inspect.StructType, msgspec.inspect.DataclassType)):
            if node.cls not in self.inside:
                self.inside.add(node.cls)
                for field in node.fields:
                    self._walk(field.type)
        else:
            for name in ("types", "item_types"):
                for part in getattr(node, name, ()):
                    self._walk(part)
            for name in ("item_type", "key_type", "value_type"):
                part = getattr(node, name, None)
                if part is not None:
                    self._walk(part)


def _fields_of(info: Any) -> Any:
    return info.fields


def _is_payload(field: Any) -> bool:
    kind = field.type
    return isinstance(kind, msgspec.inspect.CustomType) and kind.cls is _native.Payload


def blob_fields(cls: type) -> tuple[tuple[str, type], ...]:
    """Fields of a struct that hold bytes and may go beside the encoded message, uncopied.

    The struct is decoded with an empty value first, so one that looks at its fields in
    ``__post_init__`` keeps them inside.
    """
    if not issubclass(cls, msgspec.Struct) or hasattr(cls, "__post_init__"):
        return ()
    kinds = {
        msgspec.inspect.BytesType: bytes,
        msgspec.inspect.ByteArrayType: bytearray,
        msgspec.inspect.MemoryViewType: memoryview,
    }
    info = msgspec.inspect.type_info(cls)
    found: list[tuple[str, type]] = []
    for field in _fields_of(info):
        kind = kinds.get(type(field.type))
        if _is_payload(field):
            found.append((field.name, _native.Payload))
        elif kind is not None and field.type.min_length is None and field.type.max_length is None:
            found.append((field.name, kind))
    return tuple(found)
