"""The rarely needed part of an actor's cell, made when first needed.

Most of a million actors have no name, nobody watching and no timer; they do not pay for it.
"""

from __future__ import annotations

from asyncio import Future, Task
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from .shardcore import post_to

if TYPE_CHECKING:
    from actinium import _native

    from .entity import EntityRef
    from .group import Group, Round
    from .lifestate import LifeState
    from .pressure import Signals
    from .quarantine import Quarantine
    from .ref import LocalRef
    from .stash import Kept
    from .supervision import RestartWindow, SupervisorStrategy


class Extra:
    """Name, watchers, links, timers and what supervision remembers of one actor.

    ``failure`` is what its present instance will be treated for, ``fallen`` what its last one
    was taken down for; ``escalated`` are its children that wait for what is decided about it, with
    their failures; ``grace`` ends the patience with its cancelled handlers. ``groups`` are
    those of its children, by the identity of their strategy; ``round`` is the group restart it
    takes part in. ``watchers`` says of each whether it wants to hear of restarts too.
    ``retries``: the message that fails again and again, and how often it did. ``exits``: ends
    of linked actors that wait in the mailbox.
    """

    __slots__ = (
        "after",
        "entity",
        "escalated",
        "exits",
        "failure",
        "fallen",
        "grace",
        "groups",
        "idle",
        "killed",
        "life",
        "links",
        "name",
        "on_stop",
        "orphans",
        "pipes",
        "quarantine",
        "reason",
        "retries",
        "round",
        "senders",
        "signals",
        "stash",
        "states",
        "stopped",
        "supervise",
        "timers",
        "watchers",
        "watching",
        "window",
    )

    def __init__(self) -> None:
        self.name: str | None = None
        self.entity: EntityRef[Any] | None = None
        self.after: Future[None] | None = None
        self.supervise: SupervisorStrategy | None = None
        self.window: RestartWindow | None = None
        self.failure: BaseException | None = None
        self.fallen: BaseException | None = None
        self.escalated: list[tuple[LocalRef[Any], BaseException]] | None = None
        self.grace: _native.Timer | None = None
        self.reason: str | None = None
        self.killed = False
        self.life: LifeState | None = None
        self.groups: dict[int, Group] | None = None
        self.round: Round | None = None
        self.quarantine: Quarantine | None = None
        self.retries: tuple[Any, int] | None = None
        self.watchers: dict[LocalRef[Any], bool] | None = None
        self.watching: dict[LocalRef[Any], None] | None = None
        self.links: dict[LocalRef[Any], None] | None = None
        self.exits: dict[LocalRef[Any], None] | None = None
        self.timers: dict[Any, _native.Timer] | None = None
        self.idle: tuple[float, _native.Timer] | None = None
        self.senders: deque[Future[None]] | None = None
        self.signals: Signals | None = None
        self.stopped: list[Future[str]] | None = None
        self.on_stop: list[Callable[[LocalRef[Any], str], object]] | None = None
        self.orphans: Future[None] | None = None
        self.states: list[str | None] | None = None
        self.stash: list[Kept] | None = None
        self.pipes: set[Task[None]] | None = None


def on_stop(cell: LocalRef[Any], hook: Callable[[LocalRef[Any], str], object]) -> None:
    """Has ``hook(ref, reason)`` called when the actor stops, on its own shard's thread.

    At once if it has stopped already.
    """
    if cell.away:
        post_to(cell, partial(on_stop, cell, hook))
        return
    extra = extra_of(cell)
    if cell.stopped_flag:
        hook(cell, extra.reason or "stopped")
        return
    if extra.on_stop is None:
        extra.on_stop = []
    extra.on_stop.append(hook)


def not_on_stop(cell: LocalRef[Any], hook: Callable[[LocalRef[Any], str], object]) -> None:
    """Takes such a hook back."""
    if cell.away:
        post_to(cell, partial(not_on_stop, cell, hook))
        return
    known: Extra | None = cell.extra
    if known is not None and known.on_stop and hook in known.on_stop:
        known.on_stop.remove(hook)


def extra_of(cell: _native.Cell) -> Extra:
    """The extra part of a cell, made now if it has none."""
    found: Extra | None = cell.extra
    if found is None:
        found = cell.extra = Extra()
    return found
