"""Many asks under one deadline, with a limit, retries and second copies.

All of it happens in the coroutine that calls ``gather``, without tasks: inside a handler each
ask so has the handler's deadline and sender, and a circle of asks is found as ever.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from actinium.core import EntityRef, LocalRef
from actinium.core.join import Join
from actinium.core.system import system_of
from actinium.errors import AskTimeout, DeadlineExceeded, UsageError

from . import latency
from .retry import Retry, class_of, is_idempotent

EARLY = 1e-6
"""Seconds by which a loop may call a timer before its time, by the grain of its clock."""

GRACE = 0.02
"""Seconds after the deadline in which asks report their own timeouts."""


class Ok(msgspec.Struct, frozen=True):
    """A call that was answered, ``seconds`` after it was first made, at the ``attempts``-th."""

    value: Any
    seconds: float
    attempts: int


class Err(msgspec.Struct, frozen=True):
    """A call that failed for good; ``attempts`` is 0 where there was no time to make it."""

    error: BaseException
    seconds: float
    attempts: int

    @property
    def retryable(self) -> bool:
        """Whether the same call may succeed later."""
        return bool(getattr(self.error, "retryable", False))


async def gather(
    calls: Iterable[tuple[Any, Any]],
    /,
    *,
    timeout: float = 5.0,
    limit: int | None = None,
    on_error: Literal["collect", "fail"] = "collect",
    retry: Retry | None = None,
    hedge: float | None = None,
) -> list[Ok | Err]:
    """Asks each ref its message and returns what came of each call, in their order.

    ``timeout`` is for all of them together, in seconds. At most ``limit`` are under way at once.
    With ``on_error="fail"`` the first error is raised and the other asks are withdrawn. ``retry``
    makes failed calls again where that is safe. ``hedge=0.95`` sends a second copy of a call that
    takes longer than 95 % of the last ones to the same class and message type, and takes the
    first answer; only where the handler is ``@ac.on(idempotent=True)``, and once 16 answers
    are known. Cancelling it withdraws all asks.
    """
    if timeout < 0:
        raise UsageError(f"gather() needs a timeout of 0 or more seconds, got {timeout!r}")
    if limit is not None and limit < 1:
        raise UsageError(f"gather() needs a limit of 1 call or more, got {limit!r}")
    if on_error not in ("collect", "fail"):
        raise UsageError(f"gather() takes on_error='collect' or 'fail', got {on_error!r}")
    if hedge is not None and not 0 < hedge < 1:
        raise UsageError(f"hedge is a share between 0 and 1, such as 0.95; got {hedge!r}")
    made = [_Call(n, ref, message) for n, (ref, message) in enumerate(calls)]
    fan = _Fan(made, timeout, limit or len(made), on_error == "fail", retry, hedge)
    try:
        return await fan.run()
    finally:
        fan.withdraw()


class _Call:
    """One call: its copies under way, and when it is due for the next."""

    __slots__ = ("began", "due", "error", "failures", "index", "message", "ref", "replies", "tries")

    def __init__(self, index: int, ref: Any, message: Any) -> None:
        self.index = index
        self.ref = ref
        self.message = message
        self.tries = 0
        self.failures = 0
        self.error: BaseException | None = None  # the last one, if it is to be made again
        self.began = 0.0
        self.replies: dict[Any, float] = {}
        self.due: float | None = None  # for a second copy, while one is under way


class _Fan:
    """All calls of one ``gather``."""

    def __init__(
        self,
        calls: list[_Call],
        timeout: float,
        limit: int,
        fail: bool,
        retry: Retry | None,
        hedge: float | None,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.began = self.loop.time()
        self.ends = self.began + timeout
        self.limit = limit
        self.fail = fail
        self.retry = retry
        self.hedge = hedge
        self.results: list[Any] = [None] * len(calls)
        self.open = len(calls)
        self.waiting = deque(calls)
        self.pausing: list[tuple[float, _Call]] = []
        self.under_way: dict[_Call, None] = {}
        self.finished: deque[tuple[_Call, Any]] = deque()
        self.wake: Join | None = None

    async def run(self) -> list[Ok | Err]:
        while True:
            now = self.loop.time() + EARLY
            while self.finished:
                self._take(*self.finished.popleft())
            self._resume(now)
            while self.waiting and len(self.under_way) < self.limit and now < self.ends:
                self._send(self.waiting.popleft(), now)
            if now >= self.ends:
                self._give_up(now)
            if not self.open:
                return self.results
            if not self.finished:
                await self._wait()

    def withdraw(self) -> None:
        """Takes back what is under way."""
        for call in self.under_way:
            for reply in call.replies:
                reply.cancel()

    # -- one copy of a call

    def _send(self, call: _Call, now: float) -> None:
        if not call.tries:
            call.began = now
        call.tries += 1
        call.due = None
        try:
            reply = call.ref.ask(call.message, max(0.0, self.ends - now))
            if not hasattr(reply, "add_done_callback"):
                reply = asyncio.ensure_future(reply)
        except Exception as error:  # noqa: BLE001 - a call that cannot be made is its result
            if not call.replies:
                self._end(call, Err(error, now - call.began, call.tries))
            return
        self.under_way[call] = None
        call.replies[reply] = now
        if reply.done():  # refused: it never ran
            self._take(call, reply, accepted=False)
            return
        reply.add_done_callback(lambda done: self._note(call, done))
        if self.hedge is not None and len(call.replies) == 1:
            cls = class_of(call.ref)
            if cls is not None and is_idempotent(call.ref, call.message):
                usual = latency.quantile(cls, type(call.message), self.hedge)
                call.due = now + usual if usual is not None else None

    def _note(self, call: _Call, reply: Any) -> None:
        self.finished.append((call, reply))
        if self.wake is not None and not self.wake.done():
            self.wake.set_result(None)

    def _take(self, call: _Call, reply: Any, *, accepted: bool = True) -> None:
        sent = call.replies.pop(reply, None)
        if sent is None:
            return  # the other copy was first
        now = self.loop.time()
        error = asyncio.CancelledError() if reply.cancelled() else reply.exception()
        if error is None:
            cls = class_of(call.ref)
            if self.hedge is not None and cls is not None:
                latency.record(cls, type(call.message), now - sent)
            self._end(call, Ok(reply.result(), now - call.began, call.tries))
            return
        if call.replies:
            return  # the other copy may still answer
        del self.under_way[call]
        call.failures += 1
        pause = self._pause(call, error, accepted)
        if pause is not None and now + pause < self.ends:
            call.error = error
            self.pausing.append((now + pause, call))
        else:
            self._end(call, Err(error, now - call.began, call.tries))

    def _pause(self, call: _Call, error: BaseException, accepted: bool) -> float | None:
        retry = self.retry
        if retry is None or call.failures > retry.max or not getattr(error, "retryable", False):
            return None
        if accepted and not is_idempotent(call.ref, call.message):
            return None
        return retry.delay(call.failures, error, _chance(call.ref))

    def _end(self, call: _Call, result: Ok | Err) -> None:
        for reply in call.replies:
            reply.cancel()
        call.replies.clear()
        self.under_way.pop(call, None)
        self.results[call.index] = result
        self.open -= 1
        if self.fail and isinstance(result, Err):
            raise result.error

    # -- time

    def _resume(self, now: float) -> None:
        """What is due: pauses that are over, and second copies."""
        over = [call for due, call in self.pausing if due <= now]
        if over:
            self.pausing = [entry for entry in self.pausing if entry[0] > now]
            self.waiting.extendleft(reversed(over))
        if self.hedge is not None and now < self.ends:
            for call in [c for c in self.under_way if c.due is not None and c.due <= now]:
                self._send(call, now)

    def _give_up(self, now: float) -> None:
        for call in [*self.waiting, *(call for _, call in self.pausing)]:
            error = call.error or DeadlineExceeded(
                "the time of gather() was over before this call was made"
            )
            self._end(call, Err(error, now - (call.began or now), call.tries))
        self.waiting.clear()
        self.pausing.clear()
        if now < self.ends + GRACE:
            return
        for call in [*self.under_way]:
            late = AskTimeout(f"{call.ref.path} did not answer within the time of gather()")
            self._end(call, Err(late, now - call.began, call.tries))

    async def _wait(self) -> None:
        """Until a reply has come or something is due."""
        now = self.loop.time()
        due = [when for when, _ in self.pausing]
        due += [call.due for call in self.under_way if call.due is not None]
        due.append(self.ends if now < self.ends else self.ends + GRACE)
        self.wake = wake = Join(self.loop, [r for call in self.under_way for r in call.replies])
        timer = self.loop.call_at(min(due), _resolve, wake)
        try:
            await wake
        finally:
            timer.cancel()
            self.wake = None


def _resolve(wake: Join) -> None:
    if not wake.done():
        wake.set_result(None)


def _chance(ref: Any) -> random.Random:
    """The source of chance of the ref's system, which a test system seeds."""
    if isinstance(ref, LocalRef):
        return system_of(ref).random
    return ref.system.random if isinstance(ref, EntityRef) else _own


_own = random.Random()
