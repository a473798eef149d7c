"""Which loops count their rounds against the budget of steps, and how (GP-4).

A loop of known length is free as long as all that it repeats is short; every other one counts, so
that between two counts a handler does a bounded amount of work. What counts follows from the
source alone and not from the passes, so that the oracle, the CPU and CUDA count alike.
"""

from __future__ import annotations

from actinium.errors import UsageError

from .nodes import Op, Region, walk
from .ops import LOOPS

FREE = 1 << 16
"""Rounds of loops of known length, nested ones multiplied, that are not worth counting."""

MAX_STEPS = 1 << 26
"""What a handler may count when nothing else is said: tenths of a second on either side."""


def checked(max_steps: int) -> int:
    """The number, if it is one of steps."""
    if isinstance(max_steps, bool) or not isinstance(max_steps, int) or max_steps >> 48:
        raise UsageError(f"max_steps must be a number of 0..2**48 - 1, got {max_steps!r}")
    return max_steps


def counted(op: Op, trips: int | None, level: str) -> str:
    """How a ``for`` or ``par`` counts, from its rounds (None: not known when it is compiled).

    ``""``: not at all. ``all``: its rounds when it starts, which costs nothing in the loop.
    ``each``: one at a time, since it may end early. ``apart``: the loop of a kernel, each of
    whose rounds has a budget of its own, because the threads of a grid cannot add theirs up.
    """
    region = op.regions[0]
    if op.name == "par" and level == "grid":
        return "apart"
    if trips is not None:
        rounds = trips * (1 + _free(region))
        if rounds <= FREE:
            op.attrs["free"] = rounds
            return ""
    leaves = any(x.name == "leave" and x.attrs["scope"] is None for x in walk(region))
    return "each" if leaves or breaks(region) else "all"


def _free(region: Region) -> int:
    """The rounds within a region that are not counted."""
    rounds = 0
    for op in region.ops:
        if op.name in LOOPS:
            rounds += op.attrs.get("free", 0)
        else:
            rounds += sum(map(_free, op.regions))
    return rounds


def counts(op: Op) -> bool:
    """Whether the operation itself counts."""
    return op.name == "step" or bool(op.attrs.get("count"))


def breaks(region: Region) -> list[Op]:
    """The terminators by which a loop's body ends the loop itself."""
    found = []
    for op in region.ops:
        if op.name == "break":
            found.append(op)
        if op.name in ("if", "scope"):
            for inner in op.regions:
                found += breaks(inner)
    return found
