"""The seam between a launch and what runs its kernel: one resident kernel over one region.

oracle     CPython runs the handlers, on the host's own thread
cpu        C++, one thread for each block
emulator   the CUDA text on fibers
cuda       a GPU
"""

from __future__ import annotations

import importlib
import mmap
from typing import Any, Protocol

from ..abi.geometry import Geometry
from ..program import Program


class Executor(Protocol):
    """Runs one kernel. Made as ``Class(program, region, fd, geometry)`` from a region that is ready.

    ``region`` is the shared memory, ``fd`` its file, for whoever maps it in another process.
    """

    name: str

    def start(self) -> None:
        """Has the kernel run: every block reports RUNNING when this returns.

        Raises:
            GpuError: it cannot; the error says why.
        """

    def ended(self, timeout: float) -> bool:
        """Waits up to ``timeout`` seconds for every block to end, after it was told to."""

    def force(self) -> None:
        """Ends the kernel from outside.

        Raises:
            Unsupported: that is impossible here; its lease ends it once this process has gone.
        """


class Stepped(Executor, Protocol):
    """An executor without a thread of its own: the host's event loop runs it."""

    def step(self) -> bool:
        """Handles a batch of what waits in the rings; False when there was nothing."""


HOMES = {
    "cuda": "cuda:CudaExecutor",
    "cpu": "cpu:CpuExecutor",
    "emulator": "emulator:EmulatorExecutor",
    "oracle": "pure:OracleExecutor",
}
"""Backend -> its class. Each has a static method ``missing()``: None where it can run, else
(reason, hint)."""


def executor_class(backend: str) -> Any:
    """The class of a backend, imported now."""
    module, _, name = HOMES[backend].partition(":")
    return getattr(importlib.import_module(f"{__package__}.{module}"), name)


def make(
    backend: str, program: Program, region: mmap.mmap, fd: int, geometry: Geometry
) -> Executor:
    """An executor over a region."""
    made: Executor = executor_class(backend)(program, region, fd, geometry)
    return made
