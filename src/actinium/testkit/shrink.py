"""Making a failing schedule short: which of its decisions does the failure need?"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def shrink(items: list[T], fails: Callable[[list[T]], bool], most: int) -> list[T]:
    """A small part of the items, in their order, with which it still fails.

    Delta debugging (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input",
    2002) with at most ``most`` trials; after as many the best found so far is returned.
    """
    left = most

    def still(part: list[T]) -> bool:
        nonlocal left
        left -= 1
        return left >= 0 and fails(part)

    if items and still([]):
        return []
    pieces = 2
    while len(items) > 1 and left > 0:
        size = -(-len(items) // pieces)
        for start in range(0, len(items), size):
            rest = items[:start] + items[start + size :]
            if still(rest):
                items = rest
                pieces = max(pieces - 1, 2)
                break
        else:
            if size == 1:
                break
            pieces = min(pieces * 2, len(items))
    return items
