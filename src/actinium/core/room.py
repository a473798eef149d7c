"""Waiting for room in a full mailbox."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

from .extra import extra_of

if TYPE_CHECKING:
    from .ref import LocalRef


def room_of(ref: LocalRef[Any]) -> asyncio.Future[None]:
    """A future that is done when the mailbox has taken a message out, or the actor has stopped.

    Whoever waits looks again afterwards: another sender may have been faster.
    """
    extra = extra_of(ref)
    if extra.senders is None:
        extra.senders = deque()
    room: asyncio.Future[None] = ref.core.loop.create_future()
    extra.senders.append(room)
    ref.set_waiters(True)
    return room


def wake_next(ref: LocalRef[Any]) -> None:
    """There is room for one: wakes who has waited longest for it."""
    senders = extra_of(ref).senders
    while senders:
        waiter = senders.popleft()
        if not waiter.done():
            waiter.set_result(None)
            return
    ref.set_waiters(False)
