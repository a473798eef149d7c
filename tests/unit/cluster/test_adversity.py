"""Workers that die, never start, or talk nonsense: who waits learns why, and nobody hangs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from test_workers import on_workers, until
from worker_actors import Add, Counter, Get, Watching

import actinium as ac
from actinium.cluster import entries as e
from actinium.cluster.hub import STRANGERS, address
from actinium.errors import ActiniumError, WorkerDied
from actinium.wire import frame


def _hub(system: ac.System) -> Any:
    return system._workers._hub  # type: ignore[union-attr]


async def stranger(hub: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection of somebody who knows where the first process listens."""
    there = socket.socket(socket.AF_UNIX)
    there.setblocking(False)
    await asyncio.get_running_loop().sock_connect(there, address(hub._name, 0, 0))
    return await asyncio.open_unix_connection(sock=there)


def test_a_death_carries_its_reason_exit_code_and_last_lines() -> None:
    """xoscar#155: a dead worker shows only as `ServerClosed ... 0 bytes read`."""

    async def body(system: ac.System) -> None:
        one = system.spawn(Counter)
        with pytest.raises(WorkerDied) as died:
            await one.ask("exit")
        error = died.value
        assert (error.worker, error.exitcode, error.signal) == (1, 3, None)
        assert "about to leave" in error.stderr
        assert "exit code 3" in str(error) and "about to leave" in str(error)

    on_workers(body, 1)


def test_a_killed_workers_actors_start_again_and_their_refs_stay() -> None:
    async def body(system: ac.System) -> None:
        one, two = system.spawn(Counter, 7, place=1), system.spawn(Counter)
        watcher = system.spawn(Counter, place="local")
        child = await one.ask("child")
        for ref in (one, child):
            watcher.tell(Watching(ref))
        one.tell(Add(5))
        await system.idle()
        asking = asyncio.ensure_future(one.ask("slow", 30))
        await asyncio.sleep(0.05)
        os.kill(system.workers()[0].pid, signal.SIGKILL)
        with pytest.raises(WorkerDied) as died:
            await asking
        assert died.value.signal == "SIGKILL"
        assert await one.ask(Get(), 20) == 7, "made again from its arguments, on the same ref"
        assert await two.ask(Get()) == 0
        with pytest.raises(WorkerDied):
            await child.ask(Get())
        await system.idle()
        (reason,) = await watcher.ask("ended")
        assert "WorkerDied" in reason, "the child is gone for good; a restart is no end"

        async def up() -> bool:
            return all(w.state == "up" for w in system.workers())

        await until(up)
        assert [w.restarts for w in system.workers()] == [1, 0]

    report = on_workers(body)
    assert report.accepted == (
        report.handled + report.dead_lettered + report.withdrawn + report.lost
    )


def test_a_worker_that_cannot_start_ends_the_start_with_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "msgspec.py").write_text("raise ImportError('this msgspec is broken')")
    monkeypatch.syspath_prepend(str(tmp_path))

    async def main() -> None:
        with pytest.raises(WorkerDied, match="this msgspec is broken"):
            await ac.System(workers=1).start()

    asyncio.run(main())


def test_a_class_the_worker_cannot_import_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path / "only_here.py"
    module.write_text("import actinium as ac\nclass Here(ac.Actor):\n    pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    async def body(system: ac.System) -> None:
        import only_here  # type: ignore[import-not-found]

        module.write_text("raise RuntimeError('not again')")
        ref = system.spawn(only_here.Here)
        with pytest.raises(ActiniumError, match="not again"):
            await ref.ask(1)

    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    on_workers(body, 1)


@pytest.mark.parametrize(
    "words",
    [
        e.Hello(e.VERSION, "wrong", 1, 9),
        e.Hello(e.VERSION + 1, "TOKEN", 1, 9),
        e.Hello(e.VERSION, "TOKEN", 77, 9),
        e.Hello(e.VERSION, "TOKEN", 1, 9),
        b"GET / HTTP/1.1\r\n\r\n",
        b"ACT1" + b"\xff" * 60,
        frame(e.HELLO, b"\xc1")[0],
        frame(e.BATCH, b"\x90")[0],
    ],
    ids=["token", "version", "number", "twice", "http", "garbage", "no hello", "batch first"],
)
def test_strangers_are_turned_away_and_change_nothing(words: Any) -> None:
    async def body(system: ac.System) -> None:
        hub = _hub(system)
        if isinstance(words, e.Hello):
            token = hub._token if words.token == "TOKEN" else words.token
            hello = e.Hello(words.version, token, words.node, words.incarnation)
            data = frame(e.HELLO, msgspec.msgpack.encode(hello))[0]
        else:
            data = words
        reader, writer = await stranger(hub)
        with contextlib.suppress(ConnectionError):
            for at in range(0, len(data), 7):  # in small pieces
                writer.write(data[at : at + 7])
                await asyncio.sleep(0)
            async with asyncio.timeout(5):
                await reader.read()
        writer.close()
        assert await system.spawn(Counter, 3).ask(Get()) == 3

    on_workers(body, 1)


def test_strangers_that_say_nothing_take_neither_room_nor_memory() -> None:
    async def body(system: ac.System) -> None:
        hub = _hub(system)
        silent = [await stranger(hub) for _ in range(STRANGERS + 6)]
        async with asyncio.timeout(5):
            for reader, _ in silent[:6]:
                with contextlib.suppress(ConnectionError):
                    assert await reader.read() == b"", "the oldest give way at once"
        assert len(hub._strangers) == STRANGERS and hub.refused == 6
        _, long = silent[6]
        long.write(struct.pack("<4sBBHII", b"ACT1", 1, e.HELLO, 0, 1 << 24, 0))  # 16 MiB to come
        with contextlib.suppress(ConnectionError):
            await silent[6][0].read()
        assert len(hub._strangers) == STRANGERS - 1, "too much from one that is not known"
        assert await system.spawn(Counter, 3).ask(Get()) == 3
        silent.append(await stranger(hub))
        os.kill(system.workers()[0].pid, signal.SIGKILL)  # a new worker still gets through

        async def again() -> bool:
            return bool(system.workers()[0].restarts == 1 and system.workers()[0].state == "up")

        await until(again)
        for _, writer in silent:
            writer.close()

    on_workers(body, 1)


def test_a_worker_that_breaks_the_protocol_is_killed_and_started_again() -> None:
    async def body(system: ac.System) -> None:
        ref = system.spawn(Counter, 4, place=1)
        assert await ref.ask(Get()) == 4
        node = system._workers._node  # type: ignore[union-attr]
        connection = node.links[1].connection
        raw = frame(e.BATCH, struct.pack(">B", 0xC1), number=node.links[1].session.taken + 1)[0]
        connection.get_buffer(-1)[: len(raw)] = raw
        asking = asyncio.ensure_future(ref.ask("slow", 20))
        await asyncio.sleep(0)
        connection.buffer_updated(len(raw))
        with pytest.raises(WorkerDied, match="no process of this system says"):
            await asking
        assert await ref.ask(Get(), 15) == 4
        assert system.workers()[0].restarts == 1

    on_workers(body, 2)


def test_a_flood_at_a_slow_worker_is_refused_and_memory_stays_bounded() -> None:
    async def body(system: ac.System) -> None:
        slow = system.spawn(Counter)
        assert await slow.ask(Get()) == 0
        refused = sum(not slow.tell(Add(1)).ok for _ in range(60_000))
        assert refused > 10_000, "beyond the link's window and what may wait"
        assert len(system.dead_letters.find(reason="link_full")) > 0
        await slow.send(Add(1), timeout=20)
        await system.idle()
        assert await slow.ask(Get()) == 60_001 - refused

    assert on_workers(body, 1).lost == 0


KILLED = """
import asyncio, os, signal, sys
import actinium as ac

class Here(ac.Actor):
    @ac.on
    def pid(self, m: str) -> int:
        return os.getpid()

async def main() -> None:
    async with ac.System(workers=2) as system:
        pids = [await system.spawn(Here).ask("pid") for _ in range(2)]
        print(system._workers._address, *pids, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    asyncio.run(main())
"""


def test_LC_3_a_first_process_that_is_killed_leaves_nothing_behind(tmp_path: Path) -> None:
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    before = set(Path(tempfile.gettempdir()).glob("actinium-*"))
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    name, *pids = done.stdout.split()
    for pid in pids:
        with contextlib.suppress(OSError):  # the other end of its pipe is closed: it ends at once
            ended = os.pidfd_open(int(pid))
            assert select.select([ended], [], [], 10.0)[0], f"worker {pid} lives on"
            os.close(ended)
    assert set(Path(tempfile.gettempdir()).glob("actinium-*")) <= before
    assert f"@actinium-{name}" not in Path("/proc/net/unix").read_text()
