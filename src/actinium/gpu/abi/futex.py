"""Sleeping on a word of shared memory, and waking who sleeps (Linux; futex(2), not private)."""

from __future__ import annotations

import ctypes
import platform
import time

_NUMBER = {"x86_64": 202, "aarch64": 98}.get(platform.machine())
_WAIT, _WAKE = 0, 1
_ALL = 0x7FFFFFFF


_syscall = ctypes.CDLL(None).syscall


class _Time(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


def _call(memory: memoryview, at: int, what: int, value: int, timeout: _Time | None) -> None:
    if _NUMBER is None:
        return
    word = ctypes.c_uint32.from_buffer(memory, at)
    limit = ctypes.byref(timeout) if timeout is not None else None
    _syscall(_NUMBER, ctypes.c_void_p(ctypes.addressof(word)), what, value, limit, None, 0)


def wait(memory: memoryview, at: int, seen: int, seconds: float) -> None:
    """Sleeps until the word at this offset is no longer ``seen``, somebody wakes it, or so long.

    It may return early; look again. The interpreter lock is released meanwhile.
    """
    if _NUMBER is None:
        time.sleep(min(seconds, 0.001))
        return
    whole = int(seconds)
    _call(memory, at, _WAIT, seen, _Time(whole, int((seconds - whole) * 1e9)))


def wake(memory: memoryview, at: int) -> None:
    """Wakes all who sleep on this word."""
    _call(memory, at, _WAKE, _ALL, None)


def word(memory: memoryview, at: int) -> int:
    """What the word says now."""
    return int.from_bytes(bytes(memory[at : at + 4]), "little")
