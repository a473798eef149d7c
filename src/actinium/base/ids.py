"""Identifiers that nobody can guess and that cost little."""

from __future__ import annotations

import os

_BYTES = 12
_DRAW = _BYTES * 341


class Ids:
    """Makes identifiers: a prefix and 24 hexadecimal digits from the system's random source.

    The source is asked for some 340 identifiers at once, because one system call for each
    request would cost more than the rest of the bookkeeping. An object must not be used on
    both sides of a fork: both would hand out the same rest of a draw.
    """

    __slots__ = ("_at", "_pool")

    def __init__(self) -> None:
        self._pool = ""
        self._at = 0

    def new(self, prefix: str = "") -> str:
        """A fresh identifier, for example ``chatcmpl-5f0c...``."""
        at = self._at
        if at == len(self._pool):
            self._pool = os.urandom(_DRAW).hex()
            at = 0
        self._at = at + 2 * _BYTES
        return prefix + self._pool[at : self._at]
