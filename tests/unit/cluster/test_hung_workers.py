"""Workers that hang, die again and again, or die in each phase of their start."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest
from test_workers import on_workers, until
from worker_actors import Add, CallOn, Counter, Get, Maker, Saboteur, Watching

import actinium as ac
from actinium.errors import SystemFailed, WorkerDied

QUICK = ac.OneForOne(max_restarts=2, within=60.0, backoff=(0.0, 0.01))


async def restarted(system: ac.System, index: int, times: int) -> None:
    async def check() -> bool:
        worker = system.workers()[index - 1]
        return bool(worker.state == "up" and worker.restarts == times)

    await until(check)


def test_a_worker_whose_loop_does_not_turn_is_killed_and_says_where_it_was() -> None:
    async def body(system: ac.System) -> None:
        stuck, other = system.spawn(Saboteur, 3, place=1), system.spawn(Counter, place=2)
        assert await stuck.ask(0.3) == 0.3, "less than the limit is no reason"
        with pytest.raises(WorkerDied) as died:
            await stuck.ask(30.0, 20)
        error = died.value
        assert (error.worker, error.signal) == (1, "SIGKILL")
        assert "its event loop did not turn for 0.6 s" in str(error)
        assert "worker_actors.py" in str(error) and "in block" in str(error)
        assert await stuck.ask(Get(), 15) == 3
        assert await other.ask(Get()) == 0
        await restarted(system, 1, 1)
        assert "did not turn" in system.workers()[0].last_error

    on_workers(body, ac.Workers(2, heartbeat=0.1, hang=0.6))


def test_a_stopped_process_is_noticed_and_killed_without_a_stack() -> None:
    async def body(system: ac.System) -> None:
        one = system.spawn(Counter, 1, place=1)
        assert await one.ask(Get()) == 1
        os.kill(system.workers()[0].pid, signal.SIGSTOP)
        with pytest.raises(WorkerDied, match="it could not say where it was"):
            await one.ask(Get(), 15)
        assert await one.ask(Get(), 15) == 1

    on_workers(body, ac.Workers(1, heartbeat=0.1, hang=0.4))


def test_without_a_limit_nothing_is_killed_and_a_full_socket_loses_nothing() -> None:
    """The write buffer of a process that does not read fills up: sends are refused, memory is
    bounded, and when it reads again all that was taken arrives in order."""

    async def body(system: ac.System) -> None:
        one = system.spawn(Counter, place=1)
        assert await one.ask(Get()) == 0
        pid = system.workers()[0].pid
        os.kill(pid, signal.SIGSTOP)
        try:
            taken = 0
            while one.tell(taken).ok:
                taken += 1
                if taken % 1000 == 0:
                    await asyncio.sleep(0)
            link = system._workers._node.links[1]  # type: ignore[union-attr]
            assert taken == 16_383 + 10_000, "the window, less the ask before, and what may wait"
            assert len(link.waiting) == 10_000
        finally:
            os.kill(pid, signal.SIGCONT)
        assert (await one.send(-1, timeout=15)).ok
        assert await one.ask("seen", 15) == (*range(taken), -1)

    report = on_workers(body, ac.Workers(1, heartbeat=0.05, hang=0))
    assert report.lost == 0


def test_large_messages_to_a_process_that_does_not_read() -> None:
    async def body(system: ac.System) -> None:
        one = system.spawn(Counter, place=1)
        assert await one.ask(Get()) == 0
        pid = system.workers()[0].pid
        os.kill(pid, signal.SIGSTOP)
        try:
            taken = 0
            while one.tell(b"x" * 1_000_000).ok:
                taken += 1
            assert taken < 100, "16 MiB under way and 64 MiB waiting"
        finally:
            os.kill(pid, signal.SIGCONT)
        await system.idle()
        assert await one.ask(Get(), 15) == 0

    report = on_workers(body, ac.Workers(1, hang=0))
    assert report.lost == 0


def test_SV_3_beyond_the_restart_limit_the_system_fails_with_the_death() -> None:
    async def main() -> None:
        async with ac.System(workers=ac.Workers(1, restart=QUICK)) as system:
            one = system.spawn(Counter)
            for times in range(2):
                assert await one.ask(Get(), 15) == 0
                os.kill(system.workers()[0].pid, signal.SIGKILL)
                await restarted(system, 1, times + 1)
            assert await one.ask(Get(), 15) == 0
            os.kill(system.workers()[0].pid, signal.SIGKILL)
            await system.ended()

    with pytest.raises(SystemFailed) as failed:
        asyncio.run(asyncio.wait_for(main(), 20))
    assert isinstance(failed.value.__cause__, WorkerDied)
    assert failed.value.__cause__.signal == "SIGKILL"


def test_a_worker_that_is_given_up_leaves_its_actors_to_the_others() -> None:
    async def body(system: ac.System) -> None:
        free, bound = system.spawn(Counter, 1, place=ac.ByKey("x")), system.spawn(Counter, place=1)
        other = system.spawn(Counter, 2, place=2)
        assert [await r.ask(Get()) for r in (free, bound, other)] == [1, 0, 2]
        os.kill(system.workers()[0].pid, signal.SIGKILL)

        async def noticed() -> bool:
            return bool(system.workers()[0].state == "given up")

        await until(noticed)
        assert await free.ask(Get(), 15) == 1
        with pytest.raises(WorkerDied):
            await bound.ask(Get(), 15)
        assert await other.ask(Get()) == 2
        assert [w.state for w in system.workers()] == ["given up", "up"]
        assert await system.spawn(Counter, 9).ask(Get()) == 9

    never = ac.OneForOne(max_restarts=0, on_limit="stop")
    on_workers(body, ac.Workers(2, restart=never))


def test_a_worker_that_dies_while_the_system_ends_holds_nothing_up() -> None:
    async def body(system: ac.System) -> None:
        one = system.spawn(Counter)
        assert await one.ask(Get()) == 0
        asyncio.ensure_future(one.ask("slow", 60)).add_done_callback(lambda f: f.exception())
        pid = system.workers()[0].pid
        asyncio.get_running_loop().call_later(0.2, os.kill, pid, signal.SIGKILL)

    settings = ac.Settings(drain_timeout=60.0)

    async def main() -> ac.Report:
        async with ac.System(workers=1, settings=settings) as system:
            await body(system)
        return await system.shutdown()

    report = asyncio.run(asyncio.wait_for(main(), 15))
    assert report.accepted == (
        report.handled + report.dead_lettered + report.withdrawn + report.lost
    )


def test_a_stop_that_died_with_its_process_is_given_again() -> None:
    async def body(system: ac.System) -> None:
        one = system.spawn(Counter, place=1)
        assert await one.ask(Get()) == 0
        pid = system.workers()[0].pid
        os.kill(pid, signal.SIGSTOP)
        one.stop()
        await asyncio.sleep(0.02)  # the order lies in the socket of a process that reads nothing
        os.kill(pid, signal.SIGKILL)
        async with asyncio.timeout(15):
            assert await one.stopped() == "stopped"

    on_workers(body, 1)


def test_a_stop_and_a_watch_wait_for_a_start_that_is_under_way() -> None:
    async def body(system: ac.System) -> None:
        maker, user = system.spawn(Maker, place=1), system.spawn(Counter, place=2)
        assert await user.ask(Get()) == 0
        for _ in range(20):
            made = await maker.ask(1)  # placed on either worker: known here before it runs there
            user.tell(Watching(made))
            made.stop()
            async with asyncio.timeout(10):
                await made.stopped()
        await system.idle()
        assert await user.ask("ended") == ("stopped",) * 20

    on_workers(body, 2)


def test_a_worker_that_starts_beside_a_busy_one_is_linked_to_it_later() -> None:
    async def body(system: ac.System) -> None:
        busy, other = system.spawn(Saboteur, 1, place=1), system.spawn(Counter, 2, place=2)
        child = await busy.ask("child")
        assert await other.ask(CallOn(child, Get())) == 100
        busy.tell(2.0)
        os.kill(system.workers()[1].pid, signal.SIGKILL)
        await restarted(system, 2, 1)
        asking = other.ask(CallOn(child, Get()), 15), other.ask(CallOn(busy, Get()), 15)
        assert await asyncio.gather(*asking) == [100, 1]
        assert system.workers()[0].restarts == 0

    on_workers(body, 2)


def test_SIGQUIT_prints_the_stacks_and_ends_nothing() -> None:
    async def body(system: ac.System) -> None:
        one = system.spawn(Counter)
        assert await one.ask(Get()) == 0
        process = system._workers._workers[0].process  # type: ignore[union-attr]
        os.kill(process.pid, signal.SIGQUIT)

        async def printed() -> bool:
            return any("most recent call first" in line for line in process.lines)

        await until(printed)
        assert await one.ask(Get()) == 0

    on_workers(body, 1)


def test_two_at_once_may_wait_for_quiet() -> None:
    async def body(system: ac.System) -> None:
        one = system.spawn(Counter)
        one.tell(Add(1))
        await asyncio.gather(system.idle(), system.idle(), system.idle())
        assert await one.ask(Get()) == 1

    on_workers(body, 2)


# Where a process that starts passes by; it dies there, by the interpreter's own events.
PHASES = ["import actinium.core", "import actinium.cluster.hub", "socket.bind", "socket.connect"]
DYING = """
import os, sys
def hook(event, args):
    if event == "import":
        event = f"import {{args[0]}}"
    if event == {phase!r} and "actinium.cluster.worker" in " ".join(sys.orig_argv):
        if {once} and os.path.exists({mark!r}):
            return
        open({mark!r}, "w").close()
        sys.stderr.write("dying at {phase}\\n")
        sys.stderr.flush()
        {how}
if os.environ.get("DIE_HERE"):
    sys.addaudithook(hook)
"""


def dying(path: Path, phase: str, how: str, *, once: bool = False) -> None:
    mark = str(path / "mark")
    text = DYING.format(phase=phase, how=how, once=once, mark=mark)
    (path / "sitecustomize.py").write_text(text)


@pytest.mark.slow
@pytest.mark.parametrize("phase", PHASES)
def test_a_worker_that_dies_in_its_start_says_so(
    phase: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dying(tmp_path, phase, "os._exit(9)")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("DIE_HERE", "1")

    async def main() -> None:
        with pytest.raises(WorkerDied, match=f"exit code 9(.|\n)*dying at {phase}"):
            await ac.System(workers=2).start()

    asyncio.run(asyncio.wait_for(main(), 15))


@pytest.mark.slow
@pytest.mark.parametrize("phase", PHASES)
def test_a_worker_that_dies_in_a_later_start_is_started_again(
    phase: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dying(tmp_path, phase, "os.kill(os.getpid(), 9)", once=True)
    monkeypatch.syspath_prepend(str(tmp_path))

    async def body(system: ac.System) -> None:
        one = system.spawn(Counter, 8, place=1)
        assert await one.ask(Get()) == 8
        monkeypatch.setenv("DIE_HERE", "1")
        os.kill(system.workers()[0].pid, signal.SIGKILL)
        await restarted(system, 1, 2)
        assert await one.ask(Get(), 15) == 8

    on_workers(body, ac.Workers(1, restart=QUICK))


def test_a_worker_that_never_serves_is_killed_with_its_stack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dying(tmp_path, "socket.connect", "import time; time.sleep(60)")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("DIE_HERE", "1")

    async def main() -> None:
        with pytest.raises(WorkerDied, match=r"did not serve within 1.5 s(.|\n)*in hook"):
            await ac.System(workers=ac.Workers(1, start_limit=1.5)).start()

    asyncio.run(asyncio.wait_for(main(), 15))
