"""Who looks at the rings: the event loop itself, or a thread that wakes it once for many messages."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Protocol

from actinium._native import RingEnd, RingPoller

if TYPE_CHECKING:
    from .block import HostBlock
    from .launch import Launch

_LOOK = 0.02
"""Seconds between two looks at what the kernels do."""


class Driver(Protocol):
    """Keeps the messages of a launch moving."""

    def kick(self, block: HostBlock) -> None:
        """Something went into the ring of this block."""

    def turn(self) -> bool:
        """Moves what can be moved now, on the calling thread, which is the loop's; whether it did."""

    def close(self) -> None:
        """The kernel has ended."""


class Steps:
    """For an executor without a thread: the loop runs it, a batch at a time."""

    def __init__(self, launch: Launch) -> None:
        self._launch = launch
        self._loop = asyncio.get_running_loop()
        self._due = False
        self._closed = False

    def kick(self, block: HostBlock | None = None) -> None:
        if not self._due and not self._closed:
            self._due = True
            self._loop.call_soon(self._run)

    def _run(self) -> None:
        self._due = False
        if self.turn():
            self.kick()

    def turn(self) -> bool:
        launch = self._launch
        if self._closed:
            return False
        launch.beat()
        busy = launch.executor.step()
        return launch.poll() or busy

    def close(self) -> None:
        self._closed = True


class Watch:
    """One thread that looks at the rings of all launches of a runtime, while there are any.

    It wakes the loop once for all that came, and sleeps until a block rings its bell. It tells the
    devices that this process lives.
    """

    def __init__(self) -> None:
        self._launches: list[Launch] = []
        self._blocks: dict[RingEnd, HostBlock] = {}
        self._thread: RingPoller | None = None
        self._loop: asyncio.AbstractEventLoop
        self._fd = -1
        self._timer: asyncio.TimerHandle | None = None

    def add(self, launch: Launch) -> None:
        """Begins to look at a launch."""
        if self._thread is None:
            self._loop = asyncio.get_running_loop()
            self._fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
            self._thread = RingPoller(self._fd)
            self._loop.add_reader(self._fd, self._drain)
            self._timer = self._loop.call_later(_LOOK, self._look)
        self._launches.append(launch)
        for block in launch.blocks:
            self._blocks[block.end] = block
            self._thread.add(block.end)

    def remove(self, launch: Launch) -> None:
        """Looks at it no more."""
        if launch not in self._launches or self._thread is None:
            return
        self._launches.remove(launch)
        for block in launch.blocks:
            self._thread.remove(block.end)
            self._blocks.pop(block.end, None)
        if not self._launches:
            self._thread.stop()
            self._thread = None
            if self._timer is not None:
                self._timer.cancel()
            self._loop.remove_reader(self._fd)
            os.close(self._fd)

    def _drain(self) -> None:
        if self._thread is None:
            return
        found = self._thread.drain()
        for end, events in found:
            block = self._blocks.get(end)
            if block is not None:
                block.take(events)
        for block in list(self._blocks.values()):
            block.settle()

    def _look(self) -> None:
        """Whether the kernels are still there, and their handlers end."""
        self._timer = self._loop.call_later(_LOOK, self._look)
        for launch in list(self._launches):
            launch.look()


class Watched:
    """For an executor with threads, or a device, of its own."""

    def __init__(self, launch: Launch, watch: Watch) -> None:
        self._launch = launch
        self._watch = watch
        self._loop = asyncio.get_running_loop()
        self._fresh: dict[HostBlock, None] = {}
        """Blocks whose rings have something new since they were woken."""
        watch.add(launch)

    def kick(self, block: HostBlock) -> None:
        if not self._fresh:
            self._loop.call_soon(self._ring)
        self._fresh[block] = None

    def _ring(self) -> None:
        """Once for all messages of this turn of the loop."""
        fresh, self._fresh = self._fresh, {}
        for block in fresh:
            block.ring()

    def turn(self) -> bool:
        self._ring()
        return self._launch.poll()

    def close(self) -> None:
        self._watch.remove(self._launch)
