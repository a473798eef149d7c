"""Values that carry their types: for what no annotation describes.

A scalar is itself. Everything else is a pair ``[code, payload]``, so that a list is never taken
for a pair, and a tuple comes out as a tuple. Records are ``[RECORD, [type name, fields]]``.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable
from typing import Any

import msgspec

from actinium import _native
from actinium.errors import DecodeError, NotEncodable

from .kinds import LEAVES, advice, is_record
from .names import find_type, name_of

LIST, TUPLE, SET, FROZENSET, DICT, RECORD, ENUM, LEAF, BIG, BUFFER, REF, TYPE = range(12)
DEPTH = 64
"""Deepest nesting of containers."""

_CONTAINERS: dict[type, int] = {list: LIST, tuple: TUPLE, set: SET, frozenset: FROZENSET}
_MAKERS: dict[int, Callable[[Any], Any]] = {LIST: list, TUPLE: tuple, SET: set,
                                            FROZENSET: frozenset}  # fmt: skip
_BLOBS: tuple[type, ...] = (bytes, bytearray, memoryview, _native.Payload)


class TreeWriter:
    """Turns one value into what msgspec encodes; large buffers go to ``buffers``."""

    def __init__(self, buffers: list[Any], threshold: int, ref: Callable[[Any], Any]) -> None:
        self._buffers = buffers
        self._threshold = threshold
        self._ref = ref

    def write(self, value: Any, depth: int = 0) -> Any:
        cls = type(value)
        if cls is str or cls is bool or cls is float or value is None:
            return value
        if cls is int:
            return value if -(2**63) <= value < 2**64 else [BIG, hex(value)]
        if depth > DEPTH:
            raise NotEncodable(f"a message is nested deeper than {DEPTH} levels")
        below = depth + 1
        if cls in _BLOBS:
            return self._buffer(value)
        code = _CONTAINERS.get(cls)
        if code is not None:
            return [code, [self.write(item, below) for item in value]]
        if cls is dict:
            return [DICT, [[self.write(k, below), self.write(v, below)] for k, v in value.items()]]
        if isinstance(value, _native.Cell) or cls.__name__ == "EntityRef":
            return [REF, self._ref(value)]
        if isinstance(value, type):
            return [TYPE, name_of(value)]
        if isinstance(value, enum.Enum):
            return [ENUM, [name_of(cls), value.name]]
        if cls in LEAVES:
            return [LEAF, [name_of(cls), value]]
        if is_record(cls):
            fields = {name: self.write(getattr(value, name), below) for name in _fields(cls)}
            return [RECORD, [name_of(cls), fields]]
        raise NotEncodable(advice(cls))

    def _buffer(self, value: Any) -> Any:
        kind = _BLOBS.index(type(value))
        view = memoryview(value)
        if view.nbytes >= self._threshold and view.contiguous and len(self._buffers) < 1024:
            self._buffers.append(view.cast("B"))
            return [BUFFER, [kind, len(self._buffers) - 1]]
        return [BUFFER, [kind, bytes(value)]]


def _fields(cls: Any) -> tuple[str, ...]:
    if issubclass(cls, msgspec.Struct):
        names: tuple[str, ...] = cls.__struct_fields__
        return names
    return tuple(field.name for field in dataclasses.fields(cls))


class TreeReader:
    """Turns the decoded form back into the value; raises DecodeError for any other shape."""

    def __init__(self, buffers: list[Any], ref: Callable[[Any], Any]) -> None:
        self._buffers = buffers
        self._ref = ref

    def read(self, node: Any) -> Any:
        if not isinstance(node, list):
            return node
        try:
            code, payload = node
            return self._pair(code, payload)
        except DecodeError:
            raise
        except RecursionError:
            raise DecodeError("a message is nested too deeply") from None
        except Exception as e:
            raise DecodeError(f"no value of a message: {str(node)[:100]} ({e})") from e

    def _pair(self, code: Any, payload: Any) -> Any:
        maker = _MAKERS.get(code)
        if maker is not None:
            return maker([self.read(item) for item in payload])
        if code == DICT:
            return {self.read(k): self.read(v) for k, v in payload}
        if code == RECORD:
            return self._record(*payload)
        if code == BUFFER:
            kind, data = payload
            if isinstance(data, int):
                data = take_buffer(self._buffers, data)
            return as_kind(_BLOBS[kind], data)
        if code == REF:
            return self._ref(payload)
        if code == ENUM:
            name, member = payload
            return _expect(name, enum.Enum)[member]
        if code == LEAF:
            name, value = payload
            cls = find_type(name)
            if cls not in LEAVES:
                raise DecodeError(f"{name} is no plain value")
            return msgspec.convert(value, cls)
        if code == TYPE:
            return find_type(payload)
        if code == BIG:
            return int(payload, 16)
        raise DecodeError(f"unknown code {code!r} in a message")

    def _record(self, name: str, fields: dict[str, Any]) -> Any:
        cls = find_type(name)
        if not is_record(cls):
            raise DecodeError(f"{name} is no message class: expected a struct or dataclass")
        return cls(**{key: self.read(value) for key, value in fields.items()})


def _expect(name: str, base: Any) -> Any:
    cls = find_type(name)
    if not issubclass(cls, base):
        raise DecodeError(f"expected {name} to be a {base.__name__}")
    return cls


def as_kind(kind: Any, data: Any) -> Any:
    """The value of a kind that these bytes are; a Payload takes a block over, uncopied."""
    if kind is _native.Payload:
        return data.lend() if isinstance(data, _native.Block) else kind(data)
    return memoryview(data).toreadonly() if kind is memoryview else kind(data)


def take_buffer(buffers: list[Any], index: int) -> Any:
    """The buffer of that number; raises DecodeError if the frame has none such."""
    if not 0 <= index < len(buffers):
        raise DecodeError(f"a message names buffer {index}, but has {len(buffers)}")
    return buffers[index]
