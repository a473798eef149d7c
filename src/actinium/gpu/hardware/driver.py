"""The CUDA driver API: every call of this package goes through one place.

The driver is found when it is first asked for, never at import. While a kernel is resident, a call
that may wait for the device would wait for ever: such a call, and any that is not known to return,
is refused before it is made (GP-5).
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any, Final

from actinium.errors import DeviceLost, GpuError, GpuUnavailable, WouldBlockResident

RETURNS: Final = frozenset(
    {
        "cuInit",
        "cuDriverGetVersion",
        "cuDeviceGet",
        "cuDeviceGetCount",
        "cuDeviceGetName",
        "cuDeviceGetAttribute",
        "cuDeviceTotalMem",
        "cuCtxSetCurrent",
        "cuCtxGetCurrent",
        "cuFuncGetAttribute",
        "cuOccupancyMaxActiveBlocksPerMultiprocessor",
        "cuStreamQuery",
        "cuEventQuery",
        "cuGetErrorName",
        "cuGetErrorString",
    }
)
"""Calls that ask or look, and never wait for the device."""

_LOST: Final = frozenset(
    {
        "CUDA_ERROR_ILLEGAL_ADDRESS",
        "CUDA_ERROR_ILLEGAL_INSTRUCTION",
        "CUDA_ERROR_MISALIGNED_ADDRESS",
        "CUDA_ERROR_INVALID_ADDRESS_SPACE",
        "CUDA_ERROR_INVALID_PC",
        "CUDA_ERROR_HARDWARE_STACK_ERROR",
        "CUDA_ERROR_ASSERT",
        "CUDA_ERROR_LAUNCH_FAILED",
        "CUDA_ERROR_LAUNCH_TIMEOUT",
        "CUDA_ERROR_ECC_UNCORRECTABLE",
        "CUDA_ERROR_NVLINK_UNCORRECTABLE",
        "CUDA_ERROR_DEVICE_UNAVAILABLE",
        "CUDA_ERROR_CONTEXT_IS_DESTROYED",
        "CUDA_ERROR_UNKNOWN",
    }
)
"""After these the context is of no more use, and what was in its memory is gone."""

_ABSENT: Final = {
    "CUDA_ERROR_NO_DEVICE": ("the driver sees no GPU", "look at CUDA_VISIBLE_DEVICES and nvidia-smi"),
    "CUDA_ERROR_STUB_LIBRARY": ("libcuda is a stub without a driver", "install the NVIDIA driver"),
    "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH": ("libcuda and the kernel module are of two versions", "restart the machine"),
    "CUDA_ERROR_INSUFFICIENT_DRIVER": ("the driver is older than cuda-bindings needs", "update the NVIDIA driver"),
    "CUDA_ERROR_DEVICE_NOT_LICENSED": ("the GPU has no licence for compute work", "license it"),
    "CUDA_ERROR_DEVICES_UNAVAILABLE": ("another process holds the GPU for itself", "end it, or set the compute mode to Default"),
    "CUDA_ERROR_SYSTEM_NOT_READY": ("the system is not ready for GPUs", "start nvidia-fabricmanager"),
    "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE": ("the CUDA compatibility package does not serve this GPU", "update the NVIDIA driver"),
}  # fmt: skip


class CallFailed(GpuError):
    """A driver call answered with an error; ``code`` is its name."""

    def __init__(self, call: str, code: str) -> None:
        super().__init__(f"{call} answered {code}")
        self.call = call
        self.code = code


class Driver:
    """The driver API behind ``api``, an object with its functions by name (``cuInit`` and so on).

    A function answers with a tuple whose first item is a code, 0 for success. A thread makes a
    context current with :meth:`enter` before it calls what needs one.
    """

    def __init__(self, api: Any) -> None:
        self.api = api
        self._resident = 0
        self._lock = threading.Lock()

    def call(self, name: str, *arguments: Any) -> Any:
        """One driver call: what it answered, None, one value or a tuple.

        Raises:
            WouldBlockResident: a kernel is resident, and the call is not known to return.
            DeviceLost: the context is broken for good.
            GpuUnavailable: there is no device, or nobody may use it.
            CallFailed: any other error.
        """
        if self._resident and name not in RETURNS:
            raise WouldBlockResident(name)
        return self.unguarded(name, *arguments)

    def unguarded(self, name: str, *arguments: Any) -> Any:
        """The same without the guard, for one who has seen to it that the kernel has ended."""
        try:
            code, *values = getattr(self.api, name)(*arguments)
        except RuntimeError as error:  # how cuda-bindings says that a library or symbol is absent
            raise GpuUnavailable(
                f"{name}: {error}", "install or update the NVIDIA driver"
            ) from None
        if int(code) != 0:
            raise _error(name, getattr(code, "name", str(code)))
        return values[0] if len(values) == 1 else tuple(values) if values else None

    @property
    def resident(self) -> int:
        """How many kernels are resident."""
        return self._resident

    def enters(self) -> None:
        """A resident kernel has been launched."""
        with self._lock:
            self._resident += 1

    def leaves(self) -> None:
        """A resident kernel has ended."""
        with self._lock:
            self._resident -= 1

    @contextlib.contextmanager
    def in_context(self, context: Any) -> Iterator[None]:
        """Makes a context current on this thread, and afterwards the one that was."""
        before = self.call("cuCtxGetCurrent")
        self.call("cuCtxSetCurrent", context)
        try:
            yield
        finally:
            self.call("cuCtxSetCurrent", before)


def _error(call: str, code: str) -> GpuError:
    if code in _LOST:
        return DeviceLost(
            f"{call} answered {code}: the context and all state on the device are gone"
        )
    if code in _ABSENT:
        return GpuUnavailable(*_ABSENT[code])
    return CallFailed(call, code)


_lock = threading.Lock()
_driver: Driver | None = None


def driver() -> Driver:
    """This machine's driver, found and initialised once.

    Raises:
        GpuUnavailable: cuda-bindings, libcuda or a device is missing.
    """
    global _driver
    with _lock:
        if _driver is None:
            found = Driver(_bindings())
            found.call("cuInit", 0)
            _driver = found
        return _driver


def _bindings() -> Any:
    try:
        from cuda.bindings import driver as api
    except ImportError:
        raise GpuUnavailable(
            "cuda-bindings is not installed", 'pip install "actinium[gpu]"'
        ) from None
    return api
