"""Links: actors whose fates are coupled, as in Erlang.

A link goes both ways. When one of the two ends abnormally (killed, or failed for good) the other
fails with LinkedExit; a class with ``trap_exit=True`` gets ``ac.Exited`` as a message instead.
A restart is no end, and a normal end just removes the link.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from actinium.errors import LinkedExit, UsageError

from .extra import Extra, extra_of
from .ref import LocalRef
from .remote import RemoteRef
from .signals import Exited

Cell = LocalRef[Any]

NORMAL = frozenset(("stopped", "passivated"))
"""Reasons that do not pass along a link."""


class Links:
    """The links of one system; ``fail`` is told whom an end takes along."""

    def __init__(self, fail: Callable[[Cell, BaseException], None]) -> None:
        self._fail = fail

    def link(self, one: Cell, other: Cell) -> None:
        """Couples two actors; if the other one has ended abnormally already, at once."""
        if one is other:
            return
        if isinstance(other, RemoteRef) or other.away:
            where = "shard" if other.away else "process"
            raise UsageError(
                f"ctx.link() reaches actors of this {where}; {other.path} lives in another one: "
                "use ctx.watch()"
            )
        if other.stopped_flag:
            known: Extra | None = other.extra
            reason = (known.reason if known is not None else None) or "stopped"
            if reason not in NORMAL:
                self._exit(one, other, reason)
            return
        for here, there in ((one, other), (other, one)):
            extra = extra_of(here)
            if extra.links is None:
                extra.links = {}
            extra.links[there] = None

    def unlink(self, one: Cell, other: Cell) -> None:
        """Takes a link back, and an exit of it that still waits in the mailbox."""
        for here, there in ((one, other), (other, one)):
            extra: Extra | None = here.extra
            if extra is not None and extra.links is not None:
                extra.links.pop(there, None)
        exits = extra_of(one).exits
        if exits is not None:
            exits.pop(other, None)

    def ended(self, cell: Cell, extra: Extra) -> None:
        """Takes along, or tells, those linked to an actor that has just stopped."""
        links, extra.links, extra.exits = extra.links, None, None
        reason = extra.reason or "stopped"
        for peer in links or ():
            theirs = extra_of(peer).links
            if theirs is not None:
                theirs.pop(cell, None)
            if reason not in NORMAL:
                self._exit(peer, cell, reason)

    def _exit(self, peer: Cell, ended: Cell, reason: str) -> None:
        if peer.closed_flag:
            return
        if peer.cls._trap_exit:
            extra = extra_of(peer)
            if extra.exits is None:
                extra.exits = {}
            extra.exits[ended] = None
            peer.deliver(Exited(ended, reason))
        else:
            error = LinkedExit(f"{ended.path}, to which {peer.path} was linked, ended: {reason}")
            self._fail(peer, error)


def still_linked(cell: Cell, notice: Exited) -> bool:
    """Whether the link of a notice was not taken back meanwhile."""
    exits = extra_of(cell).exits
    if exits is None or notice.ref not in exits:
        return False
    del exits[notice.ref]
    return True
