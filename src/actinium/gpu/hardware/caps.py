"""What a device can do, as its driver says, and what a feature needs of it.

No decision is taken from a device's name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from actinium.errors import CapabilityMissing, UsageError

from .driver import Driver

_ATTRIBUTES: Final = {
    "sms": "MULTIPROCESSOR_COUNT",
    "warp": "WARP_SIZE",
    "clock_khz": "CLOCK_RATE",
    "threads_per_block": "MAX_THREADS_PER_BLOCK",
    "threads_per_sm": "MAX_THREADS_PER_MULTIPROCESSOR",
    "blocks_per_sm": "MAX_BLOCKS_PER_MULTIPROCESSOR",
    "registers_per_sm": "MAX_REGISTERS_PER_MULTIPROCESSOR",
    "shared_per_block": "MAX_SHARED_MEMORY_PER_BLOCK_OPTIN",
    "shared_per_sm": "MAX_SHARED_MEMORY_PER_MULTIPROCESSOR",
    "shared_reserved": "RESERVED_SHARED_MEMORY_PER_BLOCK",
    "l2_bytes": "L2_CACHE_SIZE",
    "cooperative_launch": "COOPERATIVE_LAUNCH",
    "host_register": "HOST_REGISTER_SUPPORTED",
    "map_host_memory": "CAN_MAP_HOST_MEMORY",
    "native_host_atomics": "HOST_NATIVE_ATOMIC_SUPPORTED",
    "cluster_launch": "CLUSTER_LAUNCH",
    "tensor_copies": "TENSOR_MAP_ACCESS_SUPPORTED",
    "memory_pools": "MEMORY_POOLS_SUPPORTED",
    "preemption": "COMPUTE_PREEMPTION_SUPPORTED",
    "time_limit": "KERNEL_EXEC_TIMEOUT",
}
_FLAGS: Final = frozenset(
    {
        "cooperative_launch", "host_register", "map_host_memory", "native_host_atomics",
        "cluster_launch", "tensor_copies", "memory_pools", "preemption", "time_limit",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Caps:
    """Facts about one device."""

    capability: tuple[int, int]
    memory_bytes: int
    sms: int
    warp: int
    clock_khz: int
    threads_per_block: int
    threads_per_sm: int
    blocks_per_sm: int
    registers_per_sm: int
    shared_per_block: int
    """Bytes that a block may have when its kernel asks for more than the usual."""
    shared_per_sm: int
    shared_reserved: int
    """Bytes of each block that the driver keeps for itself."""
    l2_bytes: int
    cooperative_launch: bool
    host_register: bool
    map_host_memory: bool
    native_host_atomics: bool
    cluster_launch: bool
    tensor_copies: bool
    memory_pools: bool
    preemption: bool
    time_limit: bool
    """The driver ends kernels that take seconds, as it does where the device drives a display."""

    @property
    def architecture(self) -> str:
        """What NVRTC compiles for, such as ``sm_90a``."""
        major, minor = self.capability
        return f"sm_{major}{minor}{'a' if major >= 9 else ''}"

    def require(self, feature: str) -> None:
        """Raises CapabilityMissing unless the device has what a feature of :data:`NEEDS` needs."""
        if feature not in NEEDS:
            raise UsageError(f"feature must be one of {', '.join(NEEDS)}, got {feature!r}")
        for fact, needs in NEEDS[feature].items():
            has = getattr(self, fact)
            if has != needs if isinstance(needs, bool) else has < needs:
                raise CapabilityMissing(feature, fact.replace("_", " "), _shown(needs), _shown(has))


NEEDS: Final[dict[str, dict[str, Any]]] = {
    "resident actors": {
        "capability": (9, 0),
        "cooperative_launch": True,
        "host_register": True,
        "map_host_memory": True,
        "time_limit": False,
    },
    "cluster barriers": {"capability": (9, 0), "cluster_launch": True},
    "memory pools": {"memory_pools": True},
}
"""The least value of each fact that a feature needs; a flag must be equal."""


def _shown(value: Any) -> Any:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ".".join(map(str, value)) if isinstance(value, tuple) else value


def read(driver: Driver, device: Any) -> Caps:
    """Asks the driver for all of it."""

    def ask(name: str) -> int:
        enum = driver.api.CUdevice_attribute
        code = getattr(enum, f"CU_DEVICE_ATTRIBUTE_{name}")
        return int(driver.call("cuDeviceGetAttribute", code, device))

    values: dict[str, Any] = {field: ask(name) for field, name in _ATTRIBUTES.items()}
    for flag in _FLAGS:
        values[flag] = bool(values[flag])
    capability = (ask("COMPUTE_CAPABILITY_MAJOR"), ask("COMPUTE_CAPABILITY_MINOR"))
    memory = int(driver.call("cuDeviceTotalMem", device))
    return Caps(capability=capability, memory_bytes=memory, **values)
