"""Handlers and kernels in a typed part of Python, compiled for CPU and GPU from one text.

    layout       number types, records; C++ structs and Python views of them
    intrinsics   one table of functions: types, texts, references
    ir           typed, structured operations, and the passes over them
    lang         the front end: from a function's source to operations
    abi          what host and device agree on: control lines, slots, commands
    codegen      operations to C++; compilers and their cache
    hardware     GPUs, their driver, what they can do
    executors    the oracle in CPython, the CPU, and what keeps a kernel resident
    runtime      GPU actors in the tree of a system: launches, refs, supervision

This module is a door: what compiles and runs is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .intrinsics.table import TABLE
from .lang.marks import (
    Buffer,
    Grid,
    Kernel,
    actor,
    function,
    kernel,
    me,
    now_us,
    prange,
    scan_add,
    scan_max,
    scan_min,
    sender,
    stencil,
    tell,
    unroll,
)
from .layout.declare import Array, message, record_of, state
from .layout.record import Record
from .layout.scalar import SCALARS

if TYPE_CHECKING:
    from .executors.native import NativeActor, NativeKernel
    from .executors.oracle import OracleActor, OracleKernel
    from .hardware.find import device
    from .program import Program, compile
    from .runtime.info import LaunchInfo
    from .runtime.ref import GpuRef
    from .runtime.runtime import Runtime, launch

    # To a type checker a device number is the Python number that it is computed with.
    i8 = i16 = i32 = i64 = u8 = u16 = u32 = u64 = int
    f8e4m3 = f8e5m2 = f6e3m2 = f6e2m3 = f4e2m1 = f16 = bf16 = f32 = f64 = float
    bool32 = bool
    Ref = int
else:
    globals().update(SCALARS)

_LATER = {
    "GpuRef": "runtime.ref",
    "LaunchInfo": "runtime.info",
    "NativeActor": "executors.native",
    "NativeKernel": "executors.native",
    "OracleActor": "executors.oracle",
    "OracleKernel": "executors.oracle",
    "Program": "program",
    "Runtime": "runtime.runtime",
    "compile": "program",
    "device": "hardware.find",
    "launch": "runtime.runtime",
}

__all__ = [
    "Array",
    "Buffer",
    "GpuRef",
    "Grid",
    "Kernel",
    "LaunchInfo",
    "NativeActor",
    "NativeKernel",
    "OracleActor",
    "OracleKernel",
    "Program",
    "Record",
    "Runtime",
    "actor",
    "compile",
    "device",
    "function",
    "kernel",
    "launch",
    "me",
    "message",
    "now_us",
    "prange",
    "record_of",
    "scan_add",
    "scan_max",
    "scan_min",
    "sender",
    "state",
    "stencil",
    "tell",
    "unroll",
]
for _name in __all__:
    if _name not in _LATER:
        globals()[_name].__module__ = __name__
del _name
__all__ += sorted([*SCALARS, *TABLE])


def __getattr__(name: str) -> Any:
    if name in _LATER:
        value = getattr(importlib.import_module(f"{__name__}.{_LATER[name]}"), name)
        value.__module__ = __name__
    elif name in TABLE:
        value = TABLE[name]
    else:
        raise AttributeError(f"module 'actinium.gpu' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
