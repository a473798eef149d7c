"""A resident program on this machine's processor: native threads that never meet the interpreter."""

from __future__ import annotations

import atexit
import ctypes
import mmap
import time
from typing import Any

from actinium.errors import LayoutError, Unavailable, UsageError

from ..abi.geometry import Geometry
from ..abi.lines import DEV_BLOCK, HOST_LINE
from ..abi.words import LINE, MORE, State, Stop
from ..codegen.cache import Cache
from ..codegen.host import compiler
from ..codegen.resident import cpu_text, sizes
from ..program import Program
from .native import load

_SENDER, _SOURCE = 8, 4
_START_S = 5.0
_ENDS_AT_EXIT_S = 1.0
_RUNNING: set[CpuExecutor] = set()


class CpuExecutor:
    """Runs the blocks of a launch, by default each on an operating-system thread of its own.

    A block spins for about 20 microseconds after its last message, then sleeps until the host
    rings its bell. ``region`` holds the written configuration.

    Raises:
        Unavailable: there is no C++ compiler.
        LayoutError: the longest message or reply does not fit a slot of the region.
    """

    name = "cpu"

    def __init__(
        self,
        program: Program,
        region: mmap.mmap | bytearray,
        fd: int,
        geometry: Geometry,
        *,
        threads: int | None = None,
        cache: Cache | None = None,
    ) -> None:
        check_slots(program, geometry)
        self._threads = geometry.blocks if threads is None else threads
        if not 1 <= self._threads <= geometry.blocks:
            raise UsageError(f"threads must be 1..{geometry.blocks}, got {threads!r}")
        self._geometry = geometry
        self._library: Any = load(program, cache, cpu_text(program), ("-pthread",))
        self._library.ac_join.argtypes = (ctypes.c_void_p, ctypes.c_uint64)
        self._held: Any = (ctypes.c_char * len(region)).from_buffer(region)
        self._region = ctypes.addressof(self._held)
        self._tasks: Any = None
        self._left: list[int] = []

    @staticmethod
    def missing() -> tuple[str, str] | None:
        """None where it can run, else the reason and what helps."""
        try:
            compiler()
        except Unavailable as e:
            return str(e), "apt-get install g++"
        return None

    def _state(self, block: int) -> int:
        at = self._region + self._geometry.dev_block(block) + _STATE
        return ctypes.c_uint32.from_address(at).value

    def start(self) -> None:
        """Starts the threads; every block reports RUNNING when this returns.

        Raises:
            Unavailable: the machine gives no more threads or memory.
            UsageError: it was started before.
        """
        if self._tasks is not None:
            raise UsageError("this executor was started before; make a new one over a new region")
        g = self._geometry
        stride = g.state_stride * g.blocks * g.actors
        self._states = ctypes.create_string_buffer(stride + LINE)
        states = ctypes.addressof(self._states)
        states += -states % LINE
        size = self._library.ac_task_size()
        self._tasks = ctypes.create_string_buffer(size * self._threads)
        at = ctypes.addressof(self._tasks)
        started = self._library.ac_start(
            self._tasks, ctypes.c_void_p(self._region), ctypes.c_void_p(states), self._threads
        )
        self._left = [at + size * i for i in range(started)]
        _RUNNING.add(self)
        until = time.monotonic() + _START_S
        while started == self._threads and time.monotonic() < until:
            if all(self._state(block) != State.NOT_STARTED for block in range(g.blocks)):
                return
            time.sleep(0.0001)
        self._stop()
        self.ended(_START_S)
        raise Unavailable(
            f"{started} of {self._threads} threads were started, and not every block began; "
            "launch fewer instances or raise the limit of threads"
        )

    def _stop(self) -> None:
        at = self._region + self._geometry.offsets["host_line"] + _STOP
        ctypes.c_uint32.from_address(at).value = Stop.NOW

    def ended(self, timeout: float) -> bool:
        """Waits up to ``timeout`` seconds for every block to end, after it was told to."""
        until = time.monotonic() + timeout
        while self._left:
            left = max(0.0, until - time.monotonic())
            if not self._library.ac_join(self._left[-1], int(left * 1e9)):
                return False
            self._left.pop()
        if self._tasks is not None:
            _RUNNING.discard(self)
            self._held = None  # lets go of the region
        return True

    def force(self) -> None:
        """A thread cannot be ended from outside.

        Raises:
            Unavailable: always, unless all have ended.
        """
        if not self.ended(0):
            raise Unavailable(
                "a native thread cannot be ended from outside: its handler ends by its budget "
                "(max_steps), or with the process (isolation='process')"
            )


_STOP = next(field.offset for field in HOST_LINE.fields if field.name == "stop")
_STATE = next(field.offset for field in DEV_BLOCK.fields if field.name == "state")


def check_slots(program: Program, geometry: Geometry) -> None:
    """Whether every message, bounced or not, and every reply of a program fits the slots.

    Raises:
        LayoutError: one does not; the text names the bytes.
    """
    known = sizes(program).values()
    most_in = max((size for size, _ in known), default=0) + _SENDER
    told = [_SOURCE + message.__gpu_record__.size for message in program.told]
    most_out = max([0, *told, *(reply for _, reply in known)])
    for what, needed, lines in (
        ("in_bytes", most_in, geometry.in_lines),
        ("out_bytes", max(most_in, most_out), geometry.out_lines),
    ):
        needs = Geometry(0, 1, 1, 16, needed, needed, 1, stamped=geometry.stamped).in_lines
        if lines < needs:
            raise LayoutError(
                f"{program.name} needs {what} of {needed}, sender included; the region's slots "
                f"hold {what} of {getattr(geometry, what)} ({lines} lines of {LINE}, {MORE} of data)"
            )


@atexit.register
def _end_all() -> None:
    """Ends what still runs; memory of a thread that does not listen is never given back."""
    for executor in list(_RUNNING):
        executor._stop()
    for executor in list(_RUNNING):
        if not executor.ended(_ENDS_AT_EXIT_S):
            for kept in (executor, executor._held, executor._states, executor._tasks):
                ctypes.pythonapi.Py_IncRef(ctypes.py_object(kept))
