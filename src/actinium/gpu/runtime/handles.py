"""What a ``gpu.Ref`` stands for: numbers that the host gives out for refs, and takes back."""

from __future__ import annotations

import itertools
from typing import Any

from actinium.core.extra import on_stop

NOBODY = 0


class Handles:
    """Refs by number and numbers by ref, of one runtime. A number is never given out again.

    A ref keeps its number until its actor stops; what is sent to it then goes nowhere, as a
    message to a ref of an actor that has stopped.
    """

    def __init__(self) -> None:
        self._refs: dict[int, Any] = {}
        self._numbers: dict[Any, int] = {}
        self._next = itertools.count(1)

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

    def ref(self, number: int) -> Any | None:
        """The ref with a number; None for 0, and for one whose actor has stopped."""
        return self._refs.get(number)

    def _forget(self, ref: Any, reason: str) -> None:
        number = self._numbers.pop(ref, None)
        if number is not None:
            del self._refs[number]
