"""Bytes that outlive the process: records with revisions and append-only logs, by key."""

from actinium.store.memory import MemoryStore
from actinium.store.protocol import Record, Store
from actinium.store.sqlite import SqliteStore

__all__ = ["MemoryStore", "Record", "SqliteStore", "Store"]
