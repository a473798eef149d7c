"""One timer that guards all waits of one request.

``asyncio.timeout`` around each wait would cost a timer, a context manager and a cancellation
scope per chunk of a stream. A watch keeps a single timer for the whole request and moves only
a number when a wait begins: the timer looks at the number when it fires and sleeps on if the
wait that it was set for is long over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from actinium.errors import RequestDeadline


class Watch:
    """Interrupts the waits of one request when a limit passes or somebody says so.

    The owner brackets each wait: :meth:`enter`, await, :meth:`leave`; and on CancelledError
    asks :meth:`reason`, which is the error to raise if the cancellation was the watch's own
    and None if it came from outside. Like ``asyncio.timeout`` it cancels the task that waits
    and takes that cancellation back. :meth:`close` ends it.

    Times are those of the loop, in seconds (DL-1).
    """

    __slots__ = (
        "_armed",
        "_cancels",
        "_deadline",
        "_due",
        "_error",
        "_late",
        "_loop",
        "_task",
        "_timer",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, deadline: float) -> None:
        self._loop = loop
        self._deadline = deadline
        self._due = deadline
        self._late: Callable[[], Exception] = self._past_deadline
        self._armed = float("inf")
        self._timer: asyncio.TimerHandle | None = None
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
            self._late = self._past_deadline
            if due <= now:
                raise self._past_deadline()
        self._due = due
        task = self._task = asyncio.current_task()
        if task is not None:
            self._cancels = task.cancelling()
        if due < self._armed:
            if self._timer is not None:
                self._timer.cancel()
            self._armed = due
            self._timer = self._loop.call_at(due, self._fire)

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

    def close(self) -> None:
        self._task = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _fire(self) -> None:
        self._timer = None
        self._armed = float("inf")
        if self._task is None:
            return  # nothing waits; the next enter() arms again
        if self._loop.time() >= self._due:
            self.interrupt(self._late())
        else:
            self._armed = self._due
            self._timer = self._loop.call_at(self._due, self._fire)

    def _past_deadline(self) -> Exception:
        return RequestDeadline("the time allowed for the whole request is over")
