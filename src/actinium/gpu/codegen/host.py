"""The C++ compiler of this machine: text to a shared library."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from actinium.errors import CompilerFailed, Unavailable

from .cache import Cache

_COMMON = ("-std=c++17", "-O2", "-shared", "-fPIC", "-fno-strict-aliasing", "-fno-math-errno", "-w")
STRICT = (*_COMMON, "-ffp-contract=off")
RELAXED = (*_COMMON, "-ffp-contract=fast", "-march=native")


@functools.cache
def compiler() -> tuple[str, str]:
    """(path, version) of ``$CXX``, g++ or clang++.

    Raises:
        Unavailable: there is none.
    """
    wanted = [os.environ["CXX"]] if os.environ.get("CXX") else ["g++", "clang++"]
    for name in wanted:
        path = shutil.which(name)
        if path is not None:
            run = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
            return path, run.stdout.splitlines()[0] if run.stdout else "?"
    raise Unavailable(
        f"no C++ compiler was found ({', '.join(wanted)}); install g++, or run on the oracle"
    )


def library(text: str, strict: bool, cache: Cache, extra: tuple[str, ...] = ()) -> bytes:
    """The bytes of the shared library of a text, from the cache or compiled.

    Raises:
        Unavailable: there is no C++ compiler.
        CompilerFailed: it refused the text.
    """
    path, version = compiler()
    flags = (STRICT if strict else RELAXED) + extra
    native = "" if strict else _machine()
    key = cache.key(text, " ".join(flags), "cpu", path, version, native)
    return cache.get(key, lambda: _compile(path, flags, text))


@functools.cache
def _machine() -> str:
    """Which processor ``-march=native`` means here."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return "?"
    return next((line for line in lines if line.startswith("flags")), "?")


def _compile(path: str, flags: tuple[str, ...], text: str) -> bytes:
    with tempfile.TemporaryDirectory(prefix="actinium-") as folder:
        source, out = Path(folder) / "program.cpp", Path(folder) / "program.so"
        source.write_text(text)
        run = subprocess.run(
            [path, *flags, "-o", str(out), str(source)], capture_output=True, text=True, check=False
        )
        if run.returncode != 0:
            raise CompilerFailed(path, run.stderr)
        return out.read_bytes()
