"""What every store does: the seam between actors that keep state and the place it is kept in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Record:
    """The value under a key; ``revision`` counts its writes from 1."""

    revision: int
    value: bytes


class Store(Protocol):
    """Records with compare-and-set, and append-only logs, under keys of text.

    A record and a log may share one key. When a write returns, it is as durable as the store
    promises. Calls are safe from any event loop in any thread. A call that is cancelled may
    still be carried out.

    All methods raise ``UsageError`` for a malformed argument (a key is 1 to 512 bytes of UTF-8, a
    value at most 256 MiB), ``StoreError`` when the store is closed or cannot read or write, and
    ``StoreCorrupt`` for data that is not what was written. After a ``StoreError`` from a write the
    outcome is unknown: load again before deciding.
    """

    async def load(self, key: str) -> Record | None:
        """The record under ``key``, or None."""
        ...

    async def save(self, key: str, value: bytes, expect: int) -> int:
        """Write a record if its revision is ``expect`` (0: there is none); return the new one.

        Raises:
            SequenceConflict: another writer was first; it holds ``expected`` and ``found``.
        """
        ...

    async def append(self, key: str, items: Sequence[bytes], expect: int) -> int:
        """Append all ``items`` or none to a log whose last sequence number is ``expect``.

        Numbers run from 1 without a gap; 0 means that the log is empty. Returns the new last.

        Raises:
            SequenceConflict: the log has another last number; it holds ``expected`` and ``found``.
        """
        ...

    async def read(
        self, key: str, after: int = 0, limit: int | None = None
    ) -> list[tuple[int, bytes]]:
        """The items of a log with a number above ``after``, in order, at most ``limit`` of them."""
        ...

    async def last(self, key: str) -> int:
        """The last sequence number of a log, 0 for none."""
        ...

    async def delete(self, key: str) -> None:
        """Remove the record and the log under ``key``; both begin again at 1. No key, no error."""
        ...

    async def keys(self, prefix: str = "") -> list[str]:
        """All keys that begin with ``prefix`` and have a record or a log, in code point order."""
        ...

    async def close(self) -> None:
        """Finish what was asked before and let go of all resources. May be called again."""
        ...
