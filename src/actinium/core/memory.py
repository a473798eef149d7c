"""What the native core holds: actors, queued messages, payloads, and the memory behind them.

Python's own objects are Python's; these are the counts of the slab allocator (native/include/
actinium/slab.hpp), over all systems and threads of the process.
"""

from __future__ import annotations

import msgspec

from actinium import _native

Block = _native.Block
Payload = _native.Payload


class Region(msgspec.Struct, frozen=True):
    """What is allocated for one purpose and not yet freed, rounded up to the size classes."""

    blocks: int
    bytes: int


class MemoryUse(msgspec.Struct, frozen=True, kw_only=True):
    """Memory of the native core, in bytes; exact while no other thread allocates or frees.

    ``regions``: ``cells`` (actors), ``mailboxes`` (queued messages), ``inbox`` (messages on
    their way from other threads), ``payload`` (`Block` and `Payload`). ``mapped`` is what the
    system has given for them, in ``segments`` of 2 MiB and maps of single large blocks;
    ``segments_made`` only grows. ``heaps``: one for each thread that was ever alive at once.
    """

    live: int
    mapped: int
    segments: int
    segments_made: int
    heaps: int
    regions: dict[str, Region]


def memory_use() -> MemoryUse:
    """The counts of this moment."""
    found = _native.memory()
    return MemoryUse(
        live=found["live_bytes"],
        mapped=found["mapped_bytes"],
        segments=found["segments"],
        segments_made=found["segments_made"],
        heaps=found["heaps"],
        regions={name: Region(*counts) for name, counts in found["regions"].items()},
    )


def trim_memory(idle: float = 0.0) -> int:
    """Gives segments back to the system that have been empty for ``idle`` seconds.

    A running system does so by itself after 10 seconds; this is for those who know better.
    Covers the calling thread and threads that have ended. Returns how many empty segments are
    left because they have to wait. Raises ValueError for a negative time.
    """
    return _native.trim_memory(idle)
