"""The embedded store: one SQLite file, durable at every reply."""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import sqlite3
import threading
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from actinium.errors import StoreError
from actinium.store import _rows
from actinium.store._arguments import (
    check_items,
    check_key,
    check_number,
    check_prefix,
    check_value,
)
from actinium.store._faults import corrupt, translate
from actinium.store._schema import connect
from actinium.store._worker import Job, Worker
from actinium.store.protocol import Record

_logger = logging.getLogger("actinium.store")
T = TypeVar("T")


class SqliteStore:
    """Records and logs in one SQLite file in WAL mode. See ``Store`` for the calls.

    A write returns after its commit was flushed to the disk (``synchronous=FULL``), so it
    survives the end of the process and a loss of power (PS-1). One thread writes and commits
    everything that is queued at once, so a hundred concurrent writers share one flush; a second
    one reads. Several processes may open one file; each compare-and-set holds among them (PS-3).
    The file must be on a local disk: SQLite's WAL needs memory shared between its users.

        store = await SqliteStore.open("state.db")
    """

    def __init__(self, path: str | os.PathLike[str], *, wait: float = 5.0) -> None:
        self._path = Path(path).absolute()
        self._lock = threading.Lock()  # between a call's put and close's stop
        self._closed = False
        name = self._path.name
        open_file = functools.partial(connect, self._path, wait)
        commit = functools.partial(_commit, self._path, wait)
        query = functools.partial(_query, self._path, wait)
        self._writer = Worker(f"actinium-store-write {name}", open_file, commit)
        self._reader = Worker(f"actinium-store-read {name}", open_file, query)

    @classmethod
    async def open(cls, path: str | os.PathLike[str], *, wait: float = 5.0) -> SqliteStore:
        """Open the store at ``path``, making it if there is no file.

        ``wait`` is how many seconds a call waits for another process that holds the lock. (A store
        made by the constructor is opened as well, but tells of errors only in its first call.)

        Raises:
            StoreCorrupt: the file is damaged, truncated or not a store.
            StoreError: it cannot be made, read or written.
        """
        store = cls(path, wait=wait)
        try:
            for worker in (store._writer, store._reader):
                await store._ask(worker, _no_operation)
        except BaseException:
            await store.close()
            raise
        return store

    @property
    def path(self) -> Path:
        """The file, absolute."""
        return self._path

    async def load(self, key: str) -> Record | None:
        """The record under ``key``, or None."""
        check_key(key)
        return await self._ask(self._reader, lambda db: _rows.load(db, key))

    async def save(self, key: str, value: bytes, expect: int) -> int:
        """Write a record if its revision is ``expect``; return the new revision."""
        check_key(key)
        check_value(value)
        check_number("expect", expect)
        return await self._ask(self._writer, lambda db: _rows.save(db, key, value, expect))

    async def append(self, key: str, items: Sequence[bytes], expect: int) -> int:
        """Append all ``items`` to a log whose last number is ``expect``; return the new last."""
        check_key(key)
        check_items(items)
        check_number("expect", expect)
        own = tuple(items)  # the caller may change its list while the write is queued
        return await self._ask(self._writer, lambda db: _rows.append(db, key, own, expect))

    async def read(
        self, key: str, after: int = 0, limit: int | None = None
    ) -> list[tuple[int, bytes]]:
        """The items of a log with a number above ``after``, at most ``limit`` of them."""
        check_key(key)
        check_number("after", after)
        if limit is not None:
            check_number("limit", limit, least=1)
        return await self._ask(self._reader, lambda db: _rows.read(db, key, after, limit))

    async def last(self, key: str) -> int:
        """The last sequence number of a log, 0 for none."""
        check_key(key)
        return await self._ask(self._reader, lambda db: _rows.last(db, key))

    async def delete(self, key: str) -> None:
        """Remove the record and the log under ``key``."""
        check_key(key)
        await self._ask(self._writer, lambda db: _rows.delete(db, key))

    async def keys(self, prefix: str = "") -> list[str]:
        """All keys that begin with ``prefix``, in code point order."""
        check_prefix(prefix)
        return await self._ask(self._reader, lambda db: _rows.keys(db, prefix))

    async def close(self) -> None:
        """Finish what was asked before, then close the file and end both threads."""
        with self._lock:
            self._closed = True
        # One after the other: the last connection to close folds the log into the file, and two
        # that close at the same moment each take the other for one that stays.
        for worker in (self._reader, self._writer):
            worker.stop()
            await asyncio.to_thread(worker.join)

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            warnings.warn(
                f"{self._path}: the store was not closed; await store.close()",
                ResourceWarning,
                stacklevel=2,
                source=self,
            )
            self._writer.stop()
            self._reader.stop()

    async def _ask(self, worker: Worker, run: Callable[[sqlite3.Connection], T]) -> T:
        job = Job(run)
        with self._lock:
            if self._closed:
                raise StoreError(f"{self._path}: the store is closed: open it again")
            worker.put(job)
        outcome: T = await job.future
        return outcome


def _no_operation(db: sqlite3.Connection) -> None:
    pass


def _commit(path: Path, wait: float, db: sqlite3.Connection, jobs: list[Job]) -> None:
    """Group commit: all jobs in one transaction, and nobody is answered before its end.

    A job refused for its sequence number has written nothing and does not touch the others. Any
    error of SQLite undoes the whole batch, and every job of it fails.
    """
    try:
        db.execute("BEGIN IMMEDIATE")
        for job in jobs:
            try:
                job.result = job.run(db)
            except StoreError as error:
                job.error = error
        db.execute("COMMIT")
    except sqlite3.Error as error:
        _roll_back(path, db)
        for job in jobs:
            _fail(job, translate(error, path, wait), error)
    except BaseException:
        _roll_back(path, db)
        raise


def _query(path: Path, wait: float, db: sqlite3.Connection, jobs: list[Job]) -> None:
    """Each job is one SELECT, so it sees one committed state."""
    for job in jobs:
        try:
            job.result = job.run(db)
        except _rows.DamagedRow as error:
            _fail(job, corrupt(path, str(error)), error)
        except sqlite3.Error as error:
            _fail(job, translate(error, path, wait), error)


def _fail(job: Job, error: StoreError, cause: Exception) -> None:
    error.__cause__ = cause
    job.error = error


def _roll_back(path: Path, db: sqlite3.Connection) -> None:
    if not db.in_transaction:
        return
    try:
        db.execute("ROLLBACK")
    except sqlite3.Error:
        # SQLite rolls back by itself for most errors; the batch is reported as failed either way.
        _logger.warning("%s: rolling back failed", path, exc_info=True)
