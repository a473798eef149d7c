"""The file of a SQLite store: how it is made, recognised and opened.

A new store is made whole under another name and then linked to its path. So a file at that path
is never half made, an empty one is one that lost its content, and of two processes that start at
once exactly one makes the store. (SQLite itself takes an empty file for a new database, and
would throw away the log beside it.)
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import tempfile
from pathlib import Path

from actinium.errors import StoreError
from actinium.store._faults import corrupt, translate

APPLICATION = 0x41635374  # "AcSt", in the file's header
VERSION = 1
_LEAST_SIZE = 512  # of a page, and so of a database that was ever written

_SCHEMA = """
CREATE TABLE record (
  key TEXT PRIMARY KEY NOT NULL, revision INTEGER NOT NULL,
  value BLOB NOT NULL, checksum BLOB NOT NULL
);
CREATE TABLE log (
  key TEXT NOT NULL, seq INTEGER NOT NULL,
  value BLOB NOT NULL, checksum BLOB NOT NULL,
  PRIMARY KEY (key, seq)
) WITHOUT ROWID;
"""


def connect(path: Path, wait: float) -> sqlite3.Connection:
    """Open the store at ``path``, making it if there is no file; ``wait`` seconds for locks."""
    try:
        if not path.exists():
            _create(path)
        elif not path.is_file():
            raise StoreError(f"{path}: expected a file for the store, got something else")
        elif (size := path.stat().st_size) < _LEAST_SIZE:
            raise corrupt(
                path, f"expected an Actinium store, got a file of {size} bytes (truncated)"
            )
    except OSError as error:
        raise StoreError(
            f"{path}: the store cannot be made or opened: {error.strerror or error}. The directory "
            "must exist and be writable for this user"
        ) from error
    try:
        return _open(path, wait)
    except sqlite3.Error as error:
        raise translate(error, path, wait) from error


def _open(path: Path, wait: float) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=wait, isolation_level=None)
    try:
        application = db.execute("PRAGMA application_id").fetchone()[0]
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if application != APPLICATION:
            raise corrupt(path, "expected an Actinium store, got another program's database")
        if version != VERSION:
            raise StoreError(
                f"{path}: expected format {VERSION} of the store, got {version}; it was written by "
                "another version of Actinium: use that version"
            )
        mode = db.execute("PRAGMA journal_mode=WAL").fetchone()[0]
        if mode != "wal":
            raise StoreError(
                f"{path}: SQLite cannot keep its write-ahead log here (journal mode {mode}); "
                "choose a path on a local disk"
            )
        # FULL: a commit returns after the log was flushed to the disk. fullfsync: also through
        # the drive's cache on macOS, where fsync alone does not; elsewhere without effect.
        db.execute("PRAGMA synchronous=FULL")
        db.execute("PRAGMA fullfsync=ON")
        _check_length(db, path)
    except BaseException:
        db.close()
        raise
    return db


def _check_length(db: sqlite3.Connection, path: Path) -> None:
    # A file cut at a page boundary opens without complaint until a missing page is asked for.
    # Pages that were never moved out of the log are not missing: only without one does it tell.
    pages = db.execute("PRAGMA page_count").fetchone()[0]
    size = db.execute("PRAGMA page_size").fetchone()[0]
    wal = path.with_name(path.name + "-wal")
    if (not wal.exists() or wal.stat().st_size == 0) and path.stat().st_size < pages * size:
        raise corrupt(path, f"expected {pages * size} bytes, got {path.stat().st_size} (truncated)")


def _create(path: Path) -> None:
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".new", dir=path.parent)
    os.close(handle)
    try:
        with contextlib.closing(sqlite3.connect(name, isolation_level=None)) as db:
            db.execute("PRAGMA journal_mode=WAL")
            db.execute(f"PRAGMA application_id={APPLICATION}")
            db.execute(f"PRAGMA user_version={VERSION}")
            db.executescript(f"BEGIN;{_SCHEMA}COMMIT;")
        _flush(Path(name))
        with contextlib.suppress(FileExistsError):  # another process was first: use its file
            os.link(name, path)
        _flush(path.parent)
    except sqlite3.Error as error:
        raise translate(error, path, 0.0) from error
    finally:
        for leftover in (name, f"{name}-wal", f"{name}-shm"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(leftover)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
