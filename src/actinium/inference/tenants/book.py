"""Keeps accounts in a store, so that a restart forgets neither usage nor what was spent."""

from __future__ import annotations

from typing import Final, TypeVar

import msgspec

from actinium.errors import SequenceConflict, StoreCorrupt, StoreError
from actinium.store import Store

from ..limits.accounts import DAY, Accounts, Line, Totals

USAGE: Final = "gateway/usage/"
PURSES: Final = "gateway/purses"
KEEP_DAYS: Final = 400

T = TypeVar("T")
_Rows = list[tuple[Line, Totals]]
_Spent = dict[str, dict[str, list[tuple[str, int, int, int]]]]


class Book:
    """One record a day of what was used, and one of all purses.

    What was reserved by a process that died counts as spent, so that the sum is never below what
    the providers bill. One process writes a book: a second one is told so with StoreError.
    """

    def __init__(self, accounts: Accounts, store: Store) -> None:
        self._accounts = accounts
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
        nothing: _Spent = {}
        for scope, state in (await self._read(PURSES, _Spent, nothing)).items():
            purse = self._accounts.purses.get(scope)
            if purse is not None:
                purse.merge(state)
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
        spent = {scope: purse.state() for scope, purse in accounts.purses.items()}
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
