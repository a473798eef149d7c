"""The ring texts, put together for one machine: control lines, chunks, the port, puts and takes."""

from __future__ import annotations

from importlib import resources

from ..abi.text import abi_header


def part(name: str) -> str:
    """One file of C++ beside this module, so that messages of a compiler name it."""
    text = resources.files(__package__).joinpath(name).read_text()
    return f'#line 1 "{name}"\n{text}'


def rings_text(port: str) -> str:
    """Everything that moves slots, for g++ (``"cpu"``), NVRTC (``"cuda"``) or the emulator.

    It wants ``AC_FN`` and the basic types, as the prelude and the layouts' header define them.
    """
    before, after = part("rings.h").split('#include "port.h"\n')
    return f"{abi_header()}\n{before}{part(f'port_{port}.h')}{after}"
