"""``system.events``: who wants which event, and publishing to them.

Nobody subscribed costs a publisher one look at ``active``. Otherwise the subscribers of a type
are found once, by its bases, and remembered until someone comes or goes.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from actinium.core.feed import Feed
from actinium.core.pattern import pattern, split_name
from actinium.errors import UsageError

from .kinds import ActorStartedEvent, ActorStoppedEvent, Missed
from .subscription import Subscription, ToActor, ToCallback, ToFeed

E = TypeVar("E")

REMEMBERED = 4096
"""Pairs of event type and topic whose subscribers are remembered."""


class Events:
    """Typed publish and subscribe within one system.

    A subscriber of a class gets events of its subclasses too. Publishing never waits: a
    subscriber that is too slow loses events, and gets one ``ac.Missed`` with their exact number
    in their place.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, observe: Callable[[bool], object]) -> None:
        self.loop = loop
        self.active = False
        """Whether anybody is subscribed to anything."""
        self.shared = False
        """Whether actors of other shards may subscribe too."""
        self._thread = threading.get_ident()
        self._lock = threading.RLock()
        self._observers = [observe]
        self._subscriptions: list[Subscription] = []
        self._found: dict[tuple[type, str | None], tuple[Subscription, ...]] = {}
        self._closed = False

    # -- subscribing

    def subscribe(
        self,
        kind: type[E],
        to: Any,
        *,
        topic: str | None = None,
        max_pending: int = 256,
    ) -> Subscription:
        """Delivers events of ``kind`` to an actor's ref, or to a function called with each.

        ``topic`` is a pattern (``orders/*``, ``**``) and means events published to such a topic;
        without it, those published to none. An actor's mailbox bounds what may wait for it, a
        function's queue holds ``max_pending``. An actor that stops is no longer subscribed.
        A function that raises is reported in the log and stays.

        >>> system.events.subscribe(ac.ActorFailedEvent, watcher)
        """
        self._check(kind, others=self.shared and hasattr(to, "try_tell"))
        wanted = pattern(topic) if topic is not None else None
        added: Subscription
        if hasattr(to, "try_tell"):
            added = ToActor(self, kind, wanted, to)
        elif callable(to):
            callback: Callable[[Any], Awaitable[object] | object] = to
            added = ToCallback(self, kind, wanted, max_pending, callback)
        else:
            raise UsageError(f"subscribe() delivers to a ref or to a function, got {to!r}")
        self._add(added)
        return added

    def watch(
        self,
        kind: type[E],
        *,
        topic: str | None = None,
        max_pending: int = 256,
        where: Callable[[E], bool] | None = None,
    ) -> Feed[E | Missed]:
        """Events of ``kind`` to be read here, those for which ``where`` is true.

        >>> async with system.events.watch(ac.DeadLetterEvent) as events:
        ...     async for event in events: ...
        """
        self._check(kind)
        added = ToFeed(
            self, kind, pattern(topic) if topic is not None else None, max_pending, where
        )
        self._add(added)
        return added.feed

    def observed_by(self, observe: Callable[[bool], object]) -> None:
        """Tells one more shard when somebody wants to hear of actors that come and go."""
        with self._lock:
            self._observers.append(observe)
            observe(self._wants_actors())

    def _check(self, kind: object, others: bool = False) -> None:
        if not isinstance(kind, type):
            raise UsageError(f"subscribe to a class of events, such as ac.Event; got {kind!r}")
        if self._closed:
            raise UsageError("the system has ended: nothing is published any more")
        if not others and threading.get_ident() != self._thread:
            raise UsageError("subscribe() belongs to the thread of the system's event loop")

    def _add(self, added: Subscription) -> None:
        with self._lock:
            self._subscriptions.append(added)
            self._changed()

    def remove(self, subscription: Subscription) -> None:
        """Ends a subscription; one that has ended is left as it is."""
        with self._lock:
            if subscription in self._subscriptions:
                self._subscriptions.remove(subscription)
                self._changed()

    def _changed(self) -> None:
        self._found.clear()
        self.active = bool(self._subscriptions)
        if not self._closed:
            wanted = self._wants_actors()
            for observe in self._observers:
                observe(wanted)

    def _wants_actors(self) -> bool:
        return self.wants(ActorStartedEvent) or self.wants(ActorStoppedEvent)

    # -- publishing

    def wants(self, kind: type, topic: str | None = None) -> bool:
        """Whether an event of this very class would reach anybody."""
        return self.active and bool(self._targets(kind, topic))

    def publish(self, event: Any, *, topic: str | None = None) -> int:
        """Hands an event to its subscribers, to those of the topic if one is named.

        Returns how many subscribers it is for; safe from any thread.
        """
        if topic is not None:
            split_name(topic, "a topic")
        if not self.active:
            return 0
        targets = self._targets(type(event), topic)
        if targets and threading.get_ident() != self._thread:
            self.loop.call_soon_threadsafe(self._deliver, event, targets)
        else:
            self._deliver(event, targets)
        return len(targets)

    def emit(self, kind: Callable[..., Any], *fields: Any) -> None:
        """Publishes ``kind(*fields)`` if anybody wants it; for the runtime's own events."""
        if self.active and self._targets(kind, None):  # type: ignore[arg-type]
            self.publish(kind(*fields))

    def _deliver(self, event: Any, targets: tuple[Subscription, ...]) -> None:
        for target in targets:
            target.offer(event)

    def _targets(self, kind: type, topic: str | None) -> tuple[Subscription, ...]:
        key = (kind, topic)
        found = self._found.get(key)
        if found is None:
            with self._lock:
                if len(self._found) >= REMEMBERED:
                    self._found.clear()
                found = self._found[key] = tuple(
                    s for s in self._subscriptions if issubclass(kind, s.kind) and s.wants(topic)
                )
        return found

    # -- the end

    def close(self) -> None:
        """Ends all subscriptions; readers get what waits for them, then the end."""
        self._closed = True
        for subscription in tuple(self._subscriptions):
            subscription.cancel()
        self.active = False
