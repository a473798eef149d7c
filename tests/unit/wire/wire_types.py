"""Message classes of the wire tests, where other modules can import them."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import uuid
from typing import Any

import actinium as ac


class Colour(enum.Enum):
    RED = "red"
    BLUE = 2


class Add(ac.Message):
    n: int


class Shape(ac.Message):
    name: str


class Circle(Shape):
    radius: float


class Drawing(ac.Message):
    first: Shape
    more: tuple[Shape, ...] = ()


class Loose(ac.Message):
    value: Any
    other: object = None


class Rich(ac.Message):
    when: datetime.datetime
    price: decimal.Decimal
    id: uuid.UUID
    colour: Colour
    names: frozenset[str]
    table: dict[str, tuple[int, ...]]


class Blob(ac.Message):
    name: str
    data: bytes
    view: memoryview = memoryview(b"")


@dataclasses.dataclass(frozen=True)
class Point:
    x: int
    y: int = 0


class Near(ac.Message):
    to: ac.Ref


class Broken(Exception):
    def __init__(self, code: int, why: str) -> None:
        super().__init__(f"{code}: {why}")
        self.code = code
        self.why = why
