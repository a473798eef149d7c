"""What stands between a system under test and its store."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

from actinium.store import MemoryStore, Record, Store

from .faults import Faults
from .loop import VirtualLoop

T = TypeVar("T")


class WatchedStore:
    """Passes each call on, over the points ``store.read``, ``store.write`` and ``store.written``.

    A store that works in threads of its own is made known to the virtual clock, which stands
    still until a call has come back.
    """

    def __init__(self, store: Store, loop: VirtualLoop, faults: Faults) -> None:
        self._store = store
        self._faults = faults
        if isinstance(store, MemoryStore):
            self._outside: Callable[[], AbstractContextManager[None]] = nullcontext
        else:
            loop.refuse_outside(f"a {type(store).__name__} works in a thread of its own")
            self._outside = loop.outside

    async def _strike(self, point: str, key: str) -> None:
        struck = self._faults.at(point, key)
        if struck is None:
            return
        if struck.kind == "fail":
            raise struck.error
        await asyncio.sleep(struck.seconds)

    async def _call(self, call: Awaitable[T]) -> T:
        with self._outside():
            return await call

    async def _read(self, key: str, call: Callable[[], Awaitable[T]]) -> T:
        await self._strike("store.read", key)
        return await self._call(call())

    async def _write(self, key: str, call: Callable[[], Awaitable[T]]) -> T:
        await self._strike("store.write", key)
        outcome = await self._call(call())
        await self._strike("store.written", key)
        return outcome

    async def load(self, key: str) -> Record | None:
        """See ``Store.load``."""
        return await self._read(key, lambda: self._store.load(key))

    async def save(self, key: str, value: bytes, expect: int) -> int:
        """See ``Store.save``."""
        return await self._write(key, lambda: self._store.save(key, value, expect))

    async def append(self, key: str, items: Sequence[bytes], expect: int) -> int:
        """See ``Store.append``."""
        return await self._write(key, lambda: self._store.append(key, items, expect))

    async def read(
        self, key: str, after: int = 0, limit: int | None = None
    ) -> list[tuple[int, bytes]]:
        """See ``Store.read``."""
        return await self._read(key, lambda: self._store.read(key, after, limit))

    async def last(self, key: str) -> int:
        """See ``Store.last``."""
        return await self._read(key, lambda: self._store.last(key))

    async def delete(self, key: str) -> None:
        """See ``Store.delete``."""
        await self._write(key, lambda: self._store.delete(key))

    async def keys(self, prefix: str = "") -> list[str]:
        """See ``Store.keys``."""
        return await self._read(prefix, lambda: self._store.keys(prefix))

    async def close(self) -> None:
        """See ``Store.close``."""
        await self._call(self._store.close())
