"""One worker process as the first process sees it: started, watched, and why it ended."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import deque

import msgspec

from actinium.errors import WorkerDied

LINES = 20
"""Last lines of standard error that are kept of each worker."""


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker is told on its standard input: one line of JSON."""

    name: str
    folder: str
    token: str
    index: int
    incarnation: int
    workers: int
    path: list[str]
    main: str = ""
    """The program's main module (``module:NAME``) or file (``file:PATH``)."""
    store: str = ""
    settings: bytes = b""


class WorkerProcess:
    """A worker process; its standard error passes through this one's, the last lines are kept."""

    def __init__(self, index: int, incarnation: int) -> None:
        self.index = index
        self.incarnation = incarnation
        self.lines: deque[str] = deque(maxlen=LINES)
        self.process: asyncio.subprocess.Process | None = None
        self._stderr: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        """The process id."""
        return self.process.pid if self.process is not None else 0

    async def start(self, orders: Orders) -> None:
        """Starts the interpreter this process runs on, with the same modules in reach."""
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(p for p in orders.path if p),
        }
        self.process = process = await asyncio.create_subprocess_exec(
            sys.executable,
            *["-" + "O" * sys.flags.optimize] * bool(sys.flags.optimize),
            "-m",
            "actinium.cluster.worker",
            stdin=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment,
            limit=1024 * 1024,
        )
        stdin, stderr = process.stdin, process.stderr
        assert stdin is not None and stderr is not None
        # The pipe stays open: its end tells the worker that this process is gone.
        stdin.write(msgspec.json.encode(orders) + b"\n")
        self._stderr = asyncio.get_running_loop().create_task(
            self._pass_on(stderr), name=f"actinium.worker.{self.index}.stderr"
        )

    async def _pass_on(self, stream: asyncio.StreamReader) -> None:
        while True:
            try:
                line = await stream.readline()
            except ValueError:  # a line beyond all bounds
                line = await stream.read(65536)
            if not line:
                return
            text = line.decode(errors="replace").rstrip("\r\n")
            self.lines.append(text[:1000])
            try:
                sys.stderr.write(text + "\n")
            except (OSError, ValueError):  # this process has none; the worker shall not stall
                continue

    def kill(self) -> None:
        """Ends it at once."""
        if self.process is not None and self.process.returncode is None:
            self.process.kill()

    async def wait(self) -> WorkerDied:
        """Waits for its end and says how it came."""
        assert self.process is not None and self._stderr is not None
        code = await self.process.wait()
        try:
            async with asyncio.timeout(1.0):
                await asyncio.shield(self._stderr)
        except TimeoutError:  # a grandchild holds the pipe
            self._stderr.cancel()
        return death(self.index, code, tuple(self.lines))

    async def close(self) -> None:
        """Lets go of the pipes of a process that has ended."""
        if self.process is not None and self.process.stdin is not None:
            self.process.stdin.close()
        if self._stderr is not None:
            await asyncio.gather(self._stderr, return_exceptions=True)


def death(index: int, code: int, lines: tuple[str, ...]) -> WorkerDied:
    """The error that says how a worker ended."""
    exitcode, name = (code, None) if code >= 0 else (None, _signal_name(-code))
    how = f"exit code {code}" if name is None else f"killed by {name}"
    if name == "SIGKILL":
        how += " (by somebody, or by the system for lack of memory)"
    text = f"worker {index} ended: {how}"
    if lines:
        text += "; its last lines on stderr:\n  " + "\n  ".join(lines[-8:])
    return WorkerDied(text, index, exitcode, name, lines)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
