"""Where everything lies in the region that a host and a resident kernel share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from actinium.errors import UsageError

from .lines import CONFIG, DEV_BLOCK, HOST_BLOCK, HOST_LINE, MAGIC
from .words import CONTROL, INDEX_BITS, LINE, lines_for

PAGE = 4096
SMALLEST, LARGEST = 16, 65_536
"""Bounds of a ring's capacity in slots."""


@dataclass(frozen=True)
class Geometry:
    """Counts and sizes of one launch; offsets follow from them.

    Raises:
        UsageError: a capacity that is no power of two in 16..65,536, or too many actors.
    """

    program: int
    """Hash of the layouts."""
    blocks: int
    actors: int
    """Places for actors in each block."""
    capacity: int
    """Slots of each ring: the inbox that the actors of a block share, and the way back."""
    in_bytes: int
    """The longest message's data, sender included."""
    out_bytes: int
    """The longest reply, told message or bounced message."""
    state_size: int
    units: int = 1
    stamped: bool = False
    orphan_ns: int = 2_000_000_000
    budget: int = 0

    def __post_init__(self) -> None:
        size = self.capacity
        if size & (size - 1) or not SMALLEST <= size <= LARGEST:
            raise UsageError(
                f"inbox must be a power of two from {SMALLEST} to {LARGEST:,}, got {size:,}"
            )
        if self.blocks < 1 or self.actors < 1 or self.blocks * self.actors >= 1 << INDEX_BITS:
            raise UsageError(
                f"a launch holds from 1 to {(1 << INDEX_BITS) - 1:,} actors, "
                f"got {self.blocks} blocks of {self.actors}"
            )

    @property
    def in_lines(self) -> int:
        return lines_for(self.in_bytes, self.stamped)

    @property
    def out_lines(self) -> int:
        return lines_for(self.out_bytes, self.stamped)

    @property
    def state_stride(self) -> int:
        return up(self.state_size, CONTROL)

    @property
    def in_slot(self) -> int:
        """Bytes of a slot from host to device."""
        return self.in_lines * LINE

    @property
    def out_slot(self) -> int:
        return self.out_lines * LINE

    @cached_property
    def offsets(self) -> dict[str, int]:
        """Offset of each part by its name in `ac_config`, and ``size``."""
        places = {
            "host_line": HOST_LINE.size,
            "host_blocks": HOST_BLOCK.size * self.blocks,
            "dev_blocks": DEV_BLOCK.size * self.blocks,
            # u32 for each actor: the generation that was killed, plus 1
            "kills": up(4 * self.blocks * self.actors, CONTROL),
            # the state that RESET and SPAWN start from, of each actor
            "inits": self.state_stride * self.blocks * self.actors,
            "h2k": self.in_slot * self.capacity * self.blocks,
            "k2h": self.out_slot * self.capacity * self.blocks,
        }
        offsets, at = {}, CONFIG.size
        for name, size in places.items():
            at = up(at, PAGE if name in ("dev_blocks", "kills", "h2k", "k2h") else CONTROL)
            offsets[name] = at
            at += size
        offsets["size"] = up(at, PAGE)
        return offsets

    @property
    def size(self) -> int:
        """Bytes of the region."""
        return self.offsets["size"]

    def host_block(self, block: int) -> int:
        return self.offsets["host_blocks"] + HOST_BLOCK.size * block

    def dev_block(self, block: int) -> int:
        return self.offsets["dev_blocks"] + DEV_BLOCK.size * block

    def h2k(self, block: int) -> int:
        return self.offsets["h2k"] + self.in_slot * self.capacity * block

    def k2h(self, block: int) -> int:
        return self.offsets["k2h"] + self.out_slot * self.capacity * block

    def init(self, index: int) -> int:
        """Of the actor with this index, counted over all blocks."""
        return self.offsets["inits"] + self.state_stride * index

    def kill(self, index: int) -> int:
        return self.offsets["kills"] + 4 * index

    @property
    def config(self) -> bytes:
        """The line that a region starts with."""
        return CONFIG.pack(
            {
                "magic": MAGIC,
                "program": self.program,
                "blocks": self.blocks,
                "capacity": self.capacity,
                "in_lines": self.in_lines,
                "out_lines": self.out_lines,
                "actors": self.actors,
                "units": self.units,
                "state_size": self.state_size,
                "state_stride": self.state_stride,
                "stamped": int(self.stamped),
                "spare": 0,
                "orphan_ns": self.orphan_ns,
                "budget": self.budget,
                **self.offsets,
                "rest": bytes(CONFIG.types["rest"].length),
            }
        )


def up(value: int, to: int) -> int:
    """The next multiple of ``to``."""
    return value + -value % to
