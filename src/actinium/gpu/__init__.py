"""Handlers and kernels in a typed part of Python, compiled for CPU and GPU from one text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .executors.native import NativeActor, NativeKernel
from .executors.oracle import OracleActor, OracleKernel
from .intrinsics.table import TABLE
from .lang.marks import Buffer, Grid, Kernel, actor, function, kernel, prange, stencil, unroll
from .layout.declare import Array, message, record_of, state
from .layout.record import Record
from .layout.scalar import NARROW, SCALARS
from .program import Program, compile

if TYPE_CHECKING:
    # To a type checker a device number is the Python number that it is computed with.
    i8 = i16 = i32 = i64 = u8 = u16 = u32 = u64 = int
    f16 = bf16 = f32 = f64 = float
    bool32 = bool
else:
    globals().update(SCALARS)
    globals().update(NARROW)

__all__ = [
    "Array",
    "Buffer",
    "Grid",
    "Kernel",
    "NativeActor",
    "NativeKernel",
    "OracleActor",
    "OracleKernel",
    "Program",
    "Record",
    "actor",
    "compile",
    "function",
    "kernel",
    "message",
    "prange",
    "record_of",
    "state",
    "stencil",
    "unroll",
]
for _name in __all__:
    globals()[_name].__module__ = __name__
del _name
__all__ += sorted([*SCALARS, *NARROW, *TABLE])


def __getattr__(name: str) -> Any:
    row = TABLE.get(name)
    if row is None:
        raise AttributeError(f"module 'actinium.gpu' has no attribute {name!r}")
    return row


def __dir__() -> list[str]:
    return sorted(__all__)
