"""Every store equals a dictionary, whatever is called in whatever order."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from actinium.errors import SequenceConflict
from actinium.store import MemoryStore, Record, SqliteStore, Store

KEYS = st.sampled_from(["a", "a/b", "a/b\0", "ab", "\U0010ffff"]) | st.text(
    st.characters(exclude_categories=["Cs"]), min_size=1, max_size=4
)
VALUES = st.binary(max_size=20)
EXPECT = st.integers(0, 6)


class StoreMachine(RuleBasedStateMachine):
    """Two stores and one model; a SQLite store is also closed and opened again."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory()
        self.records: dict[str, Record] = {}
        self.logs: dict[str, list[bytes]] = {}

    @initialize()
    def open(self) -> None:
        self.path = Path(self.folder.name) / "state.db"
        self.stores: list[Store] = [MemoryStore(), self.run(SqliteStore.open(self.path))]

    def run(self, call: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(call)

    def same(self, calls: list[Coroutine[Any, Any, Any]], expected: object) -> None:
        for call in calls:
            try:
                outcome = self.run(call)
            except SequenceConflict as error:
                outcome = ("conflict", error.expected, error.found)
            assert outcome == expected

    @rule(key=KEYS, value=VALUES, expect=EXPECT)
    def save(self, key: str, value: bytes, expect: int) -> None:
        found = self.records[key].revision if key in self.records else 0
        outcome: object = ("conflict", expect, found)
        if found == expect:
            outcome = found + 1
            self.records[key] = Record(found + 1, value)
        self.same([store.save(key, value, expect) for store in self.stores], outcome)

    @rule(key=KEYS, value=VALUES)
    def save_next(self, key: str, value: bytes) -> None:
        self.save(key, value, self.records[key].revision if key in self.records else 0)

    @rule(key=KEYS, items=st.lists(VALUES, max_size=3), expect=EXPECT)
    def append(self, key: str, items: list[bytes], expect: int) -> None:
        found = len(self.logs.get(key, []))
        outcome: object = ("conflict", expect, found)
        if found == expect:
            outcome = found + len(items)
            if items:
                self.logs.setdefault(key, []).extend(items)
        self.same([store.append(key, items, expect) for store in self.stores], outcome)

    @rule(key=KEYS, items=st.lists(VALUES, max_size=3))
    def append_next(self, key: str, items: list[bytes]) -> None:
        self.append(key, items, len(self.logs.get(key, [])))

    @rule(key=KEYS)
    def delete(self, key: str) -> None:
        self.records.pop(key, None)
        self.logs.pop(key, None)
        self.same([store.delete(key) for store in self.stores], None)

    @rule(key=KEYS)
    def load(self, key: str) -> None:
        self.same([store.load(key) for store in self.stores], self.records.get(key))
        self.same([store.last(key) for store in self.stores], len(self.logs.get(key, [])))

    @rule(key=KEYS, after=EXPECT, limit=st.none() | st.integers(1, 4))
    def read(self, key: str, after: int, limit: int | None) -> None:
        items = list(enumerate(self.logs.get(key, []), start=1))[after:][:limit]
        self.same([store.read(key, after, limit) for store in self.stores], items)

    @rule(prefix=st.just("") | KEYS)
    def keys(self, prefix: str) -> None:
        names = self.records.keys() | self.logs.keys()
        expected = sorted(name for name in names if name.startswith(prefix))
        self.same([store.keys(prefix) for store in self.stores], expected)

    @rule()
    def reopen(self) -> None:
        self.run(self.stores[1].close())
        self.stores[1] = self.run(SqliteStore.open(self.path))

    @invariant()
    def every_record_is_there(self) -> None:
        for key, record in self.records.items():
            self.same([store.load(key) for store in self.stores], record)

    def teardown(self) -> None:
        for store in getattr(self, "stores", []):
            self.run(store.close())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()
        self.folder.cleanup()


TestStoreModel = StoreMachine.TestCase
TestStoreModel.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
