"""A resident program on a GPU: loaded and given its memory before the launch, then left alone.

All that a driver might do at leisure is done first: the module is loaded, the state allocated and
cleared, the region registered as pinned memory. While the kernel runs this package makes no call
that waits for the device (GP-5).
"""

from __future__ import annotations

import ctypes
import mmap
import time
from typing import Any, Final

from actinium.errors import DeviceLost, GpuError, GpuUnavailable, Unavailable, UsageError

from ..abi.geometry import Geometry
from ..abi.lines import DEV_BLOCK, HOST_LINE
from ..abi.words import State, Stop
from ..codegen.cache import Cache
from ..codegen.nvrtc import cubin_of, numbers
from ..codegen.resident_cuda import Resident
from ..hardware.driver import CallFailed, Driver
from ..hardware.find import Device, device
from ..hardware.occupancy import check_fits
from ..program import Program
from .cpu import check_slots

_NON_BLOCKING: Final = 1  # CU_STREAM_NON_BLOCKING
_PORTABLE_MAPPED: Final = 3  # CU_MEMHOSTREGISTER_PORTABLE | CU_MEMHOSTREGISTER_DEVICEMAP
_START_S: Final = 10.0
_STATE: Final = next(field.offset for field in DEV_BLOCK.fields if field.name == "state")
_STOP: Final = next(field.offset for field in HOST_LINE.fields if field.name == "stop")


class CudaExecutor:
    """Runs the blocks of a launch on one GPU.

    ``region`` holds the written configuration. Only one launch of a process can be prepared at a
    time, and none while another is resident: a launch has a process of its own
    (``isolation="process"``).

    Raises:
        GpuUnavailable: there is no GPU, or its driver is older than NVRTC (`ToolchainMismatch`).
        CapabilityMissing: the GPU cannot keep a kernel resident.
        MissingExtra: NVRTC is not installed.
        LayoutError: the longest message or reply does not fit a slot of the region.
    """

    name = "cuda"

    def __init__(
        self,
        program: Program,
        region: mmap.mmap | bytearray,
        fd: int,
        geometry: Geometry,
        *,
        ordinal: int = 0,
        driver: Driver | None = None,
        cache: Cache | None = None,
    ) -> None:
        check_slots(program, geometry)
        self.device: Device = device(ordinal, driver)
        self._driver = self.device.driver
        caps = self.device.caps
        caps.require("resident actors")
        self.device.check_toolchain(numbers())
        self._geometry = geometry
        self._resident = Resident(program, geometry)
        text = self._resident.text("cuda")
        program.check_capability(caps.architecture)
        self.cubin = cubin_of(text, caps.architecture, program.strict, cache, Resident.entry)
        self._held: Any = (ctypes.c_char * len(region)).from_buffer(region)
        self._address = ctypes.addressof(self._held)
        self._size = len(region)
        self._undo: list[tuple[str, tuple[Any, ...]]] = []
        self._context: Any = None
        self._stream: Any = None
        self._runs = False

    @staticmethod
    def missing() -> tuple[str, str] | None:
        """None where it can run, else the reason and what helps."""
        try:
            found = device(0)
            found.caps.require("resident actors")
            found.check_toolchain(numbers())
        except GpuUnavailable as e:
            return e.reason, e.hint
        except (GpuError, ImportError) as e:
            return str(e), 'pip install "actinium[gpu]"' if isinstance(e, ImportError) else ""
        except RuntimeError as e:  # how cuda-bindings says that NVRTC's library does not load
            return f"NVRTC: {e}", 'pip install "actinium[gpu]"'
        return None

    def start(self) -> None:
        """Launches the kernel; every block reports RUNNING when this returns.

        Raises:
            DoesNotFit: more blocks than the GPU holds at a time; nothing was launched.
            WouldBlockResident: another kernel of this process is resident.
            DeviceLost: the kernel broke.
            UsageError: it was started before.
        """
        if self._stream is not None:
            raise UsageError("this executor was started before; make a new one over a new region")
        if self._driver.resident:
            self._driver.call("cuModuleLoadData")  # says why that cannot be
        try:
            self._launch()
        except GpuError:
            self._give_back()
            raise
        self._runs = True
        until = time.monotonic() + _START_S
        while not all(self._state(b) != State.NOT_STARTED for b in range(self._geometry.blocks)):
            if self.ended(0) or time.monotonic() > until:
                if self._runs:
                    self._stop()
                    self.ended(_START_S)
                raise Unavailable(
                    f"the kernel was launched and not every block began within {_START_S:g} s; "
                    "is another program using the GPU?"
                )
            time.sleep(0.0001)

    def _launch(self) -> None:
        g, driver, block = self._geometry, self._driver, self._resident
        self._context = self._take("cuDevicePrimaryCtxRetain", "cuDevicePrimaryCtxRelease", self.device.handle, keep=self.device.handle)  # fmt: skip
        with driver.in_context(self._context):
            module = self._take("cuModuleLoadData", "cuModuleUnload", self.cubin.data)
            function = driver.call("cuModuleGetFunction", module, Resident.entry.encode())
            if block.shared:
                attribute = driver.api.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES  # fmt: skip
                driver.call("cuFuncSetAttribute", function, attribute, block.shared)
            check_fits(self.device, function, g.blocks, block.threads, block.shared)
            states = self._take("cuMemAlloc", "cuMemFree", block.states)
            driver.call("cuMemsetD8", states, 0, block.states)
            self._take("cuMemHostRegister", "cuMemHostUnregister", self._address, self._size, _PORTABLE_MAPPED, keep=self._address)  # fmt: skip
            region = driver.call("cuMemHostGetDevicePointer", self._address, 0)
            self._stream = self._take("cuStreamCreate", "cuStreamDestroy", _NON_BLOCKING)
            driver.call("cuCtxSynchronize")  # the clearing is done before anything is resident
            arguments = (ctypes.c_uint64 * 2)(int(region), int(states))
            at = ctypes.addressof(arguments)
            pointers = (ctypes.c_void_p * 2)(at, at + 8)
            driver.call(
                "cuLaunchCooperativeKernel", function, g.blocks, 1, 1, block.threads, 1, 1,
                block.shared, self._stream, ctypes.addressof(pointers),
            )  # fmt: skip
            driver.enters()

    def _take(self, name: str, undo: str, *arguments: Any, keep: Any = None) -> Any:
        """A call that :meth:`_give_back` undoes, with ``keep`` or with what it answered."""
        got = self._driver.call(name, *arguments)
        self._undo.append((undo, (got if keep is None else keep,)))
        return got

    def _give_back(self) -> None:
        """Undoes what was done, last first. A broken context gives back by itself."""
        while self._undo:
            name, arguments = self._undo.pop()
            try:
                if name == "cuDevicePrimaryCtxRelease":
                    self._driver.unguarded(name, *arguments)
                else:
                    with self._driver.in_context(self._context):
                        self._driver.unguarded(name, *arguments)
            except GpuError:
                continue
        self._held = None

    def _state(self, block: int) -> int:
        at = self._address + self._geometry.dev_block(block) + _STATE
        return ctypes.c_uint32.from_address(at).value

    def _stop(self) -> None:
        at = self._address + self._geometry.offsets["host_line"] + _STOP
        ctypes.c_uint32.from_address(at).value = Stop.NOW

    def ended(self, timeout: float) -> bool:
        """Waits up to ``timeout`` seconds for every block to end, after it was told to.

        Raises:
            DeviceLost: the kernel did not end, it broke; the context of this process is of no
                more use.
        """
        until = time.monotonic() + timeout
        while self._runs and not self._done():
            if time.monotonic() >= until:
                return False
            time.sleep(0.0002)
        return True

    def _done(self) -> bool:
        try:
            with self._driver.in_context(self._context):
                self._driver.call("cuStreamQuery", self._stream)
        except CallFailed as error:
            if error.code == "CUDA_ERROR_NOT_READY":
                return False
            self._leave()
            raise
        except DeviceLost:
            self._leave()
            raise
        self._leave()
        return True

    def _leave(self) -> None:
        self._runs = False
        self._driver.leaves()
        self._give_back()

    def force(self) -> None:
        """A kernel cannot be ended from outside.

        Raises:
            Unavailable: always, unless it has ended.
        """
        if not self.ended(0):
            raise Unavailable(
                "a resident kernel cannot be ended from outside: a handler ends by its budget "
                "(max_steps), or all of it with the process (isolation='process')"
            )
