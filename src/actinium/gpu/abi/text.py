"""The protocol as a C++ header, for g++ and NVRTC alike."""

from __future__ import annotations

from enum import IntEnum, IntFlag

from ..layout.header import declare, header
from . import words
from .lines import MAGIC, RECORDS

CONSTANTS = ("LINE", "CONTROL", "INLINE", "INLINE_STAMPED", "MORE", "INDEX_BITS", "USER", "REASON_SHIFT")  # fmt: skip


def abi_header() -> str:
    """The control lines as structs with their assertions, and every number as a constant."""
    return header(RECORDS) + "\n" + _numbers()


def native_header() -> str:
    """`native/include/actinium/gpu_abi.h`, which the compiled module is built with."""
    structs = "\n".join(declare(record) for record in RECORDS)
    return (
        "// Written by native_header() of src/actinium/gpu/abi/text.py: change what it reads.\n"
        "// clang-format off\n"
        "#pragma once\n"
        "typedef unsigned char ac_u8;\n"
        "typedef unsigned int ac_u32;\n"
        "typedef unsigned long long ac_u64;\n"
        "#define AC_OFFSET(type, field) __builtin_offsetof(type, field)\n"
        f"{structs}\n{_numbers()}// clang-format on\n"
    )


def _numbers() -> str:
    parts = [f"#define AC_MAGIC {MAGIC:#x}ull"]
    parts += [f"#define AC_{name} {getattr(words, name)}u" for name in CONSTANTS]
    enums: tuple[type[IntEnum] | type[IntFlag], ...] = (
        words.Flag, words.Reason, words.Command, words.Status, words.Stop, words.State,
    )  # fmt: skip
    for enum in enums:
        prefix = f"AC_{enum.__name__.upper()}_"
        parts += [f"#define {prefix}{item.name} {int(item)}u" for item in enum]
    return "\n".join(parts) + "\n"
