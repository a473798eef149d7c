"""Who looks at the rings: the event loop itself, or a thread that wakes it once for many messages."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Protocol

from ..abi import futex

if TYPE_CHECKING:
    from .block import HostBlock
    from .launch import Launch

SPIN, PARK = 100e-6, 5e-3
"""Seconds a thread goes on looking after the last message, and sleeps at most."""
_NAP = 20e-6
_LOOK = 0.02


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


class Poller(threading.Thread):
    """A thread that looks at the rings of one launch and has the loop read them.

    It goes on looking for a while after the last message; then it sleeps until a block rings, or
    for PARK seconds where nobody rings.
    """

    def __init__(self, launch: Launch) -> None:
        super().__init__(name=f"actinium.gpu.{launch.name}", daemon=True)
        self._launch = launch
        self._loop = asyncio.get_running_loop()
        self._read = threading.Event()
        self._closed = False
        self._told = threading.Event()
        self._fresh: dict[HostBlock, None] = {}
        """Blocks whose rings have something new since they were woken."""
        self.start()

    def kick(self, block: HostBlock) -> None:
        if not self._fresh:
            self._loop.call_soon(self._ring)
        self._fresh[block] = None

    def _ring(self) -> None:
        """Once for all messages of this turn of the loop."""
        if self._fresh and not self._closed:
            fresh, self._fresh = self._fresh, {}
            for block in fresh:
                block.ring()
            self._told.set()

    def turn(self) -> bool:
        self._ring()
        return self._launch.poll()

    def run(self) -> None:
        last = time.monotonic()
        looked = last
        while not self._closed:
            self._launch.beat()
            now = time.monotonic()
            if now - looked > _LOOK:
                looked = now
                self._look()
            if self._wanted():
                last = now
                self._read.clear()
                try:
                    self._loop.call_soon_threadsafe(self._poll)
                except RuntimeError:
                    return  # the loop was closed
                self._read.wait(PARK)
            elif now - last < SPIN:
                time.sleep(_NAP)
            else:
                self._park()

    def _look(self) -> None:
        """Whether the kernel is still there, and its handlers end."""
        try:
            self._loop.call_soon_threadsafe(self._launch.look)
        except RuntimeError:
            self._closed = True

    def _wanted(self) -> bool:
        return any(
            block.ready() or (block.waits_for_room() and block.depth < block.maker.capacity)
            for block in self._launch.blocks
        )

    def _park(self) -> None:
        launch = self._launch
        blocks = launch.blocks
        if len(blocks) > 1 or any(block.waits_for_room() for block in blocks):
            self._told.wait(PARK / 10)
            self._told.clear()
            return
        (block,) = blocks
        memory = launch.region.memory
        at = block.line.where("bell")
        seen = futex.word(memory, at)
        launch.region.host["parked"] = 1
        if not self._wanted() and not self._closed:
            futex.wait(memory, at, seen, PARK)
        launch.region.host["parked"] = 0

    def _poll(self) -> None:
        try:
            self._launch.poll()
        finally:
            self._read.set()

    def close(self) -> None:
        self._closed = True
        self._read.set()
        self._told.set()
        if threading.current_thread() is not self:
            self.join(1.0)
