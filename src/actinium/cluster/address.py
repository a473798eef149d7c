"""Numbers of actors outside their process.

An actor is known outside by its number in its process (below 2**63), or by a placed key: 2**63
plus the process and incarnation that placed it and a running number. A placed key stays the same
when the actor is started again in another process.
"""

from __future__ import annotations

PLACED = 1 << 63
_SERIAL = 38
_INCARNATION = 16


def placed_key(node: int, incarnation: int, serial: int) -> int:
    """The key of the ``serial``-th actor that a process placed."""
    return PLACED | node << (_SERIAL + _INCARNATION) | incarnation << _SERIAL | serial


def origin_of(key: int) -> tuple[int, int, int]:
    """Process, incarnation and running number of a placed key."""
    rest = key & ~PLACED
    return (
        rest >> (_SERIAL + _INCARNATION),
        rest >> _SERIAL & ((1 << _INCARNATION) - 1),
        rest & ((1 << _SERIAL) - 1),
    )


def is_placed(to: object) -> bool:
    """Whether a number is a placed key."""
    return isinstance(to, int) and to >= PLACED
