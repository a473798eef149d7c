"""The statements of a SQLite store: each function is one call of ``Store`` on a connection.

Every row carries a blake2b-128 checksum over its key, number and value, which is verified when
it is read: a damaged or misplaced row is never handed out as data.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Sequence

from actinium.store._arguments import conflict
from actinium.store.protocol import Record


class DamagedRow(Exception):
    """A row fails its checksum or is missing; internal, becomes ``StoreCorrupt`` with the file."""


def load(db: sqlite3.Connection, key: str) -> Record | None:
    """The record under ``key``, verified."""
    row = db.execute("SELECT revision, value, checksum FROM record WHERE key=?", (key,)).fetchone()
    if row is None:
        return None
    revision, value, checksum = row
    if checksum != _checksum(key, revision, value):
        raise DamagedRow(f"record {key!r} at revision {revision} fails its checksum")
    return Record(revision, value)


def save(db: sqlite3.Connection, key: str, value: bytes, expect: int) -> int:
    """Compare and set; nothing is written when it raises ``SequenceConflict``."""
    row = db.execute("SELECT revision FROM record WHERE key=?", (key,)).fetchone()
    found = row[0] if row is not None else 0
    if found != expect:
        raise conflict("record", key, expect, found)
    revision = found + 1
    db.execute(
        "INSERT INTO record VALUES (?1, ?2, ?3, ?4) ON CONFLICT (key) "
        "DO UPDATE SET revision=?2, value=?3, checksum=?4",
        (key, revision, value, _checksum(key, revision, value)),
    )
    return revision


def append(db: sqlite3.Connection, key: str, items: Sequence[bytes], expect: int) -> int:
    """Append in order; nothing is written when it raises ``SequenceConflict``."""
    found = last(db, key)
    if found != expect:
        raise conflict("log", key, expect, found)
    db.executemany(
        "INSERT INTO log VALUES (?, ?, ?, ?)",
        (
            (key, seq, item, _checksum(key, seq, item))
            for seq, item in enumerate(items, start=found + 1)
        ),
    )
    return found + len(items)


def read(
    db: sqlite3.Connection, key: str, after: int, limit: int | None
) -> list[tuple[int, bytes]]:
    """Items above ``after``, each verified, and their numbers without a gap."""
    rows = db.execute(
        "SELECT seq, value, checksum FROM log WHERE key=? AND seq>? ORDER BY seq LIMIT ?",
        (key, after, -1 if limit is None else limit),
    )
    items: list[tuple[int, bytes]] = []
    for seq, value, checksum in rows:
        expected = after + 1 + len(items)
        if seq != expected:
            raise DamagedRow(f"log {key!r} lacks number {expected} (the next is {seq})")
        if checksum != _checksum(key, seq, value):
            raise DamagedRow(f"log {key!r} number {seq} fails its checksum")
        items.append((seq, value))
    return items


def last(db: sqlite3.Connection, key: str) -> int:
    """The last number of a log, 0 for none."""
    number = db.execute("SELECT max(seq) FROM log WHERE key=?", (key,)).fetchone()[0]
    return int(number or 0)


def delete(db: sqlite3.Connection, key: str) -> None:
    """Remove both kinds."""
    db.execute("DELETE FROM record WHERE key=?", (key,))
    db.execute("DELETE FROM log WHERE key=?", (key,))


# Each step seeks the next key in the log's index: work by the number of keys, not of items.
_KEYS = """
WITH RECURSIVE logged(key) AS (
  SELECT min(key) FROM log WHERE key >= :first
  UNION ALL
  SELECT (SELECT min(log.key) FROM log WHERE log.key > logged.key)
  FROM logged WHERE logged.key IS NOT NULL AND (:stop IS NULL OR logged.key < :stop)
)
SELECT key FROM logged WHERE key IS NOT NULL AND (:stop IS NULL OR key < :stop)
UNION
SELECT key FROM record WHERE key >= :first AND (:stop IS NULL OR key < :stop)
ORDER BY key
"""


def keys(db: sqlite3.Connection, prefix: str) -> list[str]:
    """Keys that begin with ``prefix``, in code point order (SQLite compares UTF-8 bytes)."""
    rows = db.execute(_KEYS, {"first": prefix, "stop": after_prefix(prefix)})
    return [row[0] for row in rows]


def after_prefix(prefix: str) -> str | None:
    """The least text above all that begin with ``prefix``; None when nothing is above."""
    for end in range(len(prefix), 0, -1):
        code = ord(prefix[end - 1]) + 1
        if code == 0xD800:  # surrogates are no characters of their own
            code = 0xE000
        if code <= 0x10FFFF:
            return prefix[: end - 1] + chr(code)
    return None


def _checksum(key: str, number: int, value: bytes) -> bytes:
    name = key.encode()
    digest = hashlib.blake2b(digest_size=16)
    digest.update(len(name).to_bytes(4, "little"))
    digest.update(name)
    digest.update(number.to_bytes(8, "little"))
    digest.update(value)
    return digest.digest()
