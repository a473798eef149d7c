"""What a watcher of the registry is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from actinium.core.feed import Feed
from actinium.core.pattern import Pattern


class Registered(msgspec.Struct, frozen=True):
    """One name in the registry: the ref it stands for and its tags."""

    name: str
    ref: Any
    tags: Mapping[str, str] = {}


class NameAdded(msgspec.Struct, frozen=True):
    """A name came into being."""

    entry: Registered


class NameRemoved(msgspec.Struct, frozen=True):
    """A name is free again: it was unregistered, or its actor stopped."""

    entry: Registered


class NameReplaced(msgspec.Struct, frozen=True):
    """A name stands for another ref or has other tags."""

    entry: Registered
    before: Registered


class Resync(msgspec.Struct, frozen=True):
    """Stands for the changes a slow watcher missed: all names there are now, to begin anew."""

    entries: tuple[Registered, ...]


NameChange = NameAdded | NameRemoved | NameReplaced | Resync


class NameWatch(Feed[NameChange]):
    """The names of a pattern as they were (``snapshot``), and every change since.

    At most ``max_pending`` changes wait to be read. When there would be more, all of them make
    way for one ``Resync``, whose names are those of the moment it is read.
    """

    def __init__(
        self,
        pattern: Pattern,
        tags: Mapping[str, str],
        limit: int,
        now: Callable[[], list[Registered]],
        closed: Callable[[NameWatch], object],
    ) -> None:
        super().__init__(limit, lambda _: Resync(tuple(now())), lambda _: closed(self))
        self.pattern = pattern
        self.tags = tags
        self.snapshot: tuple[Registered, ...] = tuple(now())

    def offer(self, item: NameChange) -> bool:
        """Adds a change; one that does not fit takes the waiting ones with it."""
        if self.closed:
            return False
        if self._left_out or len(self._items) >= self._limit:
            self.missed += len(self._items) + 1
            self._items.clear()
            self._left_out = 1  # read as one Resync, which stands for all of them
            return False
        return super().offer(item)
