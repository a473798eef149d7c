"""What the workers of one gateway used together, kept by the first process."""

from __future__ import annotations

from collections.abc import Sequence

from actinium.inference.limits import Accounts
from actinium.inference.limits.mirror import Mirror
from actinium.inference.tenants.book import Book, Keeping
from actinium.store import Store


class Ledger:
    """Accounts, and what was spent of budgets; with a ``store`` a restart forgets neither.

    ``nodes`` are the workers' names: each of them goes on with an equal part of what had been
    spent before.
    """

    def __init__(self, store: Store | None, nodes: Sequence[str]) -> None:
        self.accounts = Accounts()
        self.mirror = Mirror(nodes)
        self._keeping = Keeping(Book(self.accounts, store, self.mirror)) if store else None

    async def open(self) -> None:
        """Reads what is stored, and stores it now and then from now on. Raises StoreError."""
        if self._keeping is not None:
            await self._keeping.open()

    async def close(self) -> None:
        """Stores it for the last time."""
        if self._keeping is not None:
            await self._keeping.close()
