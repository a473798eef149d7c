"""How many blocks of a kernel can be resident at a time, asked before it is launched (GP-1)."""

from __future__ import annotations

from typing import Any

from actinium.errors import DoesNotFit

from .find import Device


def most_blocks(device: Device, function: Any, threads: int, shared: int) -> int:
    """Blocks of ``threads`` threads, and ``shared`` bytes asked for at launch, that the whole
    device holds at a time, as the driver computes it."""
    each: int = device.driver.call(
        "cuOccupancyMaxActiveBlocksPerMultiprocessor", function, threads, shared
    )
    return each * device.caps.sms


def check_fits(device: Device, function: Any, blocks: int, threads: int, shared: int) -> None:
    """Raises DoesNotFit for more blocks than can be resident at a time."""
    most = most_blocks(device, function, threads, shared)
    if blocks > most:
        raise DoesNotFit(blocks, most, limiting(device, function, threads, shared))


def limiting(device: Device, function: Any, threads: int, shared: int) -> str:
    """What there is too little of on each multiprocessor, in words."""
    caps, enum = device.caps, device.driver.api.CUfunction_attribute

    def ask(name: str) -> int:
        code = getattr(enum, f"CU_FUNC_ATTRIBUTE_{name}")
        return int(device.driver.call("cuFuncGetAttribute", code, function))

    registers = ask("NUM_REGS")
    bytes_ = ask("SHARED_SIZE_BYTES") + shared + caps.shared_reserved
    warps = -(-threads // caps.warp)
    room = {
        f"registers ({registers} for each of {threads} threads)": caps.registers_per_sm
        // (max(registers, 1) * warps * caps.warp),
        f"shared memory ({bytes_:,} bytes for each block)": caps.shared_per_sm // max(bytes_, 1),
        f"threads ({threads} for each block)": caps.threads_per_sm // (warps * caps.warp),
        f"blocks for each multiprocessor ({caps.blocks_per_sm})": caps.blocks_per_sm,
    }
    return min(room, key=room.__getitem__)
