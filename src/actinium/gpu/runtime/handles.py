"""What a ``gpu.Ref`` stands for: numbers that the host gives out for refs, and takes back."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from actinium.core.extra import on_stop

from ..layout.record import ArrayType, Record
from ..layout.scalar import REF

NOBODY = 0
Own = Callable[[int], Any]


class Handles:
    """Refs by number and numbers by ref, of one runtime. A number is never given out again.

    Numbers below 2**32 are none of these: a device may name an actor of its own launch by its handle
    (word 1 of a message to it); ``own`` then says whose that is.

    A ref keeps its number until its actor stops; what is sent to it then goes nowhere, as a
    message to a ref of an actor that has stopped.
    """

    def __init__(self) -> None:
        self._refs: dict[int, Any] = {}
        self._numbers: dict[Any, int] = {}
        self._next = itertools.count(1 << 32)

    def __len__(self) -> int:
        return len(self._refs)

    def number(self, ref: Any) -> int:
        """The number of a ref; 0 for None."""
        if ref is None:
            return NOBODY
        found = self._numbers.get(ref)
        if found is None:
            found = self._numbers[ref] = next(self._next)
            self._refs[found] = ref
            on_stop(ref, self._forget)
        return found

    def ref(self, number: int, own: Own | None = None) -> Any | None:
        """The ref with a number; None for 0, and for one whose actor has stopped."""
        if number >> 32 == 0 and number and own is not None:
            return own(number)
        return self._refs.get(number)

    def lowered(self, message: Any) -> Any:
        """A message with numbers in its ``gpu.Ref`` fields, where it has refs or None."""
        return self._lowered(message, type(message).__gpu_record__)

    def _lowered(self, value: Any, type_: Any) -> Any:
        if type_ is REF:
            return value if isinstance(value, int) else self.number(value)
        if not holds_refs(type_):
            return value
        if isinstance(type_, ArrayType):
            return [self._lowered(item, type_.element) for item in value]
        return {f.name: self._lowered(getattr(value, f.name), f.type) for f in type_.fields}

    def raised(self, value: Any, type_: Any, own: Own) -> Any:
        """A value of a device with refs in its ``gpu.Ref`` fields; None for those who are gone."""
        if type_ is REF:
            return self.ref(value, own)
        if not holds_refs(type_):
            return value
        if isinstance(type_, ArrayType):
            return tuple(self.raised(item, type_.element, own) for item in value)
        fields = {f.name: self.raised(getattr(value, f.name), f.type, own) for f in type_.fields}
        return type_.python(**fields) if type_.python is not None else fields

    def _forget(self, ref: Any, reason: str) -> None:
        number = self._numbers.pop(ref, None)
        if number is not None:
            del self._refs[number]


_known: dict[int, tuple[Any, bool]] = {}


def holds_refs(type_: Any) -> bool:
    """Whether there is a ``gpu.Ref`` in a type."""
    if type_ is REF:
        return True
    if isinstance(type_, ArrayType):
        return holds_refs(type_.element)
    if not isinstance(type_, Record):
        return False
    found = _known.get(id(type_))
    if found is None:  # kept with its type, whose id is then nobody else's
        found = _known[id(type_)] = (type_, any(holds_refs(f.type) for f in type_.fields))
    return found[1]
