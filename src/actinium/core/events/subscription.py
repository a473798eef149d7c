"""One subscriber, and how an event reaches it without the publisher ever waiting."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from actinium.core.extra import not_on_stop, on_stop
from actinium.core.feed import Feed
from actinium.core.pattern import Pattern
from actinium.core.room import room_of, wake_next

from .kinds import Missed

if TYPE_CHECKING:
    from .stream import Events

_log = logging.getLogger("actinium.events")


class Subscription:
    """What ``subscribe`` returns: ends with ``cancel``, and counts.

    ``delivered`` events reached the subscriber; ``missed`` ones found it too slow.
    """

    def __init__(self, events: Events, kind: type, topic: Pattern | None) -> None:
        self._events = events
        self.kind = kind
        self.topic = topic
        self.delivered = 0
        self.missed = 0

    def wants(self, topic: str | None) -> bool:
        """Whether events of that topic are meant."""
        if self.topic is None or topic is None:
            return self.topic is None and topic is None
        return self.topic.matches(topic)

    def offer(self, event: Any) -> bool:
        """Hands an event over if there is room for it now."""
        raise NotImplementedError

    def cancel(self) -> None:
        """Ends the subscription: nothing more is delivered."""
        self._events.remove(self)


class ToActor(Subscription):
    """Delivers into an actor's mailbox, as long as that takes more.

    What it refuses is counted. Once there is room again the actor gets one ``Missed`` with the
    exact number, before any later event.
    """

    def __init__(self, events: Events, kind: type, topic: Pattern | None, ref: Any) -> None:
        super().__init__(events, kind, topic)
        self.ref = ref
        self._owed = 0
        self._room: asyncio.Future[None] | None = None
        self._actor = hasattr(ref, "set_waiters")
        if self._actor:
            on_stop(ref, self._stopped)

    def offer(self, event: Any) -> bool:
        if self._settle() and self.ref.try_tell(event).ok:
            self.delivered += 1
            return True
        self.missed += 1
        self._owed += 1
        self._await_room()
        return False

    def _settle(self) -> bool:
        """Tells of the gap, if there is one; False while there is no room even for that."""
        if self._owed:
            if not self.ref.try_tell(Missed(self._owed)).ok:
                return False
            self._owed = 0
        return True

    def _await_room(self) -> None:
        if not self._actor or self._room is not None or self.ref.closed_flag or self.ref.away:
            return
        self._room = room_of(self.ref)
        self._room.add_done_callback(self._has_room)

    def _has_room(self, _: object) -> None:
        self._room = None
        if self.ref.closed_flag:
            return
        if not self._owed:
            wake_next(self.ref)  # somebody else may need the room
        elif not self._settle():
            self._await_room()

    def _stopped(self, ref: object, reason: str) -> None:
        self._events.remove(self)

    def cancel(self) -> None:
        super().cancel()
        if self._actor:
            not_on_stop(self.ref, self._stopped)


class ToFeed(Subscription):
    """Delivers into a bounded queue that somebody reads."""

    def __init__(
        self, events: Events, kind: type, topic: Pattern | None, limit: int,
        where: Callable[[Any], bool] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(events, kind, topic)
        self._where = where
        self.feed: Feed[Any] = Feed(limit, Missed, lambda _: events.remove(self))

    def offer(self, event: Any) -> bool:
        if self._where is not None and not self._where(event):
            return True
        if self.feed.offer(event):
            self.delivered += 1
            return True
        self.missed += 1
        return False

    def cancel(self) -> None:
        self.feed.close()


class ToCallback(ToFeed):
    """Delivers to a function, ``def`` or ``async def``, one event after the other."""

    def __init__(
        self, events: Events, kind: type, topic: Pattern | None, limit: int,
        fn: Callable[[Any], Awaitable[object] | object],
    ) -> None:  # fmt: skip
        super().__init__(events, kind, topic, limit)
        self._fn = fn
        self._task = events.loop.create_task(self._run(), name="actinium.events.callback")

    async def _run(self) -> None:
        async for event in self.feed:
            try:
                outcome = self._fn(event)
                if inspect.isawaitable(outcome):
                    await outcome
            except Exception:  # noqa: BLE001 - one bad event must not end the subscription
                _log.exception(
                    "%r failed on a %s; it stays subscribed", self._fn, type(event).__qualname__
                )

    def cancel(self) -> None:
        super().cancel()
        if self._task is not asyncio.current_task():
            self._task.cancel()
