"""A driver with the functions that the package calls, and a device that is a few numbers."""

from __future__ import annotations

from typing import Any

ATTRIBUTES = {
    "MULTIPROCESSOR_COUNT": 132,
    "WARP_SIZE": 32,
    "CLOCK_RATE": 1_980_000,
    "MAX_THREADS_PER_BLOCK": 1024,
    "MAX_THREADS_PER_MULTIPROCESSOR": 2048,
    "MAX_BLOCKS_PER_MULTIPROCESSOR": 32,
    "MAX_REGISTERS_PER_MULTIPROCESSOR": 65_536,
    "MAX_SHARED_MEMORY_PER_BLOCK_OPTIN": 232_448,
    "MAX_SHARED_MEMORY_PER_MULTIPROCESSOR": 233_472,
    "RESERVED_SHARED_MEMORY_PER_BLOCK": 1024,
    "L2_CACHE_SIZE": 62_914_560,
    "COOPERATIVE_LAUNCH": 1,
    "HOST_REGISTER_SUPPORTED": 1,
    "CAN_MAP_HOST_MEMORY": 1,
    "HOST_NATIVE_ATOMIC_SUPPORTED": 0,
    "CLUSTER_LAUNCH": 1,
    "TENSOR_MAP_ACCESS_SUPPORTED": 1,
    "MEMORY_POOLS_SUPPORTED": 1,
    "COMPUTE_PREEMPTION_SUPPORTED": 1,
    "KERNEL_EXEC_TIMEOUT": 0,
    "COMPUTE_CAPABILITY_MAJOR": 9,
    "COMPUTE_CAPABILITY_MINOR": 0,
}
"""As an H200 answers."""


class Code(int):
    """A CUresult."""

    name: str

    def __new__(cls, value: int, name: str) -> Code:
        made = super().__new__(cls, value)
        made.name = name
        return made


GOOD = Code(0, "CUDA_SUCCESS")


class _Names:
    """An enum that answers with the rest of a name."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def __getattr__(self, name: str) -> str:
        return name.removeprefix(self._prefix)


class FakeApi:
    """Counts its calls in ``calls``; ``fail`` maps a call to the name of the error it answers."""

    CUdevice_attribute = _Names("CU_DEVICE_ATTRIBUTE_")
    CUfunction_attribute = _Names("CU_FUNC_ATTRIBUTE_")

    def __init__(self, **attributes: int) -> None:
        self.attributes = {**ATTRIBUTES, **attributes}
        self.fail: dict[str, str] = {}
        self.calls: list[str] = []
        self.devices = 1
        self.version = 13_000
        self.registers = 64
        self.static_shared = 0
        self.per_sm = 4
        self.running = False
        self.launched: list[tuple[Any, ...]] = []
        self.memory: dict[int, int] = {}
        self.registered: set[int] = set()
        self.modules: set[int] = set()
        self._next = 4096

    def __getattribute__(self, name: str) -> Any:
        found = object.__getattribute__(self, name)
        if not name.startswith("cu"):
            return found

        def counted(*arguments: Any) -> tuple[Any, ...]:
            self.calls.append(name)
            if name in self.fail:
                return (Code(1, self.fail[name]),)
            values = found(*arguments)
            return (GOOD, *values) if isinstance(values, tuple) else (values,)

        return counted

    def _address(self, size: int) -> int:
        address = self._next
        self._next += size + 4096
        return address

    def cuInit(self, flags: int) -> Any:
        return ()

    def cuDriverGetVersion(self) -> Any:
        return (self.version,)

    def cuDeviceGetCount(self) -> Any:
        return (self.devices,)

    def cuDeviceGet(self, ordinal: int) -> Any:
        return (ordinal,)

    def cuDeviceGetName(self, length: int, device: int) -> Any:
        return (b"Test device\0\0",)

    def cuDeviceTotalMem(self, device: int) -> Any:
        return (141 << 30,)

    def cuDeviceGetAttribute(self, name: str, device: int) -> Any:
        return (self.attributes[name],)

    def cuDevicePrimaryCtxRetain(self, device: int) -> Any:
        return ("context",)

    def cuDevicePrimaryCtxRelease(self, device: int) -> Any:
        return ()

    def cuCtxGetCurrent(self) -> Any:
        return (None,)

    def cuCtxSetCurrent(self, context: Any) -> Any:
        return ()

    def cuModuleLoadData(self, image: bytes) -> Any:
        self.modules.add(1)
        return (1,)

    def cuModuleUnload(self, module: int) -> Any:
        self.modules.remove(module)
        return ()

    def cuModuleGetFunction(self, module: int, name: bytes) -> Any:
        return (name.decode(),)

    def cuFuncGetAttribute(self, name: str, function: str) -> Any:
        return ({"NUM_REGS": self.registers, "SHARED_SIZE_BYTES": self.static_shared}[name],)

    def cuFuncSetAttribute(self, function: str, name: str, value: int) -> Any:
        return ()

    def cuOccupancyMaxActiveBlocksPerMultiprocessor(self, f: str, threads: int, shared: int) -> Any:
        return (self.per_sm,)

    def cuMemAlloc(self, size: int) -> Any:
        address = self._address(size)
        self.memory[address] = size
        return (address,)

    def cuMemFree(self, address: int) -> Any:
        del self.memory[address]
        return ()

    def cuMemsetD8(self, address: int, value: int, size: int) -> Any:
        assert self.memory[address] == size
        return ()

    def cuMemHostRegister(self, address: int, size: int, flags: int) -> Any:
        self.registered.add(address)
        return ()

    def cuMemHostUnregister(self, address: int) -> Any:
        self.registered.remove(address)
        return ()

    def cuMemHostGetDevicePointer(self, address: int, flags: int) -> Any:
        assert address in self.registered
        return (address,)

    def cuCtxSynchronize(self) -> Any:
        assert not self.running, "would wait for ever"
        return ()

    def cuStreamCreate(self, flags: int) -> Any:
        assert flags == 1, "only streams that do not wait for the legacy one"
        return ("stream",)

    def cuStreamDestroy(self, stream: Any) -> Any:
        return ()

    def cuStreamQuery(self, stream: Any) -> Any:
        return Code(600, "CUDA_ERROR_NOT_READY") if self.running else ()

    def cuLaunchCooperativeKernel(self, *arguments: Any) -> Any:
        self.running = True
        self.launched.append(arguments)
        return ()
