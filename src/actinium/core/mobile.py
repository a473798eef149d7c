"""Which classes of actors the system may move from one shard to another (``System(shards=...)``).

What belongs to an event loop must not change threads, and nobody can see what a coroutine made: a
client, a task, a lock. So actors whose class has anything ``async`` stay where they are. What the
core looks at besides, one actor at a time, is in native/binding/moving.cpp.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from .handler import PLAIN, kind_of

if TYPE_CHECKING:
    from .actor import Actor

HOOKS = ("started", "stopping", "restarting", "restarted")


def is_mobile(cls: type[Actor]) -> bool:
    """Whether all its handlers and hooks are ``def``, and run on the thread of the shard."""
    if any(inspect.iscoroutinefunction(getattr(cls, hook)) for hook in HOOKS):
        return False
    tables = (cls._handlers, *cls._state_handlers.values())
    handlers: list[Any] = [fn for table in tables for fn in table.values()]
    return all(
        kind_of(fn) == kind_of(cls._wrap(fn)) == PLAIN and not fn.__actinium_on__.thread
        for fn in handlers
    )
