"""Word lists written as plain text."""

from __future__ import annotations


def words(text: str) -> list[str]:
    """The words of `text`."""
    return text.split()


def pairs(text: str) -> dict[str, str]:
    """The `key:value` words of `text`."""
    return dict(word.split(":") for word in text.split())
