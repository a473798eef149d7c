"""What happened in a test, one line each: the log that a seed repeats byte for byte (TK-1)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def shown(thing: object) -> str:
    """A thing as text that is the same in every process."""
    return _ADDRESS.sub("", repr(thing))


class Events:
    """Lines of text with the virtual time they were written at."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lines: list[str] = []

    def add(self, text: str) -> None:
        """Writes one line."""
        self._lines.append(f"{self._clock():.6f} {text}")

    def __len__(self) -> int:
        return len(self._lines)

    def __iter__(self) -> Iterator[str]:
        return iter(self._lines)

    def text(self) -> str:
        """The whole log."""
        return "".join(f"{line}\n" for line in self._lines)
