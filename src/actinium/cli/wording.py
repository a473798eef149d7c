"""Small things of English."""

from __future__ import annotations


def count(number: int, noun: str) -> str:
    """``1 answer``, ``2 answers``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
