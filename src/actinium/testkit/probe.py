"""Probes: stand-in actors that a test looks through."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from actinium.core import Actor, Context, LocalRef, ReplyToken, Unbounded, on
from actinium.errors import UsageError

from .events import shown
from .failure import ExpectationFailed

if TYPE_CHECKING:
    from .system import TestSystem

T = TypeVar("T")


class Arrival:
    """One message that a probe got; ``time`` is virtual, in seconds."""

    __slots__ = ("message", "sender", "time", "token")

    def __init__(
        self, time: float, message: Any, sender: LocalRef[Any] | None, token: ReplyToken | None
    ) -> None:
        self.time = time
        self.message = message
        self.sender = sender
        self.token = token

    def __str__(self) -> str:
        come = "asked" if self.token is not None else "told"
        origin = f"by {self.sender.path}" if self.sender is not None else "from outside"
        return f"{shown(self.message)} {come} {origin}"


class _Stand(Actor, mailbox=Unbounded()):
    """Takes everything and hands it to its probe."""

    def __init__(self, take: Callable[[Context, Any], None]) -> None:
        self._take = take

    @on
    def any(self, message: Any) -> None:
        self._take(self.ctx, message)


class Probe:
    """An actor whose messages a test expects one by one, in the order of their arrival.

    Each expectation waits in virtual time and so costs none. Raises ExpectationFailed, with all
    that did arrive, where an expectation is not met.
    """

    def __init__(self, kit: TestSystem, name: str | None = None) -> None:
        self._kit = kit
        self._arrivals: list[Arrival] = []
        self._next = 0
        self._last: Arrival | None = None
        options: dict[str, Any] = {"name": name} if name is not None else {}
        self.ref: LocalRef[Any] = kit.spawn(_Stand, self._take, **options)

    def _take(self, ctx: Context, message: Any) -> None:
        token: ReplyToken | None
        try:
            token = ctx.defer()
        except UsageError:  # it was told
            token = None
        arrival = Arrival(self._kit.now(), message, ctx.sender, token)
        self._arrivals.append(arrival)
        self._kit.events.add(f"{self.ref.path} got {arrival}")

    # -- what has come

    @property
    def messages(self) -> list[Any]:
        """All messages so far, oldest first."""
        return [arrival.message for arrival in self._arrivals]

    @property
    def unread(self) -> list[Any]:
        """The messages that no expectation has taken yet."""
        return [arrival.message for arrival in self._arrivals[self._next :]]

    @property
    def sender(self) -> LocalRef[Any] | None:
        """Who sent the message that was expected last."""
        return self._read().sender

    def _read(self) -> Arrival:
        if self._last is None:
            raise UsageError("no message was expected yet: write `await probe.expect(...)` first")
        return self._last

    # -- expectations

    async def expect(
        self, kind: type[T], where: Callable[[T], bool] | None = None, within: float = 1.0
    ) -> T:
        """The next message, which must be of this class (and meet ``where``)."""
        arrival = await self._take_next(within, f"a {kind.__qualname__}")
        message: T = arrival.message
        if not isinstance(message, kind):
            raise self._failed(f"expected a {kind.__qualname__}, got {arrival}")
        if where is not None and not where(message):
            raise self._failed(f"got {arrival}, which does not meet the condition")
        return message

    async def expect_none(self, within: float = 0.5) -> None:
        """Nothing comes within so many seconds."""
        if await self._kit.loop.until(self._has_next, within):
            arrival = self._arrivals[self._next]
            raise self._failed(f"expected nothing within {within:g} s, got {arrival}")

    async def expect_all(self, *expected: Any, within: float = 1.0) -> list[Any]:
        """The next messages are these, in any order; a class stands for any of its instances."""
        missing = list(expected)
        found = []
        until = self._kit.now() + within
        while missing:
            names = ", ".join(_name(e) for e in missing)
            arrival = await self._take_next(max(0.0, until - self._kit.now()), names)
            match = next((e for e in missing if _matches(e, arrival.message)), None)
            if match is None:
                raise self._failed(f"expected {names}, got {arrival}")
            missing.remove(match)
            found.append(arrival.message)
        return found

    async def fish(self, wanted: Callable[[Any], bool], within: float = 1.0) -> Any:
        """The first message that is wanted; those before it are passed over."""
        until = self._kit.now() + within
        while True:
            left = max(0.0, until - self._kit.now())
            arrival = await self._take_next(left, "a message that is wanted")
            if wanted(arrival.message):
                return arrival.message

    def reply(self, value: Any) -> None:
        """Answers the message that was expected last: its ask, or with a tell to its sender."""
        arrival = self._read()
        if arrival.token is not None:
            arrival.token.reply(value)
        elif arrival.sender is not None:
            arrival.sender.tell(value, sender=self.ref)
        else:
            raise UsageError(f"nobody waits for a reply to {arrival.message!r}: told from outside")

    def watch(self, ref: LocalRef[Any]) -> None:
        """Has the probe told of the end of an actor, by ``ac.Terminated``."""
        self.ref.instance.ctx.watch(ref)

    # -- inside

    def _has_next(self) -> bool:
        return len(self._arrivals) > self._next

    async def _take_next(self, within: float, what: str) -> Arrival:
        if not await self._kit.loop.until(self._has_next, within):
            raise self._failed(f"expected {what} within {within:g} s, got nothing")
        self._last = self._arrivals[self._next]
        self._next += 1
        return self._last

    def _failed(self, text: str) -> ExpectationFailed:
        return ExpectationFailed(f"{text}\n{self._story(self._arrivals)}")

    def _story(self, arrivals: Sequence[Arrival]) -> str:
        if not arrivals:
            return f"nothing has reached {self.ref.path}"
        lines = [f"what has reached {self.ref.path}, in order:"]
        lines += [
            f"  {n + 1}. at {a.time:.3f} s: {a}{'' if n < self._next else ' (not read)'}"
            for n, a in enumerate(arrivals)
        ]
        return "\n".join(lines)


def _matches(expected: Any, message: Any) -> bool:
    if isinstance(expected, type):
        return isinstance(message, expected)
    return bool(expected == message)


def _name(expected: Any) -> str:
    return f"a {expected.__qualname__}" if isinstance(expected, type) else repr(expected)
