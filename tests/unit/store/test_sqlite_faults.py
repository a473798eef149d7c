"""What a SQLite store does when its file or its disk is not as it should be."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from actinium.errors import StoreCorrupt, StoreError
from actinium.store import Record, SqliteStore
from actinium.store._faults import translate


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


async def _fill(path: Path, items: int = 200) -> None:
    store = await SqliteStore.open(path)
    try:
        await store.save("record", b"value", 0)
        await store.append("log", [bytes([i % 256]) * 100 for i in range(items)], 0)
    finally:
        await store.close()


async def _use(path: Path, wait: float = 5.0) -> None:
    store = await SqliteStore.open(path, wait=wait)
    try:
        await store.load("record")
        await store.read("log")
    finally:
        await store.close()


def _edit(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(statement)


def _truncate_to(part: float) -> Callable[[Path], None]:
    return lambda path: os.truncate(path, int(path.stat().st_size * part))


def _overwrite(offset: int, data: bytes) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        with path.open("r+b") as file:
            file.seek(offset)
            file.write(data)

    return damage


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (_truncate_to(0), "got a file of 0 bytes"),
        (_truncate_to(0.5), "truncated|damaged"),
        (lambda path: os.truncate(path, path.stat().st_size - 4096), "truncated|damaged"),
        (lambda path: os.truncate(path, 50), "got a file of 50 bytes"),
        (_overwrite(0, b"garbage " * 64), "not SQLite"),
        (_overwrite(68, bytes(4)), "another program's database"),
        (lambda path: path.write_bytes(b"hello, world\n" * 1000), "not SQLite"),
        (lambda path: _edit(path, "UPDATE record SET value=x'00'"), "record 'record' at revision"),
        (lambda path: _edit(path, "UPDATE record SET revision=9"), "fails its checksum"),
        (lambda path: _edit(path, "UPDATE log SET value=x'00' WHERE seq=7"), "'log' number 7"),
        (lambda path: _edit(path, "DELETE FROM log WHERE seq=7"), "lacks number 7"),
    ],
)
def test_a_damaged_file_is_named_and_what_to_do(
    path: Path, damage: Callable[[Path], None], text: str
) -> None:
    asyncio.run(_fill(path))
    damage(path)
    before = path.read_bytes()
    with pytest.raises(StoreCorrupt, match=text) as caught:
        asyncio.run(_use(path))
    assert str(path) in str(caught.value)
    assert "from a backup" in str(caught.value)
    assert path.read_bytes() == before


def test_an_empty_file_does_not_take_its_log_with_it(path: Path) -> None:
    asyncio.run(_fill(path))
    os.truncate(path, 0)
    wal = path.with_name(path.name + "-wal")
    wal.write_bytes(b"the only copy")
    with pytest.raises(StoreCorrupt):
        asyncio.run(_use(path))
    assert wal.read_bytes() == b"the only copy"


def test_another_format_version_is_refused(path: Path) -> None:
    asyncio.run(_fill(path))
    _edit(path, "PRAGMA user_version=99")
    with pytest.raises(StoreError, match="expected format 1 of the store, got 99"):
        asyncio.run(_use(path))


def test_a_directory_in_place_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="expected a file"):
        asyncio.run(_use(tmp_path))


@pytest.mark.parametrize("folder", ["missing", "/proc"])
def test_a_place_where_no_file_can_be_made(tmp_path: Path, folder: str) -> None:
    path = tmp_path / folder / "state.db"
    with pytest.raises(StoreError, match="must exist and be writable") as caught:
        asyncio.run(_use(path))
    assert str(path) in str(caught.value)


def test_a_read_only_file_is_named(path: Path) -> None:
    asyncio.run(_fill(path))
    with (
        closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db,
        pytest.raises(sqlite3.OperationalError) as refused,
    ):
        db.execute("DELETE FROM record")
    error = translate(refused.value, path, 5.0)
    assert type(error) is StoreError
    assert "cannot be written" in str(error) and str(path) in str(error)


def test_a_locked_file_is_waited_for_then_named(path: Path) -> None:
    async def body() -> None:
        store = await SqliteStore.open(path, wait=0.05)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreError, match=r"locked by another process.*0\.05 s"):
                await store.save("k", b"v", 0)
            assert await store.load("k") is None  # readers are not locked out
            other.execute("ROLLBACK")
            assert await store.save("k", b"v", 0) == 1
        await store.close()

    asyncio.run(body())


_FILL_THE_DISK = textwrap.dedent(
    """
    import asyncio, os, resource, sys
    from actinium.errors import StoreError
    from actinium.store import SqliteStore

    async def main():
        # The process's limit on file sizes stands for the disk: writes beyond it fail.
        resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
        store = await SqliteStore.open(sys.argv[1])
        acknowledged = 0
        try:
            while True:
                await store.append("log", [os.urandom(4000)], acknowledged)
                acknowledged += 1
        except StoreError as error:
            assert await store.last("log") == acknowledged
            text = str(error)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)  # room again
        assert await store.append("log", [b"more"], acknowledged) == acknowledged + 1
        print(acknowledged + 1, text)
        os._exit(0)

    asyncio.run(main())
    """
)


def test_ps_1_a_full_disk_loses_nothing_that_was_acknowledged(path: Path) -> None:
    command = [sys.executable, "-c", _FILL_THE_DISK, str(path)]
    written, text = subprocess.check_output(command, text=True).split(" ", 1)
    assert str(path) in text and "what was acknowledged before is safe" in text

    async def check() -> None:
        store = await SqliteStore.open(path)
        assert len(await store.read("log")) == int(written) > 10
        await store.close()

    asyncio.run(check())


_WRITER = textwrap.dedent(
    """
    import asyncio, sys
    from actinium.store import SqliteStore

    async def write(store, name):
        for i in range(10_000):
            await store.append(f"log/{name}", [b"%d" % i], i)
            sys.stdout.write(f"{name} {i + 1}\\n")
            sys.stdout.flush()

    async def main():
        store = await SqliteStore.open(sys.argv[1])
        await asyncio.gather(*(write(store, name) for name in range(4)))

    asyncio.run(main())
    """
)


@pytest.mark.slow
def test_ps_1_kill_9_at_20_points_keeps_every_acknowledged_append(tmp_path: Path) -> None:
    for attempt in range(20):
        path = tmp_path / f"state{attempt}.db"
        with subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(path)], stdout=subprocess.PIPE
        ) as child:
            assert child.stdout is not None
            lines = [child.stdout.readline() for _ in range(3 + 17 * attempt)]
            child.kill()
            lines += child.stdout.readlines()  # acknowledged before the signal came
        _check_survivors(path, [line for line in lines if line.endswith(b"\n")])


def _check_survivors(path: Path, lines: list[bytes]) -> None:
    acknowledged: dict[bytes, int] = {}
    for line in lines:
        name, seq = line.split()
        acknowledged[name] = int(seq)

    async def check() -> None:
        store = await SqliteStore.open(path)
        for name, seq in acknowledged.items():
            items = await store.read(f"log/{name.decode()}")
            assert len(items) >= seq, "PS-1: an acknowledged append is lost"
            assert items == [(i + 1, b"%d" % i) for i in range(len(items))]
            await store.append(f"log/{name.decode()}", [b"on"], len(items))
        await store.close()

    asyncio.run(check())


def test_ps_3_two_processes_share_one_file(path: Path) -> None:
    contend = textwrap.dedent(
        """
        import asyncio, sys
        from actinium.errors import SequenceConflict
        from actinium.store import SqliteStore

        async def main():
            store = await SqliteStore.open(sys.argv[1])
            wins = 0
            while wins < 30:
                try:
                    await store.append("log", [sys.argv[2].encode()], await store.last("log"))
                except SequenceConflict:
                    continue
                wins += 1
            await store.close()

        asyncio.run(main())
        """
    )
    children = [subprocess.Popen([sys.executable, "-c", contend, str(path), name]) for name in "ab"]
    assert [child.wait() for child in children] == [0, 0]

    async def check() -> None:
        store = await SqliteStore.open(path)
        items = await store.read("log")
        assert [seq for seq, _ in items] == list(range(1, 61))
        assert sum(item == b"a" for _, item in items) == 30
        await store.close()

    asyncio.run(check())
    left = sorted(name.name for name in path.parent.iterdir())
    assert left == [path.name]


def test_a_cancelled_call_leaves_the_store_usable(path: Path) -> None:
    async def body() -> None:
        store = await SqliteStore.open(path)
        tasks = [asyncio.ensure_future(store.save(f"k{i}", b"v", 0)) for i in range(50)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert [o for o in outcomes[1::2] if o != 1] == []
        assert await store.load("k1") == Record(1, b"v")
        await store.close()

    asyncio.run(body())


def test_a_store_left_open_says_so(path: Path) -> None:
    async def body() -> None:
        store = await SqliteStore.open(path)
        with pytest.warns(ResourceWarning, match="was not closed"):
            del store

    asyncio.run(body())
