"""Faults a running system meets, on a real loop: what is lost (nothing) and what is held."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import stat
import threading
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from actinium.core import (
    Actor,
    Durable,
    LocalRef,
    Mailbox,
    Message,
    OneForOne,
    Settings,
    System,
    Unbounded,
    blocking,
    on,
)
from actinium.errors import ActiniumError, AskTimeout, MailboxFull, StoreError
from actinium.store import SqliteStore


class Put(Message):
    n: int


class Hang(Message):
    pass


class Count(Message):
    upto: int


class Worker(Actor, mailbox=Mailbox(4)):
    def __init__(self) -> None:
        self.seen: list[int] = []
        self.cancelled = 0

    @on
    def put(self, m: Put) -> None:
        self.seen.append(m.n)

    @on(cancellable=True)
    async def hang(self, m: Hang) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


def test_a_handler_that_hangs_past_its_deadline_is_cancelled_and_the_actor_goes_on() -> None:
    async def main() -> None:
        async with System() as system:
            ref = system.spawn(Worker)
            with pytest.raises(AskTimeout):
                await ref.ask(Hang(), 0.01)
            ref.tell(Put(1))
            await system.idle()
            assert (ref.instance.cancelled, ref.instance.seen) == (1, [1])
            assert ref.incarnation == 0

    asyncio.run(main())


@pytest.mark.parametrize(
    ("policy", "kept", "dead"),
    [
        ("reject", [0, 1, 2, 3], [4, 5]),
        ("block", [0, 1, 2, 3], [4, 5]),
        ("drop_new", [0, 1, 2, 3], [4, 5]),
        ("drop_old", [2, 3, 4, 5], [0, 1]),
    ],
)
def test_a_full_mailbox(policy: Any, kept: list[int], dead: list[int]) -> None:
    async def main() -> None:
        async with System() as system:
            ref = system.spawn(Worker, mailbox=Mailbox(4, policy))
            for n in range(6):
                ref.tell(Put(n))
            await system.idle()
            assert ref.instance.seen == kept
            letters = system.dead_letters.find(reason="mailbox_full")
            assert [x.message.n for x in letters] == dead
        assert (await system.shutdown()).lost == 0

    asyncio.run(main())


def test_senders_wait_for_room_in_their_order_and_give_up_in_time() -> None:
    async def main() -> None:
        async with System() as system:
            ref = system.spawn(Worker, mailbox=Mailbox(2, "block"))
            blocked = ref.ask(Hang(), 60.0)
            await asyncio.sleep(0)
            sends = [asyncio.create_task(ref.send(Put(n))) for n in range(8)]
            late = asyncio.create_task(ref.send(Put(99), timeout=0.01))
            with pytest.raises(MailboxFull, match=r"had no room for 0\.01 s"):
                await late
            sends[5].cancel()
            blocked.cancel()
            await asyncio.gather(*sends, return_exceptions=True)
            await system.idle()
            assert ref.instance.seen == [0, 1, 2, 3, 4, 6, 7]
            assert len(system.dead_letters) == 0

    asyncio.run(main())


# -- threads


class Collects(Actor, mailbox=Unbounded()):
    def __init__(self, book: list[int]) -> None:
        self.book = book

    @on
    def put(self, m: Put) -> int:
        self.book.append(m.n)
        return m.n


def test_MS_2_order_per_thread_and_one_wakeup_per_burst() -> None:
    async def main() -> None:
        book: list[int] = []
        async with System() as system:
            ref = system.spawn(Collects, book)
            loop = asyncio.get_running_loop()
            wakeups: list[int] = []
            original = loop._write_to_self  # type: ignore[attr-defined]

            def count() -> None:
                wakeups.append(1)
                original()

            loop._write_to_self = count  # type: ignore[attr-defined]

            def burst(origin: int) -> None:
                for n in range(1000):
                    ref.tell(Put(origin * 1000 + n))

            # The loop is kept from running while the bursts come in: they need one wake-up.
            threads = [threading.Thread(target=burst, args=(o,)) for o in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert len(wakeups) == 1
            await system.idle()
            for origin in range(4):
                mine = [n for n in book if n // 1000 == origin]
                assert mine == list(range(origin * 1000, origin * 1000 + 1000)), "MS-2"
        assert (await system.shutdown()).lost == 0

    asyncio.run(main())


def test_blocking_calls_from_threads() -> None:
    async def main() -> None:
        async with System() as system:
            ref = system.spawn(Collects, [])
            door = blocking(system)
            answers = await asyncio.gather(
                *(asyncio.to_thread(door.ask, ref, Put(n), 10.0) for n in range(20))
            )
            assert answers == list(range(20))
            with pytest.raises(ActiniumError, match=r"await ref\.ask"):
                door.ask(ref, Put(1))

    asyncio.run(main())


# -- stores


class Total(msgspec.Struct, frozen=True):
    n: int = 0


class Account(Durable):
    State = Total

    @on
    def put(self, m: Put) -> int:
        self.state = Total(self.state.n + m.n)
        return self.state.n


async def ask_account(path: Path, n: int, times: int = 1) -> int:
    store = await SqliteStore.open(path)
    policy = OneForOne(max_restarts=2, backoff=(0.0, 0.0), on_limit="stop")
    try:
        async with System(store=store, settings=Settings(supervise=policy)) as system:
            account = system.entity(Account, "a")
            for _ in range(times):
                total: int = await account.ask(Put(n), 10.0)
            return total
    finally:
        await store.close()


def test_a_truncated_store_is_an_error_and_never_an_empty_state(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    assert asyncio.run(ask_account(path, 5, times=50)) == 250
    size = path.stat().st_size
    for kept in (size // 2, 100, 10):
        os.truncate(path, kept)
        with pytest.raises(ActiniumError):
            asyncio.run(ask_account(path, 1))


def test_a_store_that_cannot_be_written_refuses_and_keeps_what_it_has(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    assert asyncio.run(ask_account(path, 5)) == 5

    async def main() -> None:
        store = await SqliteStore.open(path)
        async with System(store=store) as system:
            account = system.entity(Account, "a")
            assert await account.ask(Put(1)) == 6
            await store.close()
            with pytest.raises(ActiniumError) as failure:
                await account.ask(Put(1), 5.0)
            assert isinstance(getattr(failure.value, "cause", None), StoreError)

    asyncio.run(main())
    assert asyncio.run(ask_account(path, 1)) == 7


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to read-only files")
def test_a_read_only_store(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    assert asyncio.run(ask_account(path, 5)) == 5
    path.chmod(stat.S_IREAD)
    tmp_path.chmod(stat.S_IREAD | stat.S_IEXEC)
    try:
        with pytest.raises(ActiniumError):
            asyncio.run(ask_account(path, 1))
    finally:
        tmp_path.chmod(stat.S_IRWXU)


# -- memory


def test_a_hundred_thousand_actors_come_and_go_and_give_back_their_memory() -> None:
    async def main() -> None:
        async with System() as system:
            for _ in range(1000):
                system.spawn(Collects, []).stop()
            await system.idle()
            gc.collect()
            before = system.statistics()["slab_blocks"]
            for _ in range(100):
                for _ in range(1000):
                    ref: LocalRef[Any] = system.spawn(Collects, [])
                    ref.tell(Put(1))
                    ref.stop(drain=True)
                await system.idle()
            del ref
            gc.collect()
            stats = system.statistics()
            assert stats["slab_blocks"] <= before, "SL-1"
            assert stats["actors"] == 2

    asyncio.run(main())


class Source(Actor):
    @on
    async def count(self, m: Count) -> AsyncGenerator[int]:
        for n in range(m.upto):
            yield n


def resident_kib() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() // 1024


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_ten_million_messages_from_a_faster_producer_in_bounded_memory() -> None:
    total, batch = 10_000_000, 10_000

    class Slowly(Actor, mailbox=Mailbox(1024, "block")):
        def __init__(self) -> None:
            self.n = 0

        @on
        def put(self, m: Put) -> None:
            self.n += 1

    class Producer(Actor):
        @on
        async def run(self, m: Count) -> int:
            refused = 0
            for n in range(m.upto):
                message = Put(n)
                if not sink.try_tell(message):
                    refused += 1
                    await sink.send(message, timeout=60.0)
            return refused

    async def main() -> None:
        nonlocal sink
        async with System() as system:
            sink = system.spawn(Slowly)
            producer = system.spawn(Producer)
            await producer.ask(Count(batch), 600.0)
            before = resident_kib()
            refused = await producer.ask(Count(total), 600.0)
            assert refused > 0, "the producer was never ahead"
            await system.idle()
            assert sink.instance.n == total + batch, "MS-1"
            assert resident_kib() - before < 32 * 1024
            assert len(system.dead_letters) == 0

    sink: Any = None
    asyncio.run(main())


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_stream_of_two_million_items_in_bounded_memory() -> None:
    async def main() -> None:
        async with System() as system:
            source = system.spawn(Source)
            count = 0
            before = resident_kib()
            async with source.stream(Count(2_000_000), items=256) as stream:
                async for n in stream:
                    assert n == count
                    count += 1
            assert count == 2_000_000
            assert resident_kib() - before < 16 * 1024

    asyncio.run(main())
