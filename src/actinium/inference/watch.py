"""Limits of time for the waits of many requests, without a timer for each.

``asyncio.timeout`` around each wait would cost a timer, a context manager and a cancellation
scope per chunk of a stream; even one timer per request shows at ten thousand requests a
second. Here beginning a wait only writes down until when it may last, and one clock per
deployment looks at these numbers every 25 ms while there are any. A limit is so kept to
within 25 ms (DL-1 allows 100).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from actinium.errors import RequestDeadline

TICK_SECONDS: Final = 0.025


class Watch:
    """Interrupts the waits of one request when a limit passes or somebody says so.

    The owner brackets each wait: :meth:`enter`, await, :meth:`leave`; and on CancelledError
    asks :meth:`reason`, which is the error to raise if the cancellation was the watch's own
    and None if it came from outside. Like ``asyncio.timeout`` it cancels the task that waits
    and takes that cancellation back.

    Times are those of the loop, in seconds.
    """

    __slots__ = ("_cancels", "_deadline", "_due", "_error", "_late", "_loop", "_task")

    def __init__(self, loop: asyncio.AbstractEventLoop, deadline: float) -> None:
        self._loop = loop
        self._deadline = deadline
        self._due = deadline
        self._late: Callable[[], Exception] = _past_deadline
        self._task: asyncio.Task[object] | None = None
        self._cancels = 0
        self._error: Exception | None = None

    def enter(self, seconds: float, late: Callable[[], Exception]) -> None:
        """A wait of at most ``seconds`` begins; ``late()`` makes its error.

        Raises at once what :meth:`interrupt` left while nothing waited, and RequestDeadline
        where the whole request's time is over already.
        """
        if self._error is not None:
            raise self._error
        now = self._loop.time()
        due = now + seconds
        if due < self._deadline:
            self._late = late
        else:
            due = self._deadline
            self._late = _past_deadline
            if due <= now:
                raise _past_deadline()
        self._due = due
        task = self._task = asyncio.current_task(self._loop)
        if task is not None:
            self._cancels = task.cancelling()

    def left(self) -> float:
        """Seconds until the whole request's time is over."""
        return self._deadline - self._loop.time()

    def leave(self) -> None:
        """The wait is over: from here on nothing cancels the task."""
        self._task = None

    def reason(self) -> Exception | None:
        """After a CancelledError of a wait: the error to raise instead, if it was ours."""
        error = self._error
        task = self._task
        self._task = None
        if error is None or task is None:
            return None
        # Somebody else wants to cancel the task as well: that wish goes first.
        return error if task.uncancel() <= self._cancels else None

    def interrupt(self, error: Exception) -> None:
        """Ends the wait that is under way with ``error``, or else the next one."""
        if self._error is not None:
            return
        self._error = error
        if self._task is not None:
            self._task.cancel()

    def check(self, now: float) -> None:
        """Ends the wait that is under way if its time is over."""
        if now >= self._due and self._task is not None:
            self.interrupt(self._late())


class Watches:
    """All watches of one deployment and the clock that checks them. Sleeps when there are none."""

    __slots__ = ("_all", "_idle", "_timer")

    def __init__(self) -> None:
        self._all: set[Watch] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._idle: asyncio.Future[None] | None = None

    def __len__(self) -> int:
        return len(self._all)

    def open(self, loop: asyncio.AbstractEventLoop, seconds: float, until: float | None) -> Watch:
        """A watch for a request of at most ``seconds``, and not beyond the time ``until``."""
        deadline = loop.time() + seconds
        if until is not None and until < deadline:
            deadline = until
        watch = Watch(loop, deadline)
        self._all.add(watch)
        if self._timer is None:
            self._timer = loop.call_later(TICK_SECONDS, self._tick, loop)
        return watch

    def close(self, watch: Watch) -> None:
        """The request has ended."""
        watch.leave()
        self._all.discard(watch)
        if self._idle is not None and not self._all and not self._idle.done():
            self._idle.set_result(None)

    async def empty(self) -> None:
        """Waits until all requests have ended."""
        while self._all:
            self._idle = asyncio.get_running_loop().create_future()
            await self._idle

    def interrupt(self, make: Callable[[], Exception]) -> None:
        """Ends all requests, each with an error of its own."""
        for watch in list(self._all):
            watch.interrupt(make())

    def stop(self) -> None:
        """Stops the clock for good."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._all:
            self._timer = None
            return
        now = loop.time()
        for watch in list(self._all):
            watch.check(now)
        self._timer = loop.call_later(TICK_SECONDS, self._tick, loop)


def _past_deadline() -> Exception:
    return RequestDeadline("the time allowed for the whole request is over")
