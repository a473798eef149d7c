"""A store that works in threads of its own, made known to a virtual clock."""

from __future__ import annotations

from collections.abc import Sequence

from actinium.store import Record, Store

from .loop import VirtualLoop


class OutsideStore:
    """Passes each call on; the virtual clock stands still until it has come back."""

    def __init__(self, store: Store, loop: VirtualLoop) -> None:
        self._store = store
        self._loop = loop

    async def load(self, key: str) -> Record | None:
        """See ``Store.load``."""
        with self._loop.outside():
            return await self._store.load(key)

    async def save(self, key: str, value: bytes, expect: int) -> int:
        """See ``Store.save``."""
        with self._loop.outside():
            return await self._store.save(key, value, expect)

    async def append(self, key: str, items: Sequence[bytes], expect: int) -> int:
        """See ``Store.append``."""
        with self._loop.outside():
            return await self._store.append(key, items, expect)

    async def read(
        self, key: str, after: int = 0, limit: int | None = None
    ) -> list[tuple[int, bytes]]:
        """See ``Store.read``."""
        with self._loop.outside():
            return await self._store.read(key, after, limit)

    async def last(self, key: str) -> int:
        """See ``Store.last``."""
        with self._loop.outside():
            return await self._store.last(key)

    async def delete(self, key: str) -> None:
        """See ``Store.delete``."""
        with self._loop.outside():
            await self._store.delete(key)

    async def keys(self, prefix: str = "") -> list[str]:
        """See ``Store.keys``."""
        with self._loop.outside():
            return await self._store.keys(prefix)

    async def close(self) -> None:
        """See ``Store.close``."""
        with self._loop.outside():
            await self._store.close()
