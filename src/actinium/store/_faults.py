"""SQLite's result codes as errors of this package, with the file and what to do."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from actinium.errors import StoreCorrupt, StoreError

_ADVICE = {
    sqlite3.SQLITE_READONLY: "it cannot be written: give this user the right to write the file "
    "and its directory, or choose another path",
    sqlite3.SQLITE_FULL: "no room is left on its disk; what was acknowledged before is safe",
    sqlite3.SQLITE_IOERR: "its disk failed to read or write; what was acknowledged before is safe",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened: see that the directory exists and that this "
    "user may read and write it",
    sqlite3.SQLITE_PERM: "this user may not access it",
    sqlite3.SQLITE_NOMEM: "memory ran out",
}


def locked(path: Path, waited: float) -> StoreError:
    """Somebody else held the write lock for too long."""
    return StoreError(
        f"{path}: locked by another process or connection for longer than {waited:g} s; stop the "
        "other writer or open the store with a larger wait="
    )


def corrupt(path: Path, found: str) -> StoreCorrupt:
    """The file holds something else than was written."""
    return StoreCorrupt(
        f"{path}: {found}; nothing was changed. Restore the file (with its -wal) from a backup, "
        "or move it away to begin with an empty store"
    )


def translate(error: sqlite3.Error, path: Path, waited: float) -> StoreError:
    """The error to raise for one of SQLite's; the caller chains the original."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return locked(path, waited)
    if code == sqlite3.SQLITE_NOTADB:
        return corrupt(path, "expected an Actinium store, got a file that is not SQLite")
    if code == sqlite3.SQLITE_CORRUPT:
        return corrupt(path, f"the file is damaged ({error})")
    advice = _ADVICE.get(code, "SQLite refused the operation")
    return StoreError(f"{path}: {advice} ({error})")
