"""NVRTC: a program's C++ text to a CUBIN, without a GPU and without the CUDA toolkit.

The text needs no include, so that a compilation takes tens of milliseconds.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from actinium.errors import CompilerFailed, MissingExtra

from ..program import Program
from .cache import Cache

ARCHITECTURES = ("sm_90a", "sm_100a")
"""For which the tests compile every program."""

_PART = re.compile(r"(?=Compiling entry function)")
_ENTRY = re.compile(r"Compiling entry function '(\w+)'")
_REGISTERS = re.compile(r"Used (\d+) registers")
_SPILLS = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
_SHARED = re.compile(r"(\d+) bytes smem")


class Cubin(NamedTuple):
    """Machine code of one architecture, and what it takes."""

    architecture: str
    data: bytes
    entry: str
    """The name of its kernel."""
    registers: int
    """Of each thread."""
    spills: int
    """Bytes that each thread stores and loads because the registers do not suffice."""
    stack: int
    """Bytes of stack of each thread."""
    shared: int
    """Bytes of shared memory of each block, as far as they are known when it is compiled."""


def _nvrtc() -> Any:
    try:
        from cuda.bindings import nvrtc
    except ImportError:
        raise MissingExtra("gpu", "compiling for CUDA") from None
    return nvrtc


def numbers() -> tuple[int, int]:
    """NVRTC's version, such as (13, 0).

    Raises:
        MissingExtra: it is not installed.
    """
    _, major, minor = _nvrtc().nvrtcVersion()
    return major, minor


def version() -> str:
    """The same as text, such as ``13.0``."""
    return ".".join(map(str, numbers()))


def cubin(program: Program, architecture: str, cache: Cache | None = None) -> Cubin:
    """Compiles for ``architecture`` (such as ``sm_90a``), or takes it from the cache.

    Raises:
        MissingExtra: NVRTC is not installed.
        CompilerFailed: NVRTC does not know the architecture, or refused the text.
        UnsupportedType: a conversion with ``native=True`` that the architecture lacks.
    """
    program.check_capability(architecture)
    return cubin_of(program.text("cuda"), architecture, program.strict, cache)


def cubin_of(
    text: str, architecture: str, strict: bool, cache: Cache | None = None, entry: str = ""
) -> Cubin:
    """The same of any text; of several kernels ``entry`` names the one that is described."""
    cache = cache or Cache()
    options = (*_options(architecture, strict), "--ptxas-options=-v")
    key = cache.key(text, " ".join(options), "cuda", version())
    blob = cache.get(key, lambda: _compile(text, options))
    size = int.from_bytes(blob[:8], "little")
    return _described(architecture, blob[8 : 8 + size].decode(), blob[8 + size :], entry)


def ptx(text: str, architecture: str, strict: bool) -> str:
    """The assembly of NVIDIA's virtual machine that a text becomes on the way to a CUBIN.

    Raises:
        MissingExtra: NVRTC is not installed.
        CompilerFailed: NVRTC does not know the architecture, or refused the text.
    """
    nvrtc = _nvrtc()
    options = _options(architecture.replace("sm_", "compute_"), strict)
    _, data = _run(text, options, nvrtc.nvrtcGetPTXSize, nvrtc.nvrtcGetPTX)
    return data.rstrip(b"\0").decode()


def _options(architecture: str, strict: bool) -> tuple[str, ...]:
    return (
        f"--gpu-architecture={architecture}",
        "--std=c++17",
        f"--fmad={'false' if strict else 'true'}",
        "--disable-warnings",
    )


def _described(architecture: str, whole: str, data: bytes, wanted: str) -> Cubin:
    logs = _PART.split(whole)[1:] or [whole]
    log = next((log for log in logs if f"entry function '{wanted}'" in log), logs[0])
    entry = _ENTRY.search(log)
    registers = _REGISTERS.search(log)
    spills = _SPILLS.search(log)
    shared = _SHARED.search(log)
    if entry is None or registers is None or spills is None:
        raise CompilerFailed("NVRTC", f"no resource usage in its log:\n{log}")
    stack, stores, loads = map(int, spills.groups())
    return Cubin(
        architecture, data, entry.group(1), int(registers.group(1)), stores + loads, stack,
        int(shared.group(1)) if shared else 0,
    )  # fmt: skip


def _compile(text: str, options: tuple[str, ...]) -> bytes:
    """The log (with its length before it) and the CUBIN."""
    nvrtc = _nvrtc()
    log, data = _run(text, options, nvrtc.nvrtcGetCUBINSize, nvrtc.nvrtcGetCUBIN)
    return len(log).to_bytes(8, "little") + log + data


def _run(text: str, options: tuple[str, ...], size: Any, get: Any) -> tuple[bytes, bytes]:
    """The log of a compilation, and what ``get`` gives of it."""
    nvrtc = _nvrtc()
    error, handle = nvrtc.nvrtcCreateProgram(text.encode(), b"program.cu", 0, [], [])
    _need(error, "")
    try:
        (error,) = nvrtc.nvrtcCompileProgram(handle, len(options), [o.encode() for o in options])
        log = _bytes(handle, nvrtc.nvrtcGetProgramLogSize, nvrtc.nvrtcGetProgramLog)
        plain = log.rstrip(b"\0 \n")
        _need(error, plain.decode(errors="replace"))
        return plain, _bytes(handle, size, get)
    finally:
        nvrtc.nvrtcDestroyProgram(handle)


def _bytes(handle: Any, size: Any, get: Any) -> bytes:
    error, length = size(handle)
    _need(error, "")
    buffer = bytes(length)  # NVRTC writes into it
    (error,) = get(handle, buffer)
    _need(error, "")
    return buffer


def _need(error: Any, log: str) -> None:
    if int(error) != 0:
        raise CompilerFailed("NVRTC", f"{getattr(error, 'name', error)}\n{log}".rstrip())
