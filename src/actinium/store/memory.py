"""A store in this process: for tests, and for state that may end with it."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from actinium.errors import StoreError
from actinium.store._arguments import (
    check_items,
    check_key,
    check_number,
    check_prefix,
    check_value,
    conflict,
)
from actinium.store.protocol import Record


class MemoryStore:
    """Records and logs in dictionaries; they end with the object. See ``Store`` for the calls."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._records: dict[str, Record] = {}
        self._logs: dict[str, list[bytes]] = {}
        self._closed = False

    async def load(self, key: str) -> Record | None:
        """The record under ``key``, or None."""
        check_key(key)
        with self._lock:
            self._check_open()
            return self._records.get(key)

    async def save(self, key: str, value: bytes, expect: int) -> int:
        """Write a record if its revision is ``expect``; return the new revision."""
        check_key(key)
        check_value(value)
        check_number("expect", expect)
        with self._lock:
            self._check_open()
            record = self._records.get(key)
            found = record.revision if record is not None else 0
            if found != expect:
                raise conflict("record", key, expect, found)
            self._records[key] = Record(found + 1, value)
            return found + 1

    async def append(self, key: str, items: Sequence[bytes], expect: int) -> int:
        """Append all ``items`` to a log whose last number is ``expect``; return the new last."""
        check_key(key)
        check_items(items)
        check_number("expect", expect)
        with self._lock:
            self._check_open()
            found = len(self._logs.get(key, ()))
            if found != expect:
                raise conflict("log", key, expect, found)
            if items:
                self._logs.setdefault(key, []).extend(items)
            return found + len(items)

    async def read(
        self, key: str, after: int = 0, limit: int | None = None
    ) -> list[tuple[int, bytes]]:
        """The items of a log with a number above ``after``, at most ``limit`` of them."""
        check_key(key)
        check_number("after", after)
        if limit is not None:
            check_number("limit", limit, least=1)
        with self._lock:
            self._check_open()
            end = None if limit is None else after + limit
            items = self._logs.get(key, [])[after:end]
        return list(enumerate(items, start=after + 1))

    async def last(self, key: str) -> int:
        """The last sequence number of a log, 0 for none."""
        check_key(key)
        with self._lock:
            self._check_open()
            return len(self._logs.get(key, ()))

    async def delete(self, key: str) -> None:
        """Remove the record and the log under ``key``."""
        check_key(key)
        with self._lock:
            self._check_open()
            self._records.pop(key, None)
            self._logs.pop(key, None)

    async def keys(self, prefix: str = "") -> list[str]:
        """All keys that begin with ``prefix``, in code point order."""
        check_prefix(prefix)
        with self._lock:
            self._check_open()
            found = self._records.keys() | self._logs.keys()
        return sorted(key for key in found if key.startswith(prefix))

    async def close(self) -> None:
        """Forget everything."""
        with self._lock:
            self._closed = True
            self._records.clear()
            self._logs.clear()

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError("the memory store is closed: open another one")
