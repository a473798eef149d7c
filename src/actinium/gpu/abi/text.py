"""The protocol as a C++ header, for g++ and NVRTC alike."""

from __future__ import annotations

from enum import IntEnum, IntFlag

from ..layout.header import header
from . import words
from .lines import MAGIC, RECORDS

CONSTANTS = ("LINE", "CONTROL", "INLINE", "INLINE_STAMPED", "MORE", "INDEX_BITS", "USER", "REASON_SHIFT")  # fmt: skip


def abi_header() -> str:
    """The control lines as structs with their assertions, and every number as a constant."""
    parts = [header(RECORDS), f"#define AC_MAGIC {MAGIC:#x}ull"]
    parts += [f"#define AC_{name} {getattr(words, name)}u" for name in CONSTANTS]
    enums: tuple[type[IntEnum] | type[IntFlag], ...] = (
        words.Flag, words.Reason, words.Command, words.Status, words.Stop, words.State,
    )  # fmt: skip
    for enum in enums:
        prefix = f"AC_{enum.__name__.upper()}_"
        parts += [f"#define {prefix}{item.name} {int(item)}u" for item in enum]
    return "\n".join(parts) + "\n"


def native_header() -> str:
    """`native/include/actinium/gpu_abi.h`, which the compiled module is built with."""
    return (
        "// Written from src/actinium/gpu/abi by tests/unit/gpu/test_abi.py: change it there.\n"
        f"// clang-format off\n#pragma once\n{abi_header()}// clang-format on\n"
    )
