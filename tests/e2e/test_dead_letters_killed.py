"""DL-2: a process that is killed at any step of a replay loses no dead letter."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from actinium.core import Actor, Message, System, on
from actinium.store import SqliteStore

LETTERS = 4


class Job(Message):
    n: int


class Worker(Actor):
    @on
    def job(self, m: Job) -> None:
        pass


REPLAY = """
import asyncio, os, signal, sys
from pathlib import Path
sys.path.insert(0, str(Path({here!r}).parent))
from test_dead_letters_killed import Job  # the module of the messages has to be loaded
from actinium.base import faults
from actinium.core import System
from actinium.core.put import ACCEPTED
from actinium.store import SqliteStore

steps = 0
def step():
    global steps
    steps += 1
    if steps == {kill}:
        os.kill(os.getpid(), signal.SIGKILL)

class Plan:
    def strike(self, point, where, what=None):
        if point == "replay.step":
            step()

class Target:
    path = "/target"
    def try_tell(self, message, **options):
        with open({delivered!r}, "a") as file:
            file.write(str(message.n) + "\\n")
        return ACCEPTED

async def main():
    store = await SqliteStore.open({store!r})
    async with System(spool=store) as system:
        faults.plan = Plan()
        await system.dead_letters.replay(to=Target())
        while system.dead_letters.statistics()["spooled"]:
            step()
            await asyncio.sleep(0)
        await system.dead_letters.flush()
        step()
    await store.close()

asyncio.run(main())
"""


async def fill(path: Path) -> None:
    store = await SqliteStore.open(path)
    async with System(spool=store) as system:
        worker = system.spawn(Worker, name="worker")
        worker.stop()
        await worker.stopped()
        for n in range(LETTERS):
            worker.tell(Job(n))
    await store.close()


async def left(path: Path) -> list[int]:
    store = await SqliteStore.open(path)
    async with System(spool=store) as system:
        numbers = [letter.message.n async for letter in system.dead_letters.history()]
    await store.close()
    return numbers


@pytest.mark.slow
@pytest.mark.parametrize("kill", range(1, 2 * LETTERS + 3))
def test_DL_2_kill_9_at_any_step_of_a_replay_loses_no_letter(kill: int, tmp_path: Path) -> None:
    store, delivered = tmp_path / "dead.db", tmp_path / "delivered"
    asyncio.run(fill(store))
    code = REPLAY.format(here=__file__, kill=kill, delivered=str(delivered), store=str(store))
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode in (0, -9), done.stderr
    told = [int(line) for line in delivered.read_text().split()] if delivered.exists() else []
    assert set(told) | set(asyncio.run(left(store))) == set(range(LETTERS)), "DL-2"
    assert told == sorted(told), "DL-2: order"
