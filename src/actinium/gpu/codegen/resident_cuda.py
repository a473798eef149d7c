"""The kernel that stays resident on a GPU, as text for NVRTC and for the emulator, and its shape."""

from __future__ import annotations

import ctypes
from functools import cached_property
from typing import Any

from actinium.errors import UsageError

from ..abi.geometry import Geometry
from ..abi.words import Status
from ..executors.native import OUTBOX, Context
from ..ir.nodes import walk
from ..layout.header import header
from ..layout.record import ArrayType, Record
from ..layout.scalar import U32, U64
from ..program import Program
from .cpp import LEVELS
from .resident import kinds_text, sizes
from .rings import part, rings_text

WARPS = 4
"""Of a block that run handlers; one more does what concerns the host."""
STAGES = {"thread": 2, "warp": 4, "block": 4}
"""How many messages a unit may have waiting in shared memory."""
_SAID = 32
"""Bytes of the longest answer to a command, or of a fault."""

assert int(Status.OK) == 0  # ac_ctx.fault 0 and a status 0 both mean that all is well


class Resident:
    """A program as a persistent kernel for one geometry.

    ``threads`` (of a block), ``units`` (what runs one handler at a time), ``shared`` (bytes of
    dynamic shared memory) and ``states`` (bytes of device memory for states) are what a launch
    needs to know; the entry is ``ac_resident(region, states)``.

    Raises:
        UsageError: the program is a kernel, or the geometry is not for it.
    """

    entry = "ac_resident"

    def __init__(self, program: Program, geometry: Geometry, warps: int = WARPS) -> None:
        kinds = sizes(program)
        if not 1 <= warps <= 31:
            raise UsageError(f"a block has from 1 to 31 warps for its actors, got {warps}")
        self.program = program
        self.geometry = geometry
        self.warps = warps
        self.teams = 1 if program.level == "block" else warps
        self.lanes = 32 if program.level == "thread" else 1
        self.stages = STAGES[program.level]
        self.threads = 32 + 32 * warps
        longest = max([_SAID, *(reply for _, reply in kinds.values())])
        self.reply_words = -(-longest // 8)

    @property
    def units(self) -> int:
        """Of a block; `Geometry.units` should say the same."""
        return self.teams * self.lanes

    @cached_property
    def records(self) -> tuple[Record, Record]:
        """A message in a stage, and the shared memory of a block."""
        words = -(-(self.geometry.in_lines * 12 - 3) // 2)
        entry = Record(
            "ac_entry",
            {
                "word0": U32, "dest": U32, "corr": U32, "size": U32, "known": U32, "source": U32,
                "clock": U64, "deadline": U32, "data": ArrayType(U64, words),
            },
        )  # fmt: skip
        stages = self.teams * self.stages
        shared: dict[str, Any] = {
            "full": ArrayType(U64, stages),
            "empty": ArrayType(U64, stages),
            "counts": ArrayType(U64, 4 * (self.teams + 1)),
            "clock": U64,  # the last stamp that was given
            "wall": U64,  # microseconds since 1970, less the device's clock
            "said": ArrayType(U64, _SAID // 8),
            "block": ArrayType(U64, 20),  # ac_block
            "io": ArrayType(U64, 8),  # ac_io
            "ctx": ArrayType(U64, self.units * (ctypes.sizeof(Context) // 8)),
            "replies": ArrayType(U64, self.units * self.reply_words),
            "entries": ArrayType(entry, stages * self.lanes),
            "tickets": ArrayType(U32, 2),
            "ending": U32,
            "gone": U32,
            "verdict": U32,
            "masks": ArrayType(U32, stages),
            "open": ArrayType(U32, self.teams),
            "put": ArrayType(U32, self.teams),
            "running": ArrayType(U32, self.units),
            "running_kind": ArrayType(U32, self.units),
            "picks": ArrayType(U32, 32 * (self.teams + 1)),
        }
        return entry, Record("ac_shared", shared)

    @property
    def shared(self) -> int:
        return self.records[1].size + 8 * self.geometry.actors

    @property
    def states(self) -> int:
        g = self.geometry
        return (g.state_stride * g.actors + self.outbox * self.units) * g.blocks

    @property
    def asks_context(self) -> bool:
        """Whether a handler asks who it is, who sent the message, or for the time."""
        return any(
            op.name == "context"
            for function in self.program.functions
            for op in walk(function.body)
        )

    @property
    def outbox(self) -> int:
        """Bytes of what one handler may tell."""
        return OUTBOX if self.program.told else 0

    def text(self, target: str) -> str:
        """The whole text for ``"cuda"`` or ``"emulator"``."""
        numbers = {
            "LEVEL": LEVELS[self.program.level], "WARPS": self.warps, "TEAMS": self.teams,
            "LANES": self.lanes, "STAGES": self.stages, "IN_LINES": self.geometry.in_lines,
            "OUT_LINES": self.geometry.out_lines, "REPLY_WORDS": self.reply_words,
            "OUTBOX": self.outbox, "ASKS_CONTEXT": int(self.asks_context),
        }  # fmt: skip
        parts = [
            *([part("fibers.h")] if target == "emulator" else []),
            "#define AC_BLOCK_LANE (threadIdx.x - 32u)",
            f"#define AC_BLOCK_LANES {32 * self.warps}u",
            f"#define AC_BLOCK_SYNC() ac_bar(1, {32 * self.warps}u)",
            "#define AC_RESIDENT",  # the program's text brings no entry of its own
            "#define AC_DEVICE __device__",
            *(f"#define AC_{name} {value}u" for name, value in numbers.items()),
            header(self.records),
            "#define AC_FN static __device__ __forceinline__",
            rings_text(target),
            "#undef AC_FN",
            self.program.text(target),
            kinds_text(self.program),
            f'static_assert(sizeof(ac_ctx) == {ctypes.sizeof(Context)}, "ac_ctx is not as Python\'s");',
            part("resident.h"),
            *([part("emulator.h")] if target == "emulator" else []),
        ]
        return "\n".join(parts)
