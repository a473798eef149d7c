"""One body over every store: what ``Store`` promises."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from actinium.errors import SequenceConflict, StoreError, UsageError
from actinium.store import MemoryStore, Record, SqliteStore, Store
from actinium.store.redis import RedisStore
from actinium.testkit.redis import INSTALLED, RedisServer

Body = Callable[[Store], Awaitable[None]]
Run = Callable[[Body], None]


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    if not INSTALLED:
        pytest.skip("redis-server is not installed; on Debian: apt-get install redis-server")
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server
    server.kill()


@pytest.fixture(params=["memory", "sqlite", "redis"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    """Runs a coroutine function with an open store of each kind, and closes it."""

    async def with_store(body: Body) -> None:
        store: Store
        if request.param == "memory":
            store = MemoryStore()
        elif request.param == "redis":
            server: RedisServer = request.getfixturevalue("redis")
            store = await RedisStore.open(server.url, prefix=tmp_path.name)
        else:
            store = await SqliteStore.open(tmp_path / "state.db")
        try:
            await body(store)
        finally:
            await store.close()

    return lambda body: asyncio.run(with_store(body))


def test_a_record_counts_its_revisions(run: Run) -> None:
    async def body(store: Store) -> None:
        assert await store.load("k") is None
        assert await store.save("k", b"one", 0) == 1
        assert await store.save("k", b"", 1) == 2
        assert await store.load("k") == Record(2, b"")

    run(body)


@pytest.mark.parametrize("expect", [0, 1, 3])
def test_ps_3_a_stale_save_is_refused_and_writes_nothing(run: Run, expect: int) -> None:
    async def body(store: Store) -> None:
        await store.save("k", b"one", 0)
        await store.save("k", b"two", 1)
        with pytest.raises(SequenceConflict, match="another writer was first") as caught:
            await store.save("k", b"x", expect)
        assert (caught.value.expected, caught.value.found) == (expect, 2)
        assert await store.load("k") == Record(2, b"two")

    run(body)


def test_a_log_numbers_its_items_from_one(run: Run) -> None:
    async def body(store: Store) -> None:
        assert await store.last("k") == 0
        assert await store.read("k") == []
        assert await store.append("k", [b"a", b"b"], 0) == 2
        assert await store.append("k", [], 2) == 2
        assert await store.append("k", (b"",), 2) == 3
        assert await store.last("k") == 3
        assert await store.read("k") == [(1, b"a"), (2, b"b"), (3, b"")]
        assert await store.read("k", after=1, limit=1) == [(2, b"b")]
        assert await store.read("k", after=3) == []
        assert await store.read("k", after=99) == []

    run(body)


@pytest.mark.parametrize("expect", [0, 1, 3])
def test_ps_3_a_stale_append_is_refused_and_writes_nothing(run: Run, expect: int) -> None:
    async def body(store: Store) -> None:
        await store.append("k", [b"a", b"b"], 0)
        for items in ([b"x", b"y"], []):
            with pytest.raises(SequenceConflict) as caught:
                await store.append("k", items, expect)
            assert (caught.value.expected, caught.value.found) == (expect, 2)
        assert await store.last("k") == 2

    run(body)


def test_delete_removes_record_and_log_and_begins_again(run: Run) -> None:
    async def body(store: Store) -> None:
        await store.save("k", b"v", 0)
        await store.append("k", [b"a"], 0)
        await store.save("other", b"v", 0)
        await store.delete("k")
        await store.delete("k")
        assert await store.load("k") is None
        assert await store.last("k") == 0
        assert await store.keys() == ["other"]
        assert await store.save("k", b"new", 0) == 1
        assert await store.append("k", [b"new"], 0) == 1

    run(body)


def test_keys_come_in_code_point_order_and_only_with_the_prefix(run: Run) -> None:
    async def body(store: Store) -> None:
        names = ["a", "a/1", "a/10", "a/2", "a0", "b", "ä", "a/\U0001f600", "a/\uffff"]
        names += ["\U0010ffff", "\U0010ffffz", "with\0nul", "%", "_"]
        for i, name in enumerate(names):
            if i % 3 != 1:
                await store.save(name, b"v", 0)
            if i % 3 != 0:
                await store.append(name, [b"x"] * 3, 0)
        assert await store.keys() == sorted(names)
        for prefix in ("a", "a/", "a/1", "\U0010ffff", "%", "zz", "with\0"):
            expected = sorted(name for name in names if name.startswith(prefix))
            assert await store.keys(prefix) == expected, prefix

    run(body)


def test_ps_3_of_many_writers_one_wins_each_number(run: Run) -> None:
    async def body(store: Store) -> None:
        async def writer(name: int) -> int:
            wins = 0
            for _ in range(20):
                last = await store.last("k")
                try:
                    await store.append("k", [b"%d" % name], last)
                except SequenceConflict:
                    continue
                wins += 1
            return wins

        wins = await asyncio.gather(*(writer(i) for i in range(8)))
        items = await store.read("k")
        assert [seq for seq, _ in items] == list(range(1, sum(wins) + 1))
        for name, won in enumerate(wins):
            assert sum(item == b"%d" % name for _, item in items) == won

    run(body)


def test_one_store_serves_event_loops_in_several_threads(run: Run) -> None:
    async def body(store: Store) -> None:
        async def fill(name: int) -> None:
            for i in range(20):
                await store.append(f"log/{name}", [b"%d" % i], i)

        threads = [
            threading.Thread(target=lambda name=i: asyncio.run(fill(name))) for i in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            await asyncio.to_thread(thread.join)
        assert await store.keys("log/") == [f"log/{i}" for i in range(4)]
        for i in range(4):
            assert await store.last(f"log/{i}") == 20

    run(body)


def test_the_list_given_to_append_may_change_at_once(run: Run) -> None:
    async def body(store: Store) -> None:
        items = [b"a", b"b"]
        pending = asyncio.ensure_future(store.append("k", items, 0))
        await asyncio.sleep(0)
        items.clear()
        await pending
        assert await store.read("k") == [(1, b"a"), (2, b"b")]

    run(body)


def test_a_closed_store_says_so(run: Run) -> None:
    async def body(store: Store) -> None:
        pending = asyncio.ensure_future(store.save("k", b"v", 0))
        await asyncio.sleep(0)
        await store.close()
        await store.close()
        assert await pending == 1
        calls: list[Awaitable[object]] = [
            store.load("k"),
            store.save("k", b"v", 0),
            store.append("k", [b"v"], 0),
            store.read("k"),
            store.last("k"),
            store.delete("k"),
            store.keys(),
        ]
        for call in calls:
            with pytest.raises(StoreError, match="closed"):
                await call

    run(body)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda s: s.load(""), "1 to 512 bytes"),
        (lambda s: s.load("ä" * 257), "got 514"),
        (lambda s: s.load(b"k"), "a store key is text, got bytes"),
        (lambda s: s.load("\ud800"), "lone surrogate"),
        (lambda s: s.keys(7), "a prefix of keys is text, got int"),
        (lambda s: s.save("k", "text", 0), r"bytes, got str; encode it first"),
        (lambda s: s.save("k", b"v", -1), "expect is at least 0"),
        (lambda s: s.save("k", b"v", 2**63), "below 2"),
        (lambda s: s.save("k", b"v", None), "expect is an integer, got NoneType"),
        (lambda s: s.append("k", b"v", 0), r"write \[item\]"),
        (lambda s: s.append("k", [b"v", 1], 0), "bytes, got int"),
        (lambda s: s.read("k", after=-1), "after is at least 0"),
        (lambda s: s.read("k", limit=0), "limit is at least 1"),
    ],
)
def test_malformed_arguments_are_refused_with_what_to_write(
    run: Run, call: Callable[[Store], Awaitable[object]], text: str
) -> None:
    async def body(store: Store) -> None:
        with pytest.raises(UsageError, match=text):
            await call(store)

    run(body)


def test_keys_of_512_bytes_and_values_of_a_megabyte(run: Run) -> None:
    async def body(store: Store) -> None:
        key, value = "ä" * 256, bytes(range(256)) * 4096
        await store.save(key, value, 0)
        assert await store.load(key) == Record(1, value)
        assert await store.keys(key) == [key]

    run(body)
