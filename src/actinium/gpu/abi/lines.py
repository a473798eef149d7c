"""The control lines of a region. Each has one writer, named in its docstring."""

from __future__ import annotations

from ..layout.record import ArrayType, Record
from ..layout.scalar import U8, U32, U64

MAGIC = 0x0001_5550_4741_4341  # "ACAGPU", version 1


def _line(name: str, fields: dict[str, object], size: int) -> Record:
    """A record filled up to whole control lines."""
    bare = Record(name, fields)
    assert bare.size <= size, (name, bare.size)
    if bare.size < size:
        fields = {**fields, "rest": ArrayType(U8, size - bare.size)}
    made = Record(name, fields)
    assert made.size == size, (name, made.size)
    return made


CONFIG = _line(
    "ac_config",
    {
        "magic": U64,
        "program": U64,  # hash of the program's layouts; the two sides compare it
        "blocks": U32,
        "capacity": U32,  # slots of each ring, a power of two
        "in_lines": U32,  # lines of a slot from host to device
        "out_lines": U32,  # and back
        "actors": U32,  # places for actors in each block
        "units": U32,  # of each block, that run a handler each at a time
        "state_size": U32,
        "state_stride": U32,
        "stamped": U32,  # whether messages carry clocks
        "spare": U32,
        "orphan_ns": U64,  # the lease: how long the host's heartbeat may stand still, 0 = for ever
        "budget": U64,  # steps of one handler, 0 = any number
        "host_line": U64,  # offsets in the region
        "host_blocks": U64,
        "dev_blocks": U64,
        "kills": U64,
        "inits": U64,
        "h2k": U64,
        "k2h": U64,
        "size": U64,
    },
    256,
)
"""Written by the host before the start, never again."""

HOST_LINE = _line(
    "ac_host_line",
    {
        "heartbeat": U64,  # counts up at least every 10 ms
        "wall_us": U64,  # microseconds since 1970 at that moment
        "stop": U32,
        "parked": U32,  # the host sleeps on `DevBlock.bell`s; who can wake it does
    },
    128,
)
"""Written by the host."""

HOST_BLOCK = _line(
    "ac_host_block",
    {
        "k2h_read": U32,  # slots of k2h that the host has taken: credit for the device
        "kill_epoch": U32,  # counts up when an entry of `kills` was written
        "bell": U32,  # futex word: counts up when a parked block has something to do
    },
    128,
)
"""One for each block, written by the host."""

DEV_BLOCK = _line(
    "ac_dev_block",
    {
        "seq": U32,  # odd while the counters below are written
        "state": U32,
        "h2k_read": U32,  # slots of h2k that were taken: credit for the host, posted lazily
        "k2h_written": U32,
        "parked": U32,  # the block sleeps on `HostBlock.bell` (never on CUDA)
        "bell": U32,  # futex word: counts up when a parked host has something to read (never on CUDA)
        "heartbeat": U64,  # device clock in ns, at least every millisecond between handlers
        # What the host reads with every message is above, what changes with every one below: on a
        # processor they would take each other's cache line away.
        "apart": ArrayType(U64, 4),
        "running": U32,  # handle of the actor whose handler runs, or ran last
        "running_kind": U32,  # kind of its message, 0 when none runs
        "since": U64,  # device clock in ns when that handler was called
        "handled": U64,
        "bounced": U64,
        "faults": U64,
        "commands": U64,
    },
    128,
)
"""One for each block, written by the device."""

RECORDS = (CONFIG, HOST_LINE, HOST_BLOCK, DEV_BLOCK)
