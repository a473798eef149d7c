"""Death watch: one notice per watch, after all messages of the dead (WD-1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .extra import extra_of
from .ref import LocalRef
from .remote import RemoteRef
from .signals import Terminated

if TYPE_CHECKING:
    from .extra import Extra

Cell = LocalRef[Any]


def watch(watcher: Cell, target: Cell) -> None:
    here = extra_of(watcher)
    if here.watching is None:
        here.watching = {}
    here.watching[target] = None
    if target.stopped_flag:
        known: Extra | None = target.extra
        reason = (known.reason if known is not None else None) or "stopped"
        watcher.deliver(Terminated(target, reason))
        return
    there = extra_of(target)
    if there.watchers is None:
        there.watchers = {}
    there.watchers[watcher] = None
    if isinstance(target, RemoteRef):
        target.extra.watched(target)


def noticed(watcher: Cell, notice: Any) -> bool:
    """Whether the watch that a notice answers was not taken back meanwhile."""
    if not isinstance(notice, Terminated):
        return True
    watching = extra_of(watcher).watching
    if watching is None or notice.ref not in watching:
        return False
    del watching[notice.ref]
    return True


def unwatch(watcher: Cell, target: Cell) -> None:
    for known, other in ((extra_of(target).watchers, watcher),
                         (extra_of(watcher).watching, target)):  # fmt: skip
        if known is not None:
            known.pop(other, None)


def notify(cell: Cell, extra: Extra) -> None:
    """Tells those who watch an actor that has just stopped, and takes back its own watches."""
    for target in extra.watching or ():
        watchers = extra_of(target).watchers
        if watchers is not None:
            watchers.pop(cell, None)
    for watcher in extra.watchers or ():
        watcher.deliver(Terminated(cell, extra.reason or "stopped"))
    extra.watchers = extra.watching = None
