"""One worker process as the first process sees it: started, watched, and why it ended."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import deque
from collections.abc import Iterable

import msgspec

from actinium.errors import WorkerDied

LINES = 20
"""Last lines of standard error that are kept of each worker."""

STACK_SECONDS = 1.0
"""How long a worker that hangs gets to print where it is."""

STACK_LINES = 400


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker is told on its standard input: one line of JSON."""

    name: str
    address: str
    token: str
    index: int
    incarnation: int
    workers: int
    heartbeat: float
    reconnect: float
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
        self.verdict = ""
        """Why this process was killed, if the system did it."""
        self._stack: deque[str] | None = None
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
            if self._stack is not None:
                self._stack.append(text[:1000])
            try:
                sys.stderr.write(text + "\n")
            except (OSError, ValueError):  # this process has none; the worker shall not stall
                continue

    def kill(self, verdict: str = "") -> None:
        """Ends it at once; ``verdict`` says why."""
        self.verdict = self.verdict or verdict
        if self.process is not None and self.process.returncode is None:
            self.process.kill()

    async def kill_with_stack(self, verdict: str) -> None:
        """Ends it, after it has said where it is, if it still can."""
        self._stack = deque(maxlen=STACK_LINES)
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(signal.SIGQUIT)
        seen = -1
        for _ in range(int(STACK_SECONDS / 0.05)):
            await asyncio.sleep(0.05)
            if len(self._stack) == seen and seen > 0:
                break
            seen = len(self._stack)
        stack = stack_in(self._stack)
        where = "it was at:\n  " + "\n  ".join(stack) if stack else "it could not say where it was"
        self.kill(f"{verdict}; {where}")

    async def wait(self) -> WorkerDied:
        """Waits for its end and says how it came."""
        assert self.process is not None and self._stderr is not None
        code = await self.process.wait()
        try:
            async with asyncio.timeout(1.0):
                await asyncio.shield(self._stderr)
        except TimeoutError:  # a grandchild holds the pipe
            self._stderr.cancel()
        return death(self.index, code, tuple(self.lines), self.verdict)

    async def close(self) -> None:
        """Lets go of a process that has ended, or was killed."""
        if self.process is not None:
            if self.process.stdin is not None:
                self.process.stdin.close()
            await self.process.wait()
        if self._stderr is not None:
            await asyncio.gather(self._stderr, return_exceptions=True)


def stack_in(lines: Iterable[str]) -> list[str]:
    """The stack of the thread that was asked, in what faulthandler prints; newest call first."""
    found: list[str] = []
    inside = False
    for line in lines:
        if line.startswith(("Current thread", "Thread", "Stack")) and "most recent call" in line:
            if found and inside:
                break
            inside = line.startswith(("Current", "Stack"))
        elif inside and line.startswith("  "):
            found.append(line.strip())
        elif inside and found:
            break
    return found


def death(index: int, code: int, lines: tuple[str, ...], verdict: str = "") -> WorkerDied:
    """The error that says how a worker ended."""
    exitcode, name = (code, None) if code >= 0 else (None, _signal_name(-code))
    how = f"exit code {code}" if name is None else f"killed by {name}"
    if verdict:
        how = f"it was killed, because {verdict}"
    elif name == "SIGKILL":
        how += " (by somebody, or by the system for lack of memory)"
    text = f"worker {index} ended: {how}"
    if lines and not verdict:
        text += "; its last lines on stderr:\n  " + "\n  ".join(lines[-8:])
    return WorkerDied(text, index, exitcode, name, lines)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
