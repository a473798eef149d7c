"""About how many bytes a message takes, for limits."""

from __future__ import annotations

import sys
from typing import Any

import msgspec

MOST_PARTS = 10_000
"""Parts of one message that are looked at; the rest of a larger one counts as nothing."""


def weight(message: Any) -> int:
    """An estimate of a message's size in bytes: itself, its fields and what they hold.

    A part that occurs twice counts twice; refs count as themselves.
    """
    total = 0
    parts = [message]
    for _ in range(MOST_PARTS):
        if not parts:
            break
        part = parts.pop()
        total += sys.getsizeof(part, 64)
        if isinstance(part, memoryview):
            total += part.nbytes
        elif isinstance(part, msgspec.Struct):
            parts.extend(getattr(part, name) for name in part.__struct_fields__)
        elif isinstance(part, (tuple, list, set, frozenset)):
            parts.extend(part)
        elif isinstance(part, dict):
            parts.extend(part)
            parts.extend(part.values())
        elif not isinstance(part, (str, bytes, bytearray, int, float, type)):
            parts.extend(getattr(part, "__dict__", {}).values())
    return total
