"""State, messages, arrays and buffers as a handler sees them in the oracle."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..ir.arithmetic import place
from ..layout.record import ArrayType, Record
from ..layout.scalar import Scalar
from .number import inside, plain, there, typed


def opened(type_: Any, value: Any) -> Any:
    """A value as mutable plain data: dicts, lists, numbers."""
    if isinstance(type_, Scalar):
        return value if type_.min_cc else type_(value)
    if isinstance(type_, ArrayType):
        return [opened(type_.element, item) for item in value]
    if isinstance(value, dict):
        return {f.name: opened(f.type, value[f.name]) for f in type_.fields}
    return {f.name: opened(f.type, getattr(value, f.name)) for f in type_.fields}


def closed(type_: Any, value: Any) -> Any:
    """Plain data as the object that ``unpack`` would make."""
    if isinstance(type_, Scalar):
        return value
    if isinstance(type_, ArrayType):
        return tuple(closed(type_.element, item) for item in value)
    values = {f.name: closed(f.type, value[f.name]) for f in type_.fields}
    return values if type_.python is None else type_.python(**values)


def seen(type_: Any, container: Any, key: Any) -> Any:
    """What reading a place gives: a number of its type, or a view."""
    if isinstance(type_, Scalar):
        return there(type_, container[key])
    if isinstance(type_, ArrayType):
        return ArrayView(type_.element, container[key])
    return RecordView(type_, container[key])


def put(type_: Any, container: Any, key: Any, value: Any) -> None:
    """Writes a place; a record is copied into it, so that other views of the place see it."""
    if isinstance(type_, Scalar):
        container[key] = inside(type_, value)
    else:
        _copy(type_, opened(type_, closed(type_, value.data)), container[key])


def _copy(type_: Any, source: Any, target: Any) -> None:
    places = (
        [(i, type_.element) for i in range(type_.length)]
        if isinstance(type_, ArrayType)
        else [(field.name, field.type) for field in type_.fields]
    )
    for key, inner in places:
        if isinstance(inner, Scalar):
            target[key] = source[key]
        else:
            _copy(inner, source[key], target[key])


class RecordView:
    """Fields by name, over plain data."""

    __slots__ = ("data", "record")

    def __init__(self, record: Record, data: dict[str, Any]) -> None:
        object.__setattr__(self, "record", record)
        object.__setattr__(self, "data", data)

    def __getattr__(self, name: str) -> Any:
        return seen(self.record.types[name], self.data, name)

    def __setattr__(self, name: str, value: Any) -> None:
        put(self.record.types[name], self.data, name, value)


class ArrayView:
    """Elements by index, as Python counts them."""

    __slots__ = ("data", "element")

    def __init__(self, element: Any, data: Any) -> None:
        self.element = element
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: Any) -> Any:
        return seen(self.element, self.data, place(int(plain(index)), len(self.data)))

    def __setitem__(self, index: Any, value: Any) -> None:
        put(self.element, self.data, place(int(plain(index)), len(self.data)), value)

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self.data)))


class GridView:
    """A stencil's grid around one cell."""

    __slots__ = ("boundary", "cell", "data", "element", "shape")

    def __init__(
        self, element: Scalar, data: list[Any], shape: tuple[int, ...], boundary: str
    ) -> None:
        self.element = element
        self.data = data
        self.shape = shape
        self.boundary = boundary
        self.cell: tuple[int, ...] = (0,) * len(shape)

    def __getitem__(self, offsets: Any) -> Any:
        flat = 0
        for at, offset, n in zip(self.cell, offsets, self.shape, strict=True):
            i = at + int(plain(offset))
            if not 0 <= i < n:
                if self.boundary == "zero":
                    return typed(self.element, 0)
                i = i % n if self.boundary == "periodic" else min(max(i, 0), n - 1)
            flat = flat * n + i
        return typed(self.element, self.data[flat])
