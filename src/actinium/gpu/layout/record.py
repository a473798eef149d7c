"""Records: named fields at fixed offsets, little-endian, naturally aligned, padding explicit.

One :class:`Record` is the only declaration of a layout. The C++ text, the Python view, the table
for people and the 64-bit hash that two sides compare all come from it (LY-1).
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from actinium.errors import LayoutError, LayoutMismatch

from .scalar import Scalar, from_bits, to_bits


class ArrayType(NamedTuple):
    """``Array[T, n]``: n elements of one type, side by side."""

    element: Scalar | Record
    length: int

    def __repr__(self) -> str:
        return f"Array[{self.element!r}, {self.length}]"

    @property
    def size(self) -> int:
        return self.element.size * self.length


Type = Scalar | ArrayType  # or a Record, which is defined below


def alignment(type_: Any) -> int:
    """Bytes to which a field of this type is aligned."""
    if isinstance(type_, Scalar):
        return type_.size
    if isinstance(type_, ArrayType):
        return alignment(type_.element)
    return int(type_.alignment)


class Field(NamedTuple):
    """One field: its place in bytes from the start of the record."""

    name: str
    type: Any
    offset: int


class Record:
    """A layout: name, fields with offsets, size and alignment in bytes.

    Raises:
        LayoutError: no field, or more than 1 GiB.
    """

    def __init__(self, name: str, fields: Mapping[str, Any], python: type | None = None) -> None:
        if not fields:
            raise LayoutError(f"{name} has no field; a layout needs one, such as `value: gpu.i64`")
        self.name = name
        self.python = python
        """The class whose instances :meth:`unpack` makes (None: a plain dict)."""
        placed: list[Field] = []
        offset = 0
        self.alignment = 1
        for field, type_ in fields.items():
            align = alignment(type_)
            self.alignment = max(self.alignment, align)
            offset += -offset % align
            placed.append(Field(field, type_, offset))
            offset += type_.size
        self.fields = tuple(placed)
        self.size: int = offset + -offset % self.alignment
        if self.size > 1 << 30:
            raise LayoutError(f"{name} has {self.size} bytes; a layout holds at most {1 << 30}")
        self.types = {field.name: field.type for field in placed}
        self._codec: struct.Struct | None = None

    def __repr__(self) -> str:
        return self.name

    @property
    def padding(self) -> list[tuple[int, int]]:
        """(offset, bytes) of each hole, the one at the end included."""
        holes, end = [], 0
        for field in self.fields:
            if field.offset > end:
                holes.append((end, field.offset - end))
            end = field.offset + field.type.size
        if self.size > end:
            holes.append((end, self.size - end))
        return holes

    @property
    def description(self) -> str:
        """The layout as canonical text, nested records included; the hash is of this text."""
        parts = [f"{field.name}:{_describe(field.type)}@{field.offset}" for field in self.fields]
        return f"{self.name}{{{';'.join(parts)}}}{self.size}/{self.alignment}"

    @property
    def hash(self) -> int:
        """64 bits (BLAKE2b of :attr:`description`) that two sides compare before they talk."""
        digest = hashlib.blake2b(self.description.encode(), digest_size=8).digest()
        return int.from_bytes(digest, "little")

    @property
    def table(self) -> list[tuple[str, int, int]]:
        """(path, offset, bytes) of each field, nested ones as ``a.b`` and ``a[]``."""
        return list(_table(self, "", 0))

    def check(self, other: Mapping[str, tuple[int, int]], size: int) -> None:
        """Compares with the table another side exports: path -> (offset, bytes).

        Raises:
            LayoutMismatch: names the first field that differs, with both places.
        """
        for path, offset, length in self.table:
            if other.get(path) != (offset, length):
                raise LayoutMismatch(self.name, path, (offset, length), other.get(path))
        if size != self.size:
            raise LayoutMismatch(self.name, "sizeof", self.size, size)

    # Python view

    def _struct(self) -> struct.Struct:
        if self._codec is None:
            self._codec = struct.Struct("<" + "".join(_format(self, self.size)))
            assert self._codec.size == self.size, self.description
        return self._codec

    def pack(self, value: Any) -> bytes:
        """The bytes of an object (or mapping) with these fields; padding is zero.

        Raises:
            LayoutError: a field is missing, does not fit its type, or has the wrong length.
        """
        raw: list[Any] = []
        _flatten(self, value, self.name, raw)
        return self._struct().pack(*raw)

    def unpack(self, data: bytes | bytearray | memoryview) -> Any:
        """The object whose bytes these are.

        Raises:
            LayoutError: not exactly :attr:`size` bytes.
        """
        if len(data) != self.size:
            raise LayoutError(f"{self.name} has {self.size} bytes, got {len(data)}")
        return _build(self, iter(self._struct().unpack(data)))

    @property
    def zero(self) -> Any:
        """The object of all zero bytes."""
        return self.unpack(bytes(self.size))


def _describe(type_: Any) -> str:
    if isinstance(type_, ArrayType):
        return f"{_describe(type_.element)}[{type_.length}]"
    return type_.name if isinstance(type_, Scalar) else type_.description


def _table(record: Record, prefix: str, base: int) -> Iterator[tuple[str, int, int]]:
    for field in record.fields:
        path, offset = prefix + field.name, base + field.offset
        yield path, offset, field.type.size
        inner = field.type
        if isinstance(inner, ArrayType):
            inner, path = inner.element, path + "[]"
        if isinstance(inner, Record):
            yield from _table(inner, path + ".", offset)


def _format(type_: Any, size: int) -> Iterator[str]:
    if isinstance(type_, Scalar):
        yield type_.code
    elif isinstance(type_, ArrayType):
        if isinstance(type_.element, Scalar):
            yield f"{type_.length}{type_.element.code}"
        else:
            yield "".join(_format(type_.element, 0)) * type_.length
    else:
        holes = dict(type_.padding)
        end = 0
        for field in type_.fields:
            if end in holes:
                yield f"{holes[end]}x"
            yield from _format(field.type, 0)
            end = field.offset + field.type.size
        if end in holes:
            yield f"{holes[end]}x"


def _flatten(type_: Any, value: Any, where: str, out: list[Any]) -> None:
    if isinstance(type_, Scalar):
        out.append(_raw(type_, value, where))
    elif isinstance(type_, ArrayType):
        if not hasattr(value, "__len__") or len(value) != type_.length:
            got = f"{len(value)}" if hasattr(value, "__len__") else repr(value)
            raise LayoutError(f"{where} takes {type_.length} elements, got {got}")
        for i, item in enumerate(value):
            _flatten(type_.element, item, f"{where}[{i}]", out)
    else:
        for field in type_.fields:
            path = f"{where}.{field.name}"
            try:
                item = (
                    value[field.name] if isinstance(value, Mapping) else getattr(value, field.name)
                )
            except (AttributeError, KeyError):
                raise LayoutError(f"{path} is missing in {value!r}") from None
            _flatten(field.type, item, path, out)


def _raw(type_: Scalar, value: Any, where: str) -> Any:
    if hasattr(value, "item"):  # a NumPy scalar
        value = value.item()
    if type_.kind == "b":
        if not isinstance(value, bool):
            raise LayoutError(f"{where} is bool32: expected True or False, got {value!r}")
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise LayoutError(f"{where} is {type_}: expected a number, got {value!r}")
    if not type_.is_float:
        if not isinstance(value, int):
            raise LayoutError(f"{where} is {type_}: expected an integer, got {value!r}")
        if not type_.low <= value <= type_.high:
            raise LayoutError(
                f"{where} is {type_}: expected {type_.low}..{type_.high}, got {value}"
            )
        return value
    return to_bits(type_, value if type_.min_cc else type_(value))  # which keeps an infinity


def _build(type_: Any, raw: Iterator[Any]) -> Any:
    if isinstance(type_, Scalar):
        return from_bits(type_, next(raw))
    if isinstance(type_, ArrayType):
        return tuple(_build(type_.element, raw) for _ in range(type_.length))
    values = {field.name: _build(field.type, raw) for field in type_.fields}
    return values if type_.python is None else type_.python(**values)
