"""Checks that the rings hold on this machine: none of many messages torn, lost or doubled."""

from __future__ import annotations

import ctypes
from typing import NamedTuple

from actinium.errors import UsageError

from .codegen.cache import Cache
from .codegen.host import library
from .codegen.rings import part, rings_text
from .executors.native import loaded
from .layout.header import BASICS


class Hunt(NamedTuple):
    """What a hunt found."""

    messages: int
    torn: int
    """Messages that differ from what was sent, or came out of order; a lost one never ends it."""
    polls: int
    """How often the consumer looked and the next slot was not there."""


class HuntResult(ctypes.Structure):
    """``ac_hunt_result``."""

    _fields_ = (("taken", ctypes.c_uint64), ("torn", ctypes.c_uint64), ("polls", ctypes.c_uint64))


def hunt_text() -> str:
    """The C++ text of the hunt between threads of this processor."""
    return _host_text("hunt.h")


def host_hunt_text() -> str:
    """The C++ text of the host's side of a hunt with a device."""
    return _host_text("hunt_host.h")


def device_hunt_text(port: str) -> str:
    """The kernel of the other side, for ``"cuda"`` or ``"emulator"``; its entry is `ac_resident`."""
    emulated = port == "emulator"
    return "\n".join(
        (
            part("fibers.h") if emulated else "",
            BASICS,
            "#define AC_FN static __device__ __forceinline__",
            rings_text(port),
            part("hunt_words.h"),
            part("hunt_device.h"),
            part("emulator.h") if emulated else "",
        )
    )


def _host_text(name: str) -> str:
    parts = (
        BASICS,
        "#define AC_FN static inline",
        rings_text("cpu"),
        part("hunt_words.h"),
        part(name),
    )
    return "\n".join(parts)


def hunt(
    messages: int = 1_000_000, capacity: int = 64, lines: int = 3, *, producers: int = 1,
    cache: Cache | None = None,
) -> Hunt:  # fmt: skip
    """Sends ``messages`` through a ring between threads and checks each: RG-1, RG-2, RG-3.

    With several ``producers`` they share the ring by tickets, as a block's threads do on the way
    back, and send one line each.

    Raises:
        Unavailable: there is no C++ compiler.
    """
    if capacity < 4 or capacity & (capacity - 1) or not 1 <= lines <= 64 or producers < 1:
        raise UsageError(
            "a hunt wants a capacity that is a power of two from 4 and 1 to 64 lines, "
            f"got {capacity}, {lines} and {producers} producers"
        )
    code = loaded(library(hunt_text(), True, cache or Cache(), ("-pthread",)))
    result = HuntResult()
    if producers == 1:
        code.ac_hunt(ctypes.c_uint64(messages), capacity, lines, ctypes.byref(result))
    else:
        code.ac_hunt_many(producers, messages // producers, capacity, ctypes.byref(result))
    return Hunt(result.taken, result.torn, result.polls)
