"""Death watch: one notice per watch, after all messages of the dead (WD-1)."""

from __future__ import annotations

from functools import partial
from typing import Any

from .extra import Extra, extra_of
from .links import still_linked
from .ref import LocalRef
from .remote import RemoteRef
from .shardcore import post_to
from .signals import Exited, Restarted, Terminated

Cell = LocalRef[Any]


def watch(watcher: Cell, target: Cell, *, restarts: bool = False) -> None:
    """Asks for one ``Terminated``, and with ``restarts`` for a ``Restarted`` each time."""
    here = extra_of(watcher)
    if here.watching is None:
        here.watching = {}
    here.watching[target] = None
    if target.away:
        if not post_to(target, partial(_watched, watcher, target, restarts)):
            _watched(watcher, target, restarts)  # its shard has ended
    else:
        _watched(watcher, target, restarts)


def _watched(watcher: Cell, target: Cell, restarts: bool) -> None:
    """The target's side of a watch."""
    if target.stopped_flag:
        known: Extra | None = target.extra
        reason = (known.reason if known is not None else None) or "stopped"
        watcher.deliver(Terminated(target, reason, target.incarnation))
        return
    there = extra_of(target)
    if there.watchers is None:
        there.watchers = {}
    there.watchers[watcher] = restarts
    if isinstance(target, RemoteRef):
        target.extra.watched(target)


def noticed(watcher: Cell, notice: Any) -> bool:
    """Whether what a notice answers (a watch, a link) was not taken back meanwhile."""
    if isinstance(notice, Exited):
        return still_linked(watcher, notice)
    if not isinstance(notice, (Terminated, Restarted)):
        return True
    watching = extra_of(watcher).watching
    if watching is None or notice.ref not in watching:
        return False
    if isinstance(notice, Terminated):
        del watching[notice.ref]
    return True


def unwatch(watcher: Cell, target: Cell) -> None:
    """Takes a watch back, and a notice of it that still waits in the mailbox."""
    watching = extra_of(watcher).watching
    if watching is not None:
        watching.pop(target, None)
    _forget(watcher, target)


def _forget(watcher: Cell, target: Cell) -> None:
    """The target's side of the end of a watch."""
    if target.away:
        post_to(target, partial(_forget, watcher, target))
        return
    watchers = extra_of(target).watchers
    if watchers is not None:
        watchers.pop(watcher, None)


def ended(cell: Cell, extra: Extra) -> None:
    """Tells those who watch an actor that has just stopped, and takes back its own watches."""
    for target in extra.watching or ():
        _forget(cell, target)
    for watcher in extra.watchers or ():
        watcher.deliver(Terminated(cell, extra.reason or "stopped", cell.incarnation))
    extra.watchers = extra.watching = None


def restarted(cell: Cell, extra: Extra, failure: BaseException) -> None:
    """Tells those who want to hear of restarts."""
    for watcher, restarts in (extra.watchers or {}).items():
        if restarts:
            text = f"{type(failure).__name__}: {failure}"
            watcher.deliver(Restarted(cell, cell.incarnation, text))
