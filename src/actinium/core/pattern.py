"""Names made of segments, and patterns over them: ``plant/*/sensor``, ``plant/**``.

A pattern is matched segment by segment in O(pattern x name): ``?`` stands for one character and
``*`` for any number of them within a segment; ``**`` is a segment of its own and stands for any
number of segments, none included.
"""

from __future__ import annotations

import re
from functools import lru_cache

from actinium.errors import UsageError

MOST_BYTES = 512
"""Longest name or pattern, in bytes of UTF-8."""

DEEP = "**"


def _split(text: object, what: str) -> tuple[str, ...]:
    if not isinstance(text, str):
        raise UsageError(f"{what} is text such as 'plant/7/sensor', got {text!r}")
    try:
        size = len(text.encode())
    except UnicodeEncodeError as e:
        raise UsageError(f"{what} {text!r} cannot be written in UTF-8: {e.reason}") from None
    if size > MOST_BYTES:
        raise UsageError(f"{what} has {size} bytes in UTF-8; at most {MOST_BYTES} are allowed")
    segments = tuple(text.split("/"))
    if not all(segments):
        raise UsageError(
            f"{what} {text!r} has an empty segment; write segments with one '/' between them, "
            "as in 'plant/7/sensor'"
        )
    return segments


def split_name(name: object, what: str = "a name") -> tuple[str, ...]:
    """The segments of a name; raises UsageError for one that is malformed or a pattern."""
    segments = _split(name, what)
    if any(c in segment for segment in segments for c in "*?"):
        raise UsageError(f"{what} cannot hold '*' or '?', got {name!r}: they stand for patterns")
    return segments


class Glob:
    """A pattern within one segment."""

    __slots__ = ("_parts", "literal", "prefix", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.literal = "*" not in text and "?" not in text
        self.prefix = re.split(r"[*?]", text, maxsplit=1)[0]
        """What every match begins with."""
        # Between the stars stand parts of fixed length: found one after the other, from the left,
        # they never have to be looked for again.
        self._parts = tuple(
            re.compile("".join("." if c == "?" else re.escape(c) for c in part), re.DOTALL)
            for part in text.split("*")
        )

    def matches(self, segment: str) -> bool:
        """Whether the pattern stands for this segment."""
        if self.literal:
            return segment == self.text
        first, *middle = self._parts
        if not middle:
            return first.fullmatch(segment) is not None
        found = first.match(segment)
        if found is None:
            return False
        at, last = found.end(), middle.pop()
        for part in middle:
            found = part.search(segment, at)
            if found is None:
                return False
            at = found.end()
        tail = len(segment) - _length(last)
        return tail >= at and last.match(segment, tail) is not None


def _length(part: re.Pattern[str]) -> int:
    return len(re.sub(r"\\(.)", r"\1", part.pattern, flags=re.DOTALL))


class Pattern:
    """A pattern over whole names; raises UsageError if it is malformed."""

    __slots__ = ("segments", "text")

    def __init__(self, text: str) -> None:
        parts = _split(text, "a pattern")
        for part in parts:
            if DEEP in part and part != DEEP:
                raise UsageError(
                    f"pattern {text!r}: '**' is a segment of its own; write 'a/**/b', or '*' for "
                    "any characters within a segment"
                )
        self.text = text
        self.segments: tuple[Glob | None, ...] = tuple(
            None if part == DEEP else Glob(part) for part in parts
        )
        """None stands for ``**``."""

    @property
    def literal(self) -> bool:
        """Whether it stands for one name only."""
        return all(glob is not None and glob.literal for glob in self.segments)

    def matches(self, name: str) -> bool:
        """Whether the pattern stands for this name."""
        return self.matches_segments(name.split("/"))

    def matches_segments(self, segments: list[str] | tuple[str, ...]) -> bool:
        """The same for a name that is split already.

        After a ``**`` only the last one met has to be gone back to, so the time is bounded by
        the product of the lengths.
        """
        globs = self.segments
        i = j = 0
        again, mark = -1, 0
        while i < len(segments):
            if j < len(globs):
                glob = globs[j]
                if glob is None:
                    again, mark = j, i
                    j += 1
                    continue
                if glob.matches(segments[i]):
                    i += 1
                    j += 1
                    continue
            if again < 0:
                return False
            mark += 1
            i, j = mark, again + 1
        return all(glob is None for glob in globs[j:])

    def __repr__(self) -> str:
        return f"Pattern({self.text!r})"


@lru_cache(maxsize=1024)
def pattern(text: str) -> Pattern:
    """The compiled form of a pattern; the last 1,024 are remembered."""
    return Pattern(text)
