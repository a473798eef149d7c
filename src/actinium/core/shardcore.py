"""What a native core can do besides, where there is no GIL (native/binding/shards.cpp)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, cast

from actinium import _native

THREADS = hasattr(_native.Core, "post")
"""Whether this build of the native core can run several shards."""


class ShardCore(Protocol):
    """The calls of such a core; all but ``join_shards`` and ``settle`` from any thread."""

    def join_shards(
        self, other: _native.Core | None, place: int, count: int, worth_ns: int, /
    ) -> None:
        """Makes it a shard of the system that ``other`` is one of, or the first of a new one.

        ``worth_ns``: work that has to wait for an actor before it is given away.
        """

    def post(self, call: Callable[[], object], /) -> bool:
        """Calls something on the core's thread, in its turn; False if the core is closed."""

    def reserve(self, parent: _native.Cell, cls: Any, /) -> Any:
        """A ref that messages can be sent to, of an actor that is still to be made."""

    def settle(
        self, cell: _native.Cell, args: tuple[Any, ...], kwargs: dict[str, Any] | None, /
    ) -> None:
        """Makes the actor of a reserved ref."""

    def load(self) -> tuple[int, int, int, int]:
        """Actors, those on their way included; messages from other shards that found their mailbox
        full or closed; actors that moved here; moves in the whole system."""


class ShardCell(Protocol):
    """The calls of a local ref of such a core."""

    def post(self, call: Callable[[], object], /) -> bool:
        """Calls something on the thread of the actor's shard, in line with what this thread has
        sent to it, and at once if this is that thread; False if that core is closed."""

    def set_mobile(self) -> None:
        """Lets the system move the actor to another shard, from the thread of its own."""


def shard_core(core: _native.Core) -> ShardCore:
    """The same core as such a one."""
    return cast(ShardCore, core)


def post(core: _native.Core, call: Callable[[], object]) -> bool:
    """See ``ShardCore.post``."""
    return shard_core(core).post(call)


def shard_cell(cell: _native.Cell) -> ShardCell:
    """The same ref as one of such a core."""
    return cast(ShardCell, cell)


def post_to(cell: _native.Cell, call: Callable[[], object]) -> bool:
    """See ``ShardCell.post``: what is to be done to an actor that may be on the move."""
    return shard_cell(cell).post(call)
