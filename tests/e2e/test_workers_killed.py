"""SIGKILL under load: callers get an answer or a typed error, none hangs, every message counts."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter as Tally
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit" / "cluster"))

from test_workers import on_workers
from worker_actors import Add, Counter, Get

import actinium as ac
from actinium.errors import WorkerDied


@pytest.mark.slow
@pytest.mark.parametrize("kills", [1, 3])
def test_MS_1_MS_3_killed_under_load(kills: int) -> None:
    outcomes: Tally[str] = Tally()

    async def body(system: ac.System) -> None:
        refs = [system.spawn(Counter) for _ in range(8)]
        stop = asyncio.Event()

        async def load(ref: ac.LocalRef[Counter]) -> None:
            while not stop.is_set():
                ref.tell(Add(1))
                try:
                    await ref.ask(Add(1), 15)
                    outcomes["answer"] += 1
                except WorkerDied as error:
                    assert error.signal == "SIGKILL"
                    outcomes["died"] += 1

        tasks = [asyncio.create_task(load(ref)) for ref in refs]
        for turn in range(kills):
            await asyncio.sleep(0.3)
            while not (pid := system.workers()[turn % 2].pid):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(0.3)
        stop.set()
        await asyncio.gather(*tasks)
        assert all([isinstance(await ref.ask(Get(), 15), int) for ref in refs])

    report = on_workers(body)
    assert outcomes["answer"] > 100
    assert report.accepted == (
        report.handled + report.dead_lettered + report.withdrawn + report.lost
    )
    assert report.lost >= 0


def test_an_ask_after_the_actor_was_made_again_is_answered() -> None:
    async def body(system: ac.System) -> None:
        ref = system.spawn(Counter, place=1)
        await ref.ask(Add(1))
        first = system.workers()[0]
        os.kill(first.pid, signal.SIGKILL)
        while system.workers()[0].restarts == first.restarts or not system.workers()[0].actors:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        assert await ref.ask(Get(), 15) == 0

    on_workers(body)
