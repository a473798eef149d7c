"""``gpu.device(0)``: a device of this machine."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from actinium.errors import GpuUnavailable, ToolchainMismatch

from . import driver as drivers
from .caps import Caps, read
from .driver import Driver


@dataclass(frozen=True)
class Device:
    """One GPU: its name (for people), its ``caps``, and the CUDA version of its driver."""

    ordinal: int
    name: str
    caps: Caps
    cuda: tuple[int, int]
    driver: Driver = field(repr=False, compare=False)
    handle: Any = field(repr=False, compare=False)

    def check_toolchain(self, nvrtc: tuple[int, int]) -> None:
        """Raises ToolchainMismatch where code of this NVRTC may not load here."""
        if nvrtc > self.cuda:
            raise ToolchainMismatch(nvrtc, self.cuda)


def device(ordinal: int = 0, driver: Driver | None = None) -> Device:
    """The GPU of this number, counted as ``CUDA_VISIBLE_DEVICES`` leaves them.

    Raises:
        GpuUnavailable: there is none, or nothing to reach it with; the text says what is missing.
    """
    driver = driver or drivers.driver()
    count = int(driver.call("cuDeviceGetCount"))
    if not 0 <= ordinal < count:
        raise GpuUnavailable(f"there is no GPU {ordinal}, the driver sees {count}")
    handle = driver.call("cuDeviceGet", ordinal)
    name = driver.call("cuDeviceGetName", 128, handle)
    version = int(driver.call("cuDriverGetVersion"))
    return Device(
        ordinal,
        name.split(b"\0")[0].decode(errors="replace"),
        read(driver, handle),
        (version // 1000, version % 1000 // 10),
        driver,
        handle,
    )
