"""Keeps accounts in a store, so that a restart forgets neither usage nor what was spent."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Final, Protocol, TypeVar

import msgspec

from actinium.errors import SequenceConflict, StoreCorrupt, StoreError
from actinium.store import Store

from ..limits.accounts import DAY, Accounts, Line, Spent, Totals

USAGE: Final = "gateway/usage/"
PURSES: Final = "gateway/purses"
KEEP_DAYS: Final = 400

T = TypeVar("T")
_Rows = list[tuple[Line, Totals]]

SAVE_SECONDS: Final = 5.0

_log = logging.getLogger("actinium.keys")


class Spending(Protocol):
    """What was spent of budgets: :class:`Accounts`, or what stands for those of several."""

    def spent(self) -> Spent: ...

    def restore(self, spent: Spent) -> None: ...


class Keeper(Protocol):
    """Takes accounts to where they are kept."""

    async def load(self) -> None: ...

    async def save(self) -> None: ...


class Keeping:
    """Keeps accounts every 5 seconds, and at :meth:`close`."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._task: asyncio.Task[None] | None = None
        self._saving = asyncio.Lock()

    async def open(self) -> None:
        """Takes in what was kept, and begins. Raises StoreError."""
        await self._keeper.load()
        self._task = asyncio.create_task(self._keep())

    async def save(self) -> None:
        """Keeps them now. Raises StoreError."""
        async with self._saving:
            await self._keeper.save()

    async def close(self) -> None:
        """Keeps them for the last time."""
        if self._task is None:
            return
        async with self._saving:  # never in the middle of it: the store would be ahead of us
            self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        self._task = None
        await self._keeper.save()

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(SAVE_SECONDS)
            try:
                await self.save()
            except StoreError as error:
                _log.error("the accounts could not be stored, they will be tried again: %s", error)


class Book:
    """One record a day of what was used, and one of all purses.

    What was reserved by a process that died counts as spent, so that the sum is never below what
    the providers bill. One process writes a book: a second one is told so with StoreError.
    """

    def __init__(self, accounts: Accounts, store: Store, spending: Spending) -> None:
        self._accounts = accounts
        self._spending = spending
        self._store = store
        self._revisions: dict[str, int] = {}
        self._written: dict[str, bytes] = {}
        self._last = 0

    async def load(self) -> None:
        """Adds what is stored to the accounts, and drops days that are too old."""
        today = int(self._accounts.clock()) // DAY
        for place in await self._store.keys(USAGE):
            day = int(place.removeprefix(USAGE))
            if day < today - KEEP_DAYS:
                await self._store.delete(place)
                continue
            for line, totals in await self._read(place, _Rows, []):
                self._accounts.put(line, totals)
        nothing: Spent = {}
        self._spending.restore(await self._read(PURSES, Spent, nothing))
        self._last = today

    async def save(self) -> None:
        """Stores what has changed. Raises StoreError; then it may be tried again."""
        accounts = self._accounts
        today = int(accounts.clock()) // DAY
        for day in range(self._last, today + 1):  # yesterday's last answers as well
            rows = list(accounts.usage(day))
            if rows:
                await self._write(f"{USAGE}{day}", msgspec.json.encode(rows))
        self._last = today
        accounts.forget(today - KEEP_DAYS)
        spent = self._spending.spent()
        if spent:
            await self._write(PURSES, msgspec.json.encode(spent))

    async def _read(self, place: str, kind: type[T], nothing: T) -> T:
        found = await self._store.load(place)
        if found is None:
            return nothing
        self._revisions[place] = found.revision
        self._written[place] = found.value
        try:
            return msgspec.json.decode(found.value, type=kind)
        except msgspec.DecodeError as error:
            raise StoreCorrupt(f"{place!r} in the store is no account: {error}") from error

    async def _write(self, place: str, value: bytes) -> None:
        if self._written.get(place) == value:
            return
        try:
            revision = await self._store.save(place, value, self._revisions.get(place, 0))
        except SequenceConflict as error:
            raise StoreError(
                f"{place!r} was written by another process: each gateway needs a store of its own "
                "for its accounts"
            ) from error
        self._revisions[place] = revision
        self._written[place] = value
