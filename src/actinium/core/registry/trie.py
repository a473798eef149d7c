"""A map from names made of segments, searched by pattern without looking at every name.

Each node knows how many names lie below it, and last segments are kept in order beside the tree.
So a search knows beforehand which is less work: walking the part of the tree that the pattern's
literal beginning leads to, or the names whose last segment can match.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from typing import Generic, TypeVar

from actinium.core.pattern import Glob, Pattern

V = TypeVar("V")


class _Node(Generic[V]):
    __slots__ = ("below", "children", "name", "value")

    def __init__(self) -> None:
        self.children: dict[str, _Node[V]] = {}
        self.below = 0
        self.name: str | None = None
        self.value: V | None = None


class Trie(Generic[V]):
    """Values under names; the caller has checked the names."""

    def __init__(self) -> None:
        self._root: _Node[V] = _Node()
        self._last: dict[str, dict[str, V]] = {}
        self._ordered: list[str] = []

    def __len__(self) -> int:
        return self._root.below

    def get(self, name: str) -> V | None:
        """The value of one name."""
        return self._last.get(name.rpartition("/")[2], {}).get(name)

    def put(self, name: str, value: V) -> None:
        """Sets the value of a name, new or not."""
        segments = name.split("/")
        new = self.get(name) is None
        node = self._root
        node.below += new
        for segment in segments:
            found = node.children.get(segment)
            if found is None:
                found = node.children[segment] = _Node()
            node = found
            node.below += new
        node.name, node.value = name, value
        last = self._last.get(segments[-1])
        if last is None:
            last = self._last[segments[-1]] = {}
            insort(self._ordered, segments[-1])
        last[name] = value

    def remove(self, name: str) -> V | None:
        """Takes a name out; returns its value, None if there was none."""
        value = self.get(name)
        if value is None:
            return None
        segments = name.split("/")
        node = self._root
        node.below -= 1
        for segment in segments:
            child = node.children[segment]
            child.below -= 1
            if child.below == 0:  # nothing is left in this whole branch
                del node.children[segment]
                break
            node = child
        else:
            node.name = node.value = None
        last = self._last[segments[-1]]
        del last[name]
        if not last:
            del self._last[segments[-1]]
            del self._ordered[bisect_left(self._ordered, segments[-1])]
        return value

    def find(self, pattern: Pattern) -> Iterator[tuple[str, V]]:
        """Names that match, with their values, in no order."""
        if pattern.literal:
            value = self.get(pattern.text)
            if value is not None:
                yield pattern.text, value
            return
        globs = pattern.segments
        node, depth = self._root, 0
        while depth < len(globs):
            glob = globs[depth]
            if glob is None or not glob.literal:
                break
            child = node.children.get(glob.text)
            if child is None:
                return
            node, depth = child, depth + 1
        last = globs[-1]
        if None in globs and last is not None and last.prefix:
            candidates = self._candidates(last, node.below)
            if candidates is not None:
                for name, value in candidates:
                    if pattern.matches(name):
                        yield name, value
                return
        yield from self._walk(node, globs, depth)

    def _candidates(self, last: Glob, limit: int) -> list[tuple[str, V]] | None:
        """Names whose last segment may match, None if there are ``limit`` of them or more."""
        found: list[tuple[str, V]] = []
        at = bisect_left(self._ordered, last.prefix)
        while at < len(self._ordered) and self._ordered[at].startswith(last.prefix):
            segment = self._ordered[at]
            if last.matches(segment):
                found.extend(self._last[segment].items())
            at += 1
            if len(found) >= limit:
                return None
        return found

    def _walk(
        self, start: _Node[V], globs: tuple[Glob | None, ...], depth: int
    ) -> Iterator[tuple[str, V]]:
        """Each place in the tree and the pattern is visited once, however many ways lead there."""
        todo = [(start, depth)]
        seen: set[tuple[int, int]] = set()
        many = sum(glob is None for glob in globs[depth:]) > 1
        while todo:
            node, i = todo.pop()
            if many:
                place = (id(node), i)
                if place in seen:
                    continue
                seen.add(place)
            if i == len(globs):
                if node.value is not None and node.name is not None:
                    yield node.name, node.value
                continue
            glob = globs[i]
            if glob is None:
                todo.append((node, i + 1))
                todo.extend((child, i) for child in node.children.values())
            elif glob.literal:
                child = node.children.get(glob.text)
                if child is not None:
                    todo.append((child, i + 1))
            else:
                todo.extend(
                    (child, i + 1)
                    for segment, child in node.children.items()
                    if glob.matches(segment)
                )
