"""Laws of the native core's memory (catalogue: SL-1), over the public API."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

import actinium as ac


class Counter(ac.Actor, mailbox=ac.Unbounded()):
    def __init__(self) -> None:
        self.n = 0

    @ac.on
    def add(self, m: int) -> None:
        self.n += 1

    @ac.on
    def get(self, m: str) -> int:
        return self.n


def held() -> dict[str, tuple[int, int]]:
    return {name: (r.blocks, r.bytes) for name, r in ac.memory_use().regions.items()}


@settings(max_examples=8, deadline=None, derandomize=True)
@given(
    actors=st.integers(1, 40),
    messages=st.integers(0, 200),
    stopped=st.integers(0, 40),
    foreign=st.integers(0, 50),
)
def test_SL_1_live_bytes_return_to_what_they_were(
    actors: int, messages: int, stopped: int, foreign: int
) -> None:
    async def body() -> None:
        async with ac.System() as system:
            refs = [system.spawn(Counter) for _ in range(actors)]
            cells = held()["cells"][0]
            assert cells - before["cells"][0] == actors + 2  # and the two guardians
            for ref in refs:
                for i in range(messages):
                    ref.tell(i)
            if messages > 1:
                assert held()["mailboxes"][0] > before["mailboxes"][0]
            thread = threading.Thread(target=lambda: [refs[0].tell(i) for i in range(foreign)])
            thread.start()
            thread.join()
            for ref in refs[:stopped]:
                ref.stop()
            await system.idle()
            assert held()["mailboxes"] == before["mailboxes"]
            assert held()["inbox"] == before["inbox"]

    gc.collect()
    before = held()
    asyncio.run(body())
    gc.collect()
    assert held() == before


def test_SL_1_statistics_show_the_regions() -> None:
    async def body() -> None:
        async with ac.System() as system:
            block = ac.Block(1000)
            found = system.statistics()
            assert found["payload_bytes"] >= len(block)
            assert found["cells_bytes"] > 0
            assert {"mailboxes_bytes", "inbox_bytes"} <= set(found)

    asyncio.run(body())


async def _flood(system: ac.System, ref: ac.LocalRef[Counter], messages: int) -> None:
    for i in range(messages):
        ref.tell(i)
    await system.idle()


@pytest.mark.parametrize("rounds", [20, pytest.param(1000, marks=pytest.mark.slow)])
def test_SL_1_warm_sending_makes_no_new_segment(rounds: int) -> None:
    async def body() -> None:
        async with ac.System() as system:
            ref = system.spawn(Counter)
            await _flood(system, ref, 10_000)
            warm = ac.memory_use().segments_made
            for _ in range(rounds):
                await _flood(system, ref, 10_000)
            assert ac.memory_use().segments_made == warm
            assert await ref.ask("get") == 10_000 * (rounds + 1)

    asyncio.run(body())


def test_SL_1_memory_of_a_flood_goes_back_to_the_system_by_itself() -> None:
    waits: list[float] = []

    async def body() -> None:
        loop = asyncio.get_running_loop()
        later = loop.call_later
        due: list[Any] = []

        def call_later(delay: float, callback: Any, *args: Any, **kwargs: Any) -> Any:
            if delay != 10.0:
                return later(delay, callback, *args, **kwargs)
            waits.append(delay)
            due.append(callback)
            return later(3600.0, callback, *args)

        loop.call_later = call_later  # type: ignore[method-assign]
        ac.trim_memory()
        before = ac.memory_use().segments
        async with ac.System() as system:
            ref = system.spawn(Counter)
            await _flood(system, ref, 600_000)  # more than what earlier tests left warm
            assert ac.memory_use().segments >= before + 3
            await _flood(system, ref, 1)
            assert waits, "a system with empty segments looks at them later"
            due.pop()()  # too early: they were emptied just now
            assert ac.memory_use().segments >= before + 3
            assert len(waits) == 2, "so it looks once more"
            assert ac.trim_memory(0.0) == 0
            assert ac.memory_use().segments <= before + 1

    asyncio.run(body())


def test_trimming_refuses_a_negative_time() -> None:
    with pytest.raises(ValueError, match="0 or more seconds"):
        ac.trim_memory(-1.0)


@pytest.mark.parametrize("setting", ["0", "1"])
def test_huge_pages_for_python_objects_are_there_when_asked_for(setting: str) -> None:
    code = (
        "import actinium._native\n"
        "held = [float(i) for i in range(400_000)]\n"
        "advised = [line for line in open('/proc/self/smaps') if line.startswith('VmFlags')]\n"
        "print(sum(' hg' in line for line in advised))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "AC_HUGE_PAGES": setting},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (int(done.stdout) > 0) == (setting == "1")


def test_SL_1_the_checks_run_under_the_whole_core() -> None:
    code = (
        "import asyncio, actinium as ac\n"
        "class Echo(ac.Actor):\n"
        "    @ac.on\n"
        "    def echo(self, m: int) -> int:\n"
        "        return m\n"
        "async def main():\n"
        "    async with ac.System() as system:\n"
        "        refs = [system.spawn(Echo) for _ in range(100)]\n"
        "        for ref in refs:\n"
        "            for i in range(50): ref.tell(i)\n"
        "        print(await refs[0].ask(7), len(ac.Payload(b'x' * 100)))\n"
        "asyncio.run(main())\n"
        "print(ac.memory_use().regions['mailboxes'].blocks)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "AC_SLAB_DEBUG": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["7", "100", "0"]
