"""What an expression can be while a function is compiled, beside a value known only at run time."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..ir.nodes import Root, Value
from ..layout.scalar import Plain


class Lit(NamedTuple):
    """A number known now; it takes the type of what it meets."""

    value: Plain

    @property
    def described(self) -> str:
        return f"the literal {self.value!r}"


class Static(NamedTuple):
    """Something of Python's that is known now: a module, a type, a function."""

    value: Any


class Place(NamedTuple):
    """A part of the state, the message or a buffer: where, not yet what."""

    root: Root
    path: tuple[str | None, ...]
    indices: tuple[Value, ...]
    type: Any


class Ranged(NamedTuple):
    """``range``, ``gpu.prange`` or ``gpu.unroll``: what a ``for`` can run over."""

    kind: str
    low: Value | Lit
    high: Value | Lit
    step: int


Operand = Value | Lit
Known = Value | Lit | Static | Place | Ranged | tuple[Any, ...]


def named(known: Known) -> str:
    """What a value is, for error texts."""
    match known:
        case Lit():
            return known.described
        case Static(value):
            return f"{value!r}"
        case Ranged(kind):
            return f"a {kind}"
        case Place(type=type_):
            return f"{type_!r}"
        case tuple():
            return "a tuple"
        case _:
            return f"{known.type!r}"
