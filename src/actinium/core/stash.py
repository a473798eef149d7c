"""Messages set aside by their handler, to be handled later.

A stashed message keeps what came with it: its sender, its deadline, and the reply somebody
waits for. It is in nobody's way meanwhile: the mailbox has room for others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from actinium import _native
from actinium.errors import StashFull

from .extra import Extra, extra_of

if TYPE_CHECKING:
    from .context import Context
    from .ref import LocalRef
    from .undelivered import Undelivered

LIMIT = 256
"""Messages a stash holds unless the class says ``stash=``."""

Kept = tuple[Any, Any, Any, int]
"""A message, its sender or None, its reply, envelope or timer or None, and its lane."""


def stash(ctx: Context, undelivered: Undelivered) -> bool:
    """Sets the current message aside; False if the stash was full, which ended the message."""
    cell = ctx.self_ref
    limit = cell.cls._stash
    extra = extra_of(cell)
    item = ctx.take_current()
    if extra.stash is None:
        extra.stash = []
    if len(extra.stash) >= limit:
        _let_go_of_dead(cell, extra)
    if len(extra.stash) >= limit:
        error = StashFull(f"the stash of {cell.path} is full ({limit} messages)")
        undelivered.record("stash_full", cell, *item[:3], error)
        return False
    extra.stash.append(item)
    return True


def _let_go_of_dead(cell: LocalRef[Any], extra: Extra) -> None:
    """Asks that nobody waits for any more go back; the mailbox ends them by its own rules."""
    assert extra.stash is not None
    dead = [item for item in extra.stash if _is_done(item)]
    if dead:
        extra.stash = [item for item in extra.stash if not _is_done(item)]
        cell.put_back(dead)


def _is_done(item: Kept) -> bool:
    return isinstance(item[2], _native.Reply) and item[2].done()


def unstash(cell: LocalRef[Any]) -> int:
    """Puts all stashed messages before those in their lanes, oldest first; returns how many."""
    extra: Extra | None = cell.extra
    if extra is None or not extra.stash:
        return 0
    kept, extra.stash = extra.stash, None
    cell.put_back(kept)
    return len(kept)


def drop_stash(cell: LocalRef[Any], undelivered: Undelivered) -> None:
    """What a stopping actor had set aside has stopped with it."""
    known: Extra | None = cell.extra
    if known is not None and known.stash:
        kept, known.stash = known.stash, None
        for item in kept:
            undelivered.closed(cell, *item[:3])


def holds(cell: LocalRef[Any], reply: _native.Reply) -> bool:
    """Whether the message of an ask is stashed."""
    extra: Extra | None = cell.extra
    kept = extra.stash if extra is not None else None
    return kept is not None and any(item[2] is reply for item in kept)
