"""The memory that a host and a resident kernel share, and its control lines by name."""

from __future__ import annotations

import mmap
import os
from typing import Any

from actinium.errors import LayoutError, LayoutMismatch

from ..layout.record import Record
from ..layout.scalar import U32
from .geometry import Geometry
from .lines import CONFIG, DEV_BLOCK, HOST_BLOCK, HOST_LINE, MAGIC


class Words:
    """One control line: its fields by name. Who may write it is said at the line (LY-2).

    Each is read and written as one whole word, since the other side looks at any moment; `struct`
    would write it byte by byte.
    """

    __slots__ = ("_at", "_fields", "_half", "_whole")

    def __init__(self, memory: memoryview, at: int, record: Record) -> None:
        self._half = memory.cast("I")
        self._whole = memory.cast("Q")
        self._at = at
        self._fields = _fields(record)

    def __getitem__(self, name: str) -> int:
        size, offset = self._fields[name]
        view = self._half if size == 4 else self._whole
        return view[(self._at + offset) // size]

    def __setitem__(self, name: str, value: int) -> None:
        size, offset = self._fields[name]
        view = self._half if size == 4 else self._whole
        view[(self._at + offset) // size] = value

    def add(self, name: str, n: int = 1) -> None:
        """Counts up, modulo the width of the field."""
        size, _ = self._fields[name]
        self[name] = (self[name] + n) & ((1 << 8 * size) - 1)

    def where(self, name: str) -> int:
        """The offset of a field in the region."""
        return self._at + self._fields[name][1]


_known: dict[str, dict[str, tuple[int, int]]] = {}


def _fields(record: Record) -> dict[str, tuple[int, int]]:
    """Size and offset of each field."""
    found = _known.get(record.name)
    if found is None:
        found = _known[record.name] = {
            f.name: (4 if f.type is U32 else 8, f.offset) for f in record.fields if f.name != "rest"
        }
    return found


class Region:
    """A region of one launch, mapped into this process. ``fd`` is its file (memfd)."""

    def __init__(self, fd: int, geometry: Geometry) -> None:
        self.fd = fd
        self.geometry = geometry
        self.map = mmap.mmap(fd, geometry.size)
        self.memory = memoryview(self.map)
        g = geometry
        self.host = Words(self.memory, g.offsets["host_line"], HOST_LINE)
        self.host_blocks = [
            Words(self.memory, g.host_block(b), HOST_BLOCK) for b in range(g.blocks)
        ]
        self.dev_blocks = [Words(self.memory, g.dev_block(b), DEV_BLOCK) for b in range(g.blocks)]

    @classmethod
    def make(cls, geometry: Geometry) -> Region:
        """New memory of zeroes with the line it starts with."""
        fd = os.memfd_create("actinium-gpu", os.MFD_CLOEXEC)
        os.ftruncate(fd, geometry.size)
        region = cls(fd, geometry)
        region.memory[: CONFIG.size] = geometry.config
        return region

    @classmethod
    def attach(cls, fd: int, geometry: Geometry) -> Region:
        """Maps a region of another process after a look at what it says it is (LY-3).

        Raises:
            LayoutError: it is no region, or too small.
            LayoutMismatch: it is one of another program or other counts.
        """
        size = os.fstat(fd).st_size
        if size < CONFIG.size:
            raise LayoutError(f"a region has at least {CONFIG.size} bytes, got {size}")
        with mmap.mmap(fd, CONFIG.size, prot=mmap.PROT_READ) as start:
            found = CONFIG.unpack(start[: CONFIG.size])
        if found["magic"] != MAGIC:
            raise LayoutError(f"a region starts with {MAGIC:#x}, got {found['magic']:#x}")
        expected: dict[str, Any] = CONFIG.unpack(geometry.config)
        for name, value in expected.items():
            if found[name] != value:
                raise LayoutMismatch(CONFIG.name, name, value, found[name])
        if size < geometry.size:
            raise LayoutError(f"the region has {size} bytes of {geometry.size}")
        return cls(fd, geometry)

    def close(self) -> None:
        """Closes the file; the memory goes with the last view of it."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
