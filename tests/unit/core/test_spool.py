"""Dead letters that outlive their process: the spool."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import logging
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from actinium.core import Actor, DeadLetter, LocalRef, Message, Settings, System, on
from actinium.core.deadletters import spool as spools
from actinium.errors import StoreError, UsageError
from actinium.store import MemoryStore, SqliteStore, Store


class Job(Message):
    n: int
    tags: tuple[str, ...] = ()


class Loose(Message):
    anything: Any


@dataclasses.dataclass(frozen=True)
class Plain:
    when: datetime.datetime


class Sink(Actor):
    def __init__(self, done: list[Any]) -> None:
        self.done = done

    @on
    def take(self, m: object) -> None:
        self.done.append(m)


async def gone(system: System, name: str = "gone") -> LocalRef[Sink]:
    ref = system.spawn(Sink, [], name=name)
    ref.stop()
    await ref.stopped()
    return ref


def run(body: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(body())


MESSAGES: list[Any] = [
    Job(1, ("a", "b")), Plain(datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)), 7, "text",
    b"bytes", 2.5, float("nan"), None, True, Loose("x"),
]  # fmt: skip


def test_letters_come_back_whole_in_the_next_process() -> None:
    async def main() -> None:
        store = MemoryStore()
        async with System(spool=store) as system:
            ref = await gone(system)
            for message in MESSAGES:
                ref.tell(message, sender=system.spawn(Sink, []))
        async with System(spool=store) as system:
            letters = list(system.dead_letters)
            assert repr([x.message for x in letters]) == repr(MESSAGES)
            assert {(x.reason, x.path, x.kept) for x in letters} == {
                ("actor_stopped", "/user/gone", "whole")
            }
            assert all(x.sender is None and x.sender_path.startswith("/user/$") for x in letters)
            done: list[Any] = []
            system.spawn(Sink, done, name="gone")  # whoever lives at that path now
            results = await system.dead_letters.replay()
            assert {r.outcome for r in results} == {"accepted"}
            await system.idle()
            assert repr(done) == repr(MESSAGES)
        async with System(spool=store) as system:
            assert len(system.dead_letters) == 0

    run(main)


def test_what_cannot_be_written_is_kept_as_meta_and_says_so() -> None:
    class Local(Message):
        n: int

    async def main() -> None:
        store = MemoryStore()
        async with System(spool=store) as system:
            ref = await gone(system)
            for message in (Loose(ref), Loose((1, 2)), Local(3)):
                ref.tell(message)
            assert [x.kept for x in system.dead_letters] == ["whole"] * 3, "in memory they are"
        async with System(spool=store) as system:
            refers, lossy, local = system.dead_letters
            assert {x.kept for x in (refers, lossy, local)} == {"meta"}
            assert refers.note.startswith("a Loose cannot be written: ")
            assert lossy.note == "a Loose does not read back as it was written"
            assert local.note.endswith("Local is not loaded; import its module first")
            results = await system.dead_letters.replay()
            assert {r.outcome for r in results} == {"not_replayable"}
            assert [r.code for r in results] == [refers.note, lossy.note, local.note]

    run(main)


def test_letters_pushed_out_of_memory_stay_in_the_spool_and_are_replayed() -> None:
    async def main() -> None:
        store = MemoryStore()
        async with System(spool=store, settings=Settings(dead_letters=3)) as system:
            ref = await gone(system)
            for n in range(20):
                ref.tell(Job(n))
                await system.dead_letters.flush()
            dead = system.dead_letters
            assert [x.message.n for x in dead] == [17, 18, 19]
            assert dead.lost == 0 and dead.statistics()["spooled"] == 20
            assert [x.message.n async for x in dead.history()] == list(range(20))
            done: list[Any] = []
            sink = system.spawn(Sink, done)
            assert len(await dead.replay(to=sink)) == 20
            await system.idle()
            assert [m.n for m in done] == list(range(20))
            await dead.flush()
            assert await store.keys() == []

    run(main)


def test_a_full_spool_loses_the_oldest_and_counts_them() -> None:
    async def main() -> None:
        settings = Settings(dead_letters=2, dead_letter_spool=5)
        async with System(spool=MemoryStore(), settings=settings) as system:
            ref = await gone(system)
            for n in range(20):
                ref.tell(Job(n))
                await system.dead_letters.flush()
            assert [x.message.n async for x in system.dead_letters.history()] == list(range(13, 20))
            assert system.dead_letters.lost == 13

    run(main)


def test_a_restart_with_a_spool_on_disk_keeps_all_records(tmp_path: Any) -> None:
    async def main() -> None:
        for begin in (0, 100, 200):
            store = await SqliteStore.open(tmp_path / "dead.db")
            async with System(spool=store, settings=Settings(dead_letters=50)) as system:
                assert [x.message.n async for x in system.dead_letters.history()] == list(
                    range(begin)
                )
                ref = await gone(system)
                for n in range(begin, begin + 100):
                    ref.tell(Job(n))
                    if n % 25 == 24:
                        await system.dead_letters.flush()
                assert system.dead_letters.lost == 0
            await store.close()

    run(main)


def test_ids_and_paths_of_another_process_reach_no_stranger() -> None:
    async def main() -> None:
        store = MemoryStore()
        async with System(spool=store) as system:
            ref = system.spawn(Sink, [])
            ref.stop()
            await ref.stopped()
            ref.tell(Job(1))
        async with System(spool=store) as system:
            for _ in range(10):
                system.spawn(Sink, [])
            (result,) = await system.dead_letters.replay()
            assert (result.outcome, result.code) == ("refused", "not_found")
            assert len(system.dead_letters) == 1

    run(main)


class Stubborn(MemoryStore):
    """Fails while told to."""

    failing = False

    async def save(self, key: str, value: bytes, expect: int) -> int:
        if self.failing:
            raise StoreError("no space left")
        return await super().save(key, value, expect)


def test_a_store_that_fails_is_tried_again_and_nothing_is_lost(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(spools, "RETRY", 0.01)

    async def main() -> None:
        store = Stubborn()
        async with System(spool=store) as system:
            ref = await gone(system)
            store.failing = True
            for n in range(3):
                ref.tell(Job(n))
            with pytest.raises(StoreError, match="no space left"):
                await asyncio.sleep(0.03)
                await system.dead_letters.flush()
            store.failing = False
            await system.dead_letters.flush()
            assert len(await store.keys()) == 3
            store.failing = True
            ref.tell(Job(3))
        assert "1 dead letters were not written: no space left" in caplog.text
        assert sum("trying again" in r.getMessage() for r in caplog.records) <= 2

    with caplog.at_level(logging.ERROR, "actinium.deadletters"):
        run(main)


def test_a_record_that_is_no_letter_is_left_alone() -> None:
    async def main() -> None:
        store = MemoryStore()
        await store.save("deadletters/actinium/zz", b"\xc1 garbage", 0)
        async with System(spool=store) as system:
            assert len(system.dead_letters) == 0
        assert await store.keys() == ["deadletters/actinium/zz"]

    run(main)


def test_a_system_whose_spool_cannot_be_read_does_not_start() -> None:
    async def main() -> None:
        store = MemoryStore()
        await store.close()
        system = System(spool=store)
        with pytest.raises(StoreError):
            await system.start()
        with pytest.raises(UsageError, match="is not started"):
            system.spawn(Sink, [])

    run(main)


class Crash(BaseException):
    """The process ends here."""


class CrashingStore(MemoryStore):
    """Ends the process at its n-th call; what was written before stays."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.crash_at: int | None = None

    def step(self) -> None:
        self.calls += 1
        if self.crash_at is not None and self.calls >= self.crash_at:
            raise Crash

    async def save(self, key: str, value: bytes, expect: int) -> int:
        self.step()
        return await super().save(key, value, expect)

    async def delete(self, key: str) -> None:
        self.step()
        await super().delete(key)


async def left_in(store: Store) -> set[int]:
    async with System(spool=store) as system:
        letters: list[DeadLetter] = [x async for x in system.dead_letters.history()]
    return {x.message.n for x in letters}


@pytest.mark.parametrize("step", range(1, 14))
def test_DL_2_a_crash_at_any_step_of_a_replay_loses_no_letter(step: int) -> None:
    """Steps are the messages handed over and the store's writes, one kind after the other."""

    async def main() -> None:
        store = CrashingStore()
        async with System(spool=store) as system:
            ref = await gone(system)
            for n in range(6):
                ref.tell(Job(n))
        delivered: list[int] = []

        class Target:
            path = "/target"

            def try_tell(self, message: Any, **options: Any) -> Any:
                if len(delivered) + 1 == step:
                    raise Crash
                delivered.append(message.n)
                from actinium.core.put import ACCEPTED

                return ACCEPTED

        system = System(spool=store)
        await system.start()
        store.calls, store.crash_at = 0, step - 6 if step > 6 else None
        try:
            await system.dead_letters.replay(to=Target())
            await system.dead_letters.flush()
        except Crash:
            pass
        # The process is gone: nothing is flushed, and only the store is left.
        store.crash_at = None
        survivors = MemoryStore()
        for key in await store.keys():
            record = await store.load(key)
            assert record is not None
            await survivors.save(key, record.value, 0)
        assert set(delivered) | await left_in(survivors) == set(range(6)), "DL-2"
        await system.shutdown()

    run(main)
