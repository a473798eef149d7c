"""The runtime's own edges: backends, counts that cannot be, virtual time."""

from __future__ import annotations

import asyncio
import importlib
import os
from pathlib import Path

import pytest

import actinium as ac
from actinium import gpu, testkit
from actinium.errors import (
    GpuError,
    GpuUnavailable,
    HandlerError,
    NameTaken,
    Unavailable,
    UsageError,
)
from actinium.gpu.runtime import backends, process


@gpu.message(kind=0x0110)
class Add:
    amount: gpu.i64


@gpu.actor()
class Total:
    total: gpu.i64

    @ac.on
    def add(self, m: Add) -> gpu.i64:
        assert m.amount >= 0
        self.total += m.amount
        return self.total


@gpu.kernel
def double(x: gpu.Buffer[gpu.f32]) -> None:
    for i in gpu.prange(len(x)):
        x[i] = x[i] + x[i]


SLOW = """
import os, time
from actinium import gpu
import actinium as ac

if os.environ.get("SLOW_TO_IMPORT"):
    time.sleep(60)

@gpu.message(kind=0x0111)
class Look:
    at: gpu.i64

@gpu.actor()
class Slow:
    seen: gpu.i64

    @ac.on
    def look(self, m: Look) -> gpu.i64:
        return m.at
"""


def test_a_process_that_hangs_while_it_starts_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gpu_slow_to_import.py").write_text(SLOW)
    monkeypatch.syspath_prepend(str(tmp_path))
    slow = importlib.import_module("gpu_slow_to_import").Slow
    monkeypatch.setenv("SLOW_TO_IMPORT", "1")
    monkeypatch.setattr(process, "START_SECONDS", 0.2)

    async def main() -> None:
        async with ac.System() as system:
            rt = gpu.Runtime(system, backend="oracle", isolation="process")
            with pytest.raises(GpuError, match=r"did not start it within 0.2 s"):
                await rt.launch(slow)
            assert rt.launches() == []

    asyncio.run(asyncio.wait_for(main(), 60))


def test_a_launch_on_another_loop_is_refused() -> None:
    async def main() -> None:
        async with ac.System() as system:
            rt = gpu.Runtime(system, backend="oracle")
            with pytest.raises(UsageError, match="on another event loop than its system's"):
                await asyncio.to_thread(lambda: asyncio.run(rt.launch(Total)))

    asyncio.run(asyncio.wait_for(main(), 60))


def test_a_launch_says_what_cannot_be() -> None:
    async def main() -> None:
        async with ac.System() as system:
            with pytest.raises(UsageError, match="backend must be auto, cuda, cpu"):
                gpu.Runtime(system, backend="metal")
            with pytest.raises(UsageError, match="isolation must be"):
                gpu.Runtime(system, backend="oracle", isolation="thread")  # type: ignore[arg-type]
            rt = gpu.Runtime(system, backend="oracle")
            with pytest.raises(UsageError, match="no launch runs"):
                await rt.spawn(Total)
            with pytest.raises(UsageError, match="a kernel"):
                await rt.launch(double)
            with pytest.raises(UsageError, match="from 1 to max_actors, got 3 of 2"):
                await rt.launch(Total, instances=3, max_actors=2)
            with pytest.raises(UsageError, match="blocks must be"):
                await rt.launch(Total, blocks=2)
            with pytest.raises(UsageError, match="power of two"):
                await rt.launch(Total, inbox=100)
            await rt.launch(Total, name="one")
            with pytest.raises(NameTaken):
                await rt.launch(Total, name="one")
            assert [info.name for info in rt.launches()] == ["one"]

    asyncio.run(main())


def test_auto_takes_what_can_run_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    can = {"cuda": ("no driver", "install one"), "cpu": None, "oracle": None}
    monkeypatch.setattr(backends, "missing", can.get)
    assert backends.choose("auto") == "cpu"
    with pytest.raises(GpuUnavailable, match="no driver; install one") as caught:
        backends.choose("cuda")
    assert (caught.value.reason, caught.value.hint) == ("no driver", "install one")
    monkeypatch.setitem(can, "cpu", ("no compiler", "install g++"))
    assert backends.choose("auto") == "oracle"
    with pytest.raises(Unavailable, match="cpu cannot run here: no compiler; install g"):
        backends.choose("cpu")


def test_a_test_system_runs_the_oracle_in_virtual_time() -> None:
    async def test(t: testkit.TestSystem) -> None:
        rt = gpu.Runtime(t, backend="oracle")  # type: ignore[arg-type]
        (ref,) = await rt.launch(Total)
        assert await ref.ask(Add(2)) == 2
        with pytest.raises(HandlerError):
            await ref.ask(Add(-1))
        assert await ref.ask(Add(1)) == 1
        await rt.close()
        assert rt.launches()[0].state == "ended"

    testkit.run(test)


RUNS = [name for name in ("oracle", "cpu") if backends.missing(name) is None]


def files() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("backend", RUNS)
def test_a_launch_that_has_ended_leaves_no_memory_and_no_file(backend: str) -> None:
    async def main() -> None:
        async with ac.System() as system:
            rt = gpu.Runtime(system, backend=backend)
            counts = []
            for n in range(6):
                (ref,) = await rt.launch(Total, name=f"t{n}")
                assert await ref.ask(Add(2)) == 2
                holder = system.lookup(f"/user/t{n}")
                holder.stop()
                await holder.stopped()
                await asyncio.sleep(0)
                (info,) = rt.launches()
                assert (info.state, info.handled, info.actors) == ("ended", 1, 0)
                counts.append(files())
            assert counts[-1] == counts[1]
            await rt.close()

    asyncio.run(main())


@pytest.mark.parametrize("backend", RUNS)
def test_a_launch_that_is_cancelled_ends_its_kernel(backend: str) -> None:
    async def main() -> None:
        async with ac.System() as system:
            rt = gpu.Runtime(system, backend=backend)
            before = None
            for _ in range(5):
                launch = asyncio.ensure_future(rt.launch(Total))
                await asyncio.sleep(0)
                launch.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await launch
                before = before or files()
            assert files() == before and rt.launches() == []

    asyncio.run(main())


@pytest.mark.parametrize("backend", RUNS)
def test_a_generation_that_comes_round_is_not_the_one_that_was_killed(backend: str) -> None:
    async def main() -> None:
        async with ac.System() as system:
            rt = gpu.Runtime(system, backend=backend)
            kept, killed = await rt.launch(Total, instances=2, blocks=1)
            assert await killed.ask(Add(2)) == 2
            killed.kill()
            await killed.stopped()
            (launch,) = rt._launches
            for index in launch._generations:
                launch._generations[index] += 4094  # as after so many restarts
            last = await rt.spawn(Total)
            assert await last.ask(Add(1)) == 1
            last.stop()
            await last.stopped()
            again = await rt.spawn(Total)
            assert await again.ask(Add(3)) == 3
            kept.kill()  # the block looks at its list again
            await kept.stopped()
            assert await again.ask(Add(3)) == 6

    asyncio.run(main())
