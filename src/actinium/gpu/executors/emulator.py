"""The CUDA text of a resident program on fibers: each thread of each block, on one thread of this machine."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import threading
import time
from enum import IntEnum
from typing import Any

from actinium.errors import DeviceLost, Unavailable, UsageError

from ..abi.geometry import Geometry
from ..abi.lines import DEV_BLOCK, HOST_LINE
from ..abi.words import State, Stop
from ..codegen.cache import Cache
from ..codegen.host import compiler, library
from ..codegen.resident_cuda import WARPS, Resident
from ..program import Program
from .cpu import check_slots
from .native import loaded

_START_S = 20.0
_SLICE = 20_000
_STATE = next(field.offset for field in DEV_BLOCK.fields if field.name == "state")
_STOP = next(field.offset for field in HOST_LINE.fields if field.name == "stop")


class Outcome(IntEnum):
    """What an emulation does, after some steps."""

    RUNS = 0
    ENDED = 1
    STUCK = 2
    """Nobody can go on, or work under way made no progress for too long; `Emulation.dump` says why."""
    TRAPPED = 3
    """The kernel ended itself, as a GPU ends a grid with an error."""


class Emulation:
    """One grid, to be run step by step. The same seed gives the same run.

    Without ``real`` time is virtual: a switch between fibers takes 10 ns, and while all nap it
    jumps. ``watchdog`` is after how many switches without progress work under way counts as stuck
    (0: never).

    Raises:
        Unavailable: there is no C++ compiler.
        LayoutError: the longest message or reply does not fit a slot of the region.
    """

    def __init__(
        self, program: Program, region: mmap.mmap | bytearray, geometry: Geometry, *,
        seed: int = 0, real: bool = False, warps: int = WARPS, watchdog: int = 2_000_000,
        cache: Cache | None = None, text: str | None = None,
    ) -> None:  # fmt: skip
        check_slots(program, geometry)
        shape = Resident(program, geometry, warps)
        self._states = ctypes.create_string_buffer(shape.states + 128)
        states = ctypes.addressof(self._states)
        self._first_state = -states % 128
        self._geometry = geometry
        self._held: Any = (ctypes.c_char * len(region)).from_buffer(region)
        given = text or shape.text("emulator")
        data = library(given, program.strict, cache or Cache(), ("-O1",))  # compiles faster
        self._code: Any = loaded(data)
        self._code.ac_emu_new.restype = ctypes.c_void_p
        self._code.ac_emu_dump.restype = ctypes.c_char_p
        for name in ("ac_emu_switches", "ac_emu_now"):
            getattr(self._code, name).restype = ctypes.c_uint64
        self._grid = ctypes.c_void_p(
            self._code.ac_emu_new(
                ctypes.byref(self._held), ctypes.c_void_p(states + self._first_state), geometry.blocks,
                shape.threads, shape.shared, ctypes.c_uint64(seed), int(real),
                ctypes.c_uint64(watchdog),
            )
        )  # fmt: skip
        self._closed = False

    def step(self, switches: int = 10_000) -> Outcome:
        """Goes on for so many switches between fibers, or to the end."""
        self._open()
        return Outcome(self._code.ac_emu_step(self._grid, ctypes.c_uint64(switches)))

    def dump(self) -> str:
        """Who waits for what, and where in the text."""
        self._open()
        return str(self._code.ac_emu_dump(self._grid).decode())

    def state(self, index: int) -> bytes:
        """The state of an actor, as it is in the device's memory."""
        at = self._first_state + index * self._geometry.state_stride
        return self._states.raw[at : at + self._geometry.state_size]

    @property
    def switches(self) -> int:
        self._open()
        return int(self._code.ac_emu_switches(self._grid))

    @property
    def now(self) -> int:
        """The device's clock in nanoseconds."""
        self._open()
        return int(self._code.ac_emu_now(self._grid))

    def _open(self) -> None:
        if self._closed:
            raise UsageError("this emulation is closed; make a new one over a new region")

    def close(self) -> None:
        """Ends it where it is, and lets go of the region."""
        if not self._closed:
            self._closed = True
            self._code.ac_emu_free(self._grid)
            self._held = None


class EmulatorExecutor:
    """Runs the kernel on fibers of one thread, by this machine's clock.

    It is for tests: it runs what a GPU runs, warps and barriers and all, and some thousand times
    slower. ``seed`` other than 0 has the fibers overtake each other at random.

    Raises:
        Unavailable: there is no C++ compiler.
        LayoutError: the longest message or reply does not fit a slot of the region.
    """

    name = "emulator"

    def __init__(
        self, program: Program, region: mmap.mmap | bytearray, fd: int, geometry: Geometry, *,
        seed: int = 0, warps: int = WARPS, watchdog: int = 20_000_000, cache: Cache | None = None,
    ) -> None:  # fmt: skip
        self._geometry = geometry
        self._grid = Emulation(
            program, region, geometry, seed=seed, real=True, warps=warps, watchdog=watchdog,
            cache=cache,
        )  # fmt: skip
        self._view: memoryview | None = memoryview(region)
        self._thread: threading.Thread | None = None
        self._forced = False
        self.outcome = Outcome.RUNS
        self.report = ""
        """Who waited for what, when the kernel was stuck or trapped."""

    @staticmethod
    def missing() -> tuple[str, str] | None:
        """None where it can run, else the reason and what helps."""
        try:
            compiler()
        except Unavailable as e:
            return str(e), "apt-get install g++"
        return None

    def start(self) -> None:
        """Starts the thread; every block reports RUNNING when this returns.

        Raises:
            UsageError: it was started before.
            DeviceLost: the kernel got stuck or trapped before it ran.
        """
        if self._thread is not None:
            raise UsageError("this executor was started before; make a new one over a new region")
        self._thread = threading.Thread(target=self._run, name="actinium-emulator", daemon=True)
        self._thread.start()
        until = time.monotonic() + _START_S
        blocks = range(self._geometry.blocks)
        while self.outcome is Outcome.RUNS and time.monotonic() < until:
            if all(self._state(block) != State.NOT_STARTED for block in blocks):
                return
            time.sleep(0.0005)
        self.force()
        raise DeviceLost(f"the emulated kernel did not start: {self.outcome.name}\n{self.report}")

    def _state(self, block: int) -> int:
        assert self._view is not None
        at = self._geometry.dev_block(block) + _STATE
        return int.from_bytes(self._view[at : at + 4], "little")

    def _run(self) -> None:
        outcome = Outcome.RUNS
        while outcome is Outcome.RUNS and not self._forced:
            outcome = self._grid.step(_SLICE)
        if outcome in (Outcome.STUCK, Outcome.TRAPPED):
            self.report = self._grid.dump()
        self.outcome = outcome
        self._grid.close()

    def ended(self, timeout: float) -> bool:
        """Waits up to ``timeout`` seconds for every block to end, after it was told to."""
        if self._thread is not None:
            self._thread.join(timeout)
            if self._thread.is_alive():
                return False
        if self._view is not None:
            self._view.release()
            self._view = None
        return True

    def force(self) -> None:
        """Ends the kernel where it is, between two switches."""
        self._forced = True
        with contextlib.suppress(TypeError, ValueError):
            if self._view is not None:
                at = self._geometry.offsets["host_line"] + _STOP
                self._view[at : at + 4] = int(Stop.NOW).to_bytes(4, "little")
        self.ended(_START_S)
