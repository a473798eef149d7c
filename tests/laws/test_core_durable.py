"""Laws of what outlives an actor: durable state and passivation (PS)."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actinium import testkit
from actinium.core import Actor, Durable, Message, OneForOne, Settings, System, on
from actinium.errors import HandlerError, SequenceConflict, StoreError, UsageError
from actinium.store import MemoryStore, Record, SqliteStore
from actinium.testkit import TestSystem

law = settings(max_examples=60, deadline=None, derandomize=True)


class Add(Message):
    n: int


class Total(msgspec.Struct, frozen=True):
    n: int = 0
    log: tuple[int, ...] = ()


class Account(Durable, passivate=10.0):
    State = Total

    @on
    async def add(self, m: Add) -> int:
        if m.n < 0:
            raise ValueError(m.n)
        self.state = Total(self.state.n + m.n, (*self.state.log, m.n))
        return self.state.n

    @on
    def read(self, m: str) -> tuple[int, ...]:
        log: tuple[int, ...] = self.state.log
        return log


class Fragile:
    """A store that fails at the write, or just after it, whose number is in a set."""

    def __init__(self) -> None:
        self.inner = MemoryStore()
        self.writes = 0
        self.before: set[int] = set()
        self.after: set[int] = set()

    async def load(self, key: str) -> Record | None:
        return await self.inner.load(key)

    async def save(self, key: str, value: bytes, expect: int) -> int:
        self.writes += 1
        if self.writes in self.before:
            raise StoreError("the disk is full")
        revision = await self.inner.save(key, value, expect)
        if self.writes in self.after:
            raise StoreError("the connection broke after the write")
        return revision


@law
@given(
    st.lists(st.tuples(st.integers(1, 9), st.sampled_from(["", "", "fail", "before", "after"]),
                       st.sampled_from(["", "", "kill", "passivate"])), max_size=15),
    st.integers(1, 2**32),
)  # fmt: skip
def test_PS_1_an_acknowledged_command_is_stored_whatever_happens(
    commands: list[tuple[int, str, str]], seed: int
) -> None:
    store = Fragile()

    async def test(t: TestSystem) -> None:
        t.system.store = store  # type: ignore[assignment]
        account = t.system.entity(Account, "a")
        acknowledged: list[int] = []
        unknown = 0
        for n, fault, end in commands:
            if fault in ("before", "after"):
                getattr(store, fault).add(store.writes + 1)
            try:
                await account.ask(Add(-1 if fault == "fail" else n), 60.0)
            except HandlerError:
                if fault == "after":
                    unknown += 1
            else:
                acknowledged.append(n)
            if end == "kill":
                t.system.entity(Account, "a")._live().kill()
                await t.run_until_idle()
            elif end == "passivate":
                await t.advance(30.0)
                assert not account.active
        kept = list(await account.ask("log", 60.0))
        rest = iter(kept)
        assert all(n in rest for n in acknowledged), "PS-1: an acknowledged command is lost"
        assert len(kept) == len(acknowledged) + unknown, "PS-1, PS-2"

    policy = OneForOne(max_restarts=None, backoff=(0.0, 0.0))
    testkit.run(test, seed=seed, settings=Settings(supervise=policy))


@law
@given(
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from([0.0, 0.0, 0.3, 0.7, 1.0, 1.3])),
             max_size=40),
    st.integers(1, 2**32),
)  # fmt: skip
def test_PS_4_no_message_is_lost_or_handled_twice_across_passivation(
    plan: list[tuple[int, float]], seed: int
) -> None:
    async def test(t: TestSystem) -> None:
        seen: list[tuple[str, int]] = []

        class Short(Actor, passivate=1.0):
            def __init__(self, key: str) -> None:
                self.key = key

            @on
            async def add(self, m: Add) -> None:
                await asyncio.sleep(0.01 * (m.n % 3))
                seen.append((self.key, m.n))

        refs = [t.system.entity(Short, f"k{n}") for n in range(4)]
        for n, (which, pause) in enumerate(plan):
            refs[which].tell(Add(n))
            await t.advance(pause)
        await t.advance(10.0)
        assert not any(ref.active for ref in refs), "PS-4: idle and still in memory"
        for which, ref in enumerate(refs):
            sent = [n for n, (w, _) in enumerate(plan) if w == which]
            assert [n for key, n in seen if key == ref.key] == sent, "PS-4, MS-2"

    testkit.run(test, seed=seed)


def test_PS_2_state_after_a_restart_equals_the_live_state() -> None:
    async def test(t: TestSystem) -> None:
        account = t.system.entity(Account, "a")
        for n in range(1, 6):
            await account.ask(Add(n))
        live = await account.ask("log")
        with pytest.raises(HandlerError):
            await account.ask(Add(-1))
        assert await account.ask("log") == live, "PS-2"
        await account.stop()
        assert not account.active
        assert await account.ask("log") == live, "PS-2"

    testkit.run(test, store=MemoryStore())


def test_PS_3_of_two_writers_one_gets_a_conflict() -> None:
    store = MemoryStore()

    async def main() -> None:
        async with System("a", store=store) as a, System("b", store=store) as b:
            one, two = a.entity(Account, "x"), b.entity(Account, "x")
            assert await one.ask(Add(1)) == 1
            assert await two.ask(Add(2)) == 3
            with pytest.raises(HandlerError) as failure:
                await one.ask(Add(4))
            assert isinstance(failure.value.cause, SequenceConflict), "PS-3"
            assert await one.ask(Add(4)) == 7, "after its restart it knows better"

    asyncio.run(main())


KILLED = """
import asyncio, os, sys
sys.path.insert(0, sys.argv[3])
from test_core_durable import Account, Add
from actinium.core import System
from actinium.store import SqliteStore

async def main(path, kill_at):
    store = SqliteStore(path)
    async with System(store=store) as system:
        account = system.entity(Account, "a")
        replies = [account.ask(Add(n)) for n in range(1, 40)]
        for n, reply in enumerate(replies, 1):
            await reply
            os.write(1, b"%d\\n" % n)
            if n == kill_at:
                os.kill(os.getpid(), 9)

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


@pytest.mark.parametrize("kill_at", [1, 2, 7, 30])
def test_PS_1_after_kill_9_every_acknowledged_command_is_there(
    tmp_path: Path, kill_at: int
) -> None:
    path = tmp_path / "state.db"
    command = [sys.executable, "-c", KILLED, str(path), str(kill_at), str(Path(__file__).parent)]
    outcome = subprocess.run(command, stdout=subprocess.PIPE, check=False, timeout=60)
    assert outcome.returncode == -9
    acknowledged = [int(line) for line in outcome.stdout.split()]
    assert acknowledged == list(range(1, kill_at + 1))

    async def recover() -> Any:
        store = SqliteStore(path)
        try:
            async with System(store=store) as system:
                return await system.entity(Account, "a").ask("log")
        finally:
            await store.close()

    log = list(asyncio.run(recover()))
    assert log[:kill_at] == acknowledged, "PS-1: an acknowledged command is lost"
    assert log == list(range(1, len(log) + 1)), "PS-1: no prefix"


def test_a_system_without_a_store_says_what_to_write() -> None:
    async def test(t: TestSystem) -> None:
        with pytest.raises(UsageError, match=r"Account is durable and system 'test' has no store"):
            await t.system.entity(Account, "a").ask(Add(1))

    testkit.run(test)


def test_durable_needs_a_frozen_state() -> None:
    with pytest.raises(UsageError, match="needs its state's type"):

        class Wrong(Durable):
            State = dict  # type: ignore[assignment]
