"""A kernel in a process of its own: the same answers; its death is a loss that is accounted for."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from ledger import Add, Burst, Face, InOrder, Read, Spin, Talker, on_device, reasons, until

import actinium as ac
from actinium import gpu
from actinium.errors import DeviceLost, HandlerError, UsageError
from actinium.gpu.runtime.backends import missing

HERE = Path(__file__).parent
BACKENDS = [name for name in ("oracle", "cpu") if missing(name) is None]
on_each = pytest.mark.parametrize("backend", BACKENDS)


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(HERE))


def pid_of(rt: gpu.Runtime) -> int:
    pid: int = rt._launches[0].executor.pid
    return pid


@on_each
def test_the_same_answers_from_another_process(backend: str) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        assert rt.isolation == "process" and pid_of(rt) not in (0, os.getpid())
        assert await refs[0].ask(Add(5)) == 105
        for n in range(1, 301):
            refs[0].tell(InOrder(n))
        assert await refs[0].ask(Read(3)) == 300 and await refs[0].ask(Read(2)) == 0
        with pytest.raises(HandlerError, match="assert"):
            await refs[0].ask(Add(-1))
        assert await refs[0].ask(Read()) == 100

    on_device(backend, body, isolation="process")


@on_each
def test_rg_3_bursts_out_of_handlers_wait_for_room_in_the_ring(backend: str) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        one, two = refs
        one.tell(Face(two))
        two.tell(Face(one))
        for _ in range(10):
            one.tell(Burst(100))
            two.tell(Burst(100))
        async with asyncio.timeout(30):
            await system.idle()
        assert [await ref.ask(Read()) for ref in refs] == [1000, 1000]

    on_device(backend, body, what=Talker, instances=2, inbox=16, isolation="process")


@on_each
def test_sv_5_asks_that_wait_for_room_outlast_a_storm_of_restarts(backend: str) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        asks = [refs[n % 2].ask(Add(-1 if n % 3 == 0 else 1), 60) for n in range(300)]
        found = await asyncio.gather(*asks, return_exceptions=True)
        failed = [type(error.__cause__).__name__ for error in found if not isinstance(error, int)]
        assert failed == ["DeviceFault"] * 100
        assert rt.launches()[0].faults == 100 and reasons(system) == {"handler_failed": 100}

    keep = ac.OneForOne(max_restarts=None, backoff=(0.0, 0.0))
    on_device(backend, body, instances=2, inbox=16, isolation="process", supervise=keep)


@on_each
def test_sv_5_the_death_of_the_process_is_a_loss_that_its_actors_survive(backend: str) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        assert await refs[0].ask(Add(5)) == 105
        before = pid_of(rt)
        os.kill(before, signal.SIGSTOP)
        tasks = Path(f"/proc/{before}/task")
        await until(
            lambda: all("\nState:\tT" in (t / "status").read_text() for t in tasks.iterdir())
        )
        waiting = rt.launches()[0].queued
        asks = [refs[0].ask(Add(1), 20) for _ in range(10)]
        for _ in range(10):
            refs[0].tell(Add(1))
        await until(lambda: rt.launches()[0].queued == waiting + 20)
        os.kill(before, signal.SIGKILL)
        found = await asyncio.gather(*asks, return_exceptions=True)
        assert all(isinstance(error, DeviceLost) for error in found)
        assert f"process {before} of the kernel was killed by signal 9" in str(found[0])
        assert await refs[0].ask(Add(1), 20) == 101  # the same ref, a new kernel
        assert pid_of(rt) != before and rt.launches()[0].starts == 2
        assert refs[0].incarnation == 1
        assert reasons(system) == {"handler_failed": 20}

    on_device(backend, body, isolation="process")


@on_each
def test_an_actor_may_be_stopped_by_the_loss(backend: str) -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        await refs[0].ask(Add(5))
        os.kill(pid_of(rt), signal.SIGKILL)
        assert "DeviceLost" in await refs[0].stopped()
        assert rt.launches()[0].actors == 0

    strategy = ac.OneForOne(decide={DeviceLost: "stop"})
    on_device(backend, body, isolation="process", supervise=strategy)


def test_a_handler_that_does_not_end_takes_its_process_with_it() -> None:
    async def body(system: ac.System, rt: gpu.Runtime, refs: list[Any]) -> None:
        assert await refs[0].ask(Add(1)) == 101
        with pytest.raises(DeviceLost, match="handles Spin; the kernel was ended"):
            await refs[0].ask(Spin(2**62), 20)
        assert await refs[0].ask(Read(), 20) == 100

    on_device("oracle", body, isolation="process", kill_after=0.3, max_steps=0)


def test_a_class_that_no_other_process_finds_is_refused() -> None:
    @gpu.actor()
    class Local:
        total: gpu.i64

        @ac.on
        def add(self, m: Add) -> gpu.i64:
            self.total += m.amount
            return self.total

    async def main() -> None:
        async with ac.System() as system:
            rt = gpu.Runtime(system, backend="oracle", isolation="process")
            with pytest.raises(UsageError, match="inside a function"):
                await rt.launch(Local)
            assert await (await gpu.launch(system, Local, backend="oracle"))[0].ask(Add(1)) == 1

    asyncio.run(main())


@on_each
def test_gp_3_with_the_host_gone_the_process_ends_within_its_lease(backend: str) -> None:
    program = (
        "import asyncio, sys\n"
        f"sys.path.insert(0, {str(HERE)!r})\n"
        "import actinium as ac\n"
        "from actinium import gpu\n"
        "from ledger import Ledger, Add\n"
        "async def main():\n"
        "    async with ac.System() as system:\n"
        f"        rt = gpu.Runtime(system, backend={backend!r}, isolation='process')\n"
        "        refs = await rt.launch(Ledger)\n"
        "        await refs[0].ask(Add(1))\n"
        "        print(rt._launches[0].executor.pid, flush=True)\n"
        "        await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as host:
        assert host.stdout is not None
        pid = int(host.stdout.readline())
        assert Path(f"/proc/{pid}").exists()
        host.kill()
    until_then = time.monotonic() + 10
    while time.monotonic() < until_then and _runs(pid):
        time.sleep(0.01)
    assert not _runs(pid)


def _runs(pid: int) -> bool:
    try:
        return _state(Path(f"/proc/{pid}")) != "Z"
    except OSError:
        return False


def _state(process: Path) -> str:
    """One letter, as proc(5) has it."""
    return (process / "stat").read_text().rpartition(")")[2].split()[0]
