"""An event loop whose clock jumps: a test of an hour takes milliseconds.

Time stands still while anything can run. When nothing can, the loop would have to wait; instead
the clock jumps to the next timer, of the loop or of an actor. What only the world outside could
bring (a socket, a thread) has no place in virtual time and is refused, unless the loop was made
with ``outside=True``: then the clock stands still while work in other threads is under way.
"""

from __future__ import annotations

import asyncio
import contextvars
import selectors
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar, TypeVarTuple

from actinium.errors import UsageError

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_POLL = 0.005
"""Seconds of real time in which open sockets may bring something before the clock jumps."""


class Driven(Protocol):
    """Something that runs on the loop's clock but not on the loop: a core stepped by hand."""

    def step(self, messages: int, /) -> int: ...

    def set_time(self, seconds: float, /) -> None: ...

    def next_timer(self) -> float | None: ...


class _Selector(selectors.DefaultSelector):
    """The loop's selector: asks the loop what to do instead of waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.loop: VirtualLoop | None = None

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        if self.loop is not None:
            self.loop.refuse_outside("a socket or pipe was opened")
        return super().register(fileobj, events, data)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if self.loop is None or (timeout is not None and timeout <= 0):
            if self.loop is not None:
                self.loop.before_turn()
            return super().select(timeout)
        return super().select(self.loop.wait_instead(timeout, self))

    def now(self, timeout: float | None = 0) -> list[tuple[selectors.SelectorKey, int]]:
        """What is there within ``timeout`` real seconds."""
        return super().select(timeout)

    @property
    def open_files(self) -> int:
        """How many files are watched beside the loop's own wake-up pipe."""
        return len(self.get_map()) - 1


class _Until:
    """A condition that somebody waits for."""

    __slots__ = ("condition", "future")

    def __init__(self, condition: Callable[[], bool], future: asyncio.Future[bool]) -> None:
        self.condition = condition
        self.future = future


class VirtualLoop(asyncio.SelectorEventLoop):
    """An asyncio loop in virtual time, which starts at 0.0 seconds.

    Raises UsageError where a program would wait for ever, or would wait for the world outside.
    """

    def __init__(self, *, outside: bool = False) -> None:
        selector = _Selector()
        self._now = 0.0
        self._outside_allowed = outside
        self._outside = 0
        self._scheduled_calls = 0
        self._driven: dict[Driven, Callable[[int], bool] | None] = {}
        self._waits: list[_Until] = []
        self._quiet: list[tuple[asyncio.Future[bool], int]] = []
        self._steps = 0
        super().__init__(selector)
        selector.loop = self

    # -- the clock

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._now

    def drive(self, core: Driven, ahead: Callable[[int], bool] | None = None) -> None:
        """Steps a core whenever the loop has nothing else to do, on the loop's clock.

        ``ahead(n)`` is asked before each turn of the loop while n actors are ready: whether one
        of them comes first.
        """
        self._driven[core] = ahead
        core.set_time(self._now)

    def release(self, core: Driven) -> None:
        """Lets go of a core."""
        del self._driven[core]

    async def until(self, condition: Callable[[], bool], within: float) -> bool:
        """Waits until a condition holds; False if it does not within so many seconds.

        It is looked at after each message, not at points in time.
        """
        if condition():
            return True
        wait = _Until(condition, self.create_future())
        timer = self.call_later(within, _give_up, wait.future)
        self._waits.append(wait)
        try:
            return await wait.future
        finally:
            timer.cancel()
            self._waits.remove(wait)

    async def quiet(self, most_steps: int) -> bool:
        """Waits until nothing can run without the clock moving on; False after so many steps."""
        done: asyncio.Future[bool] = self.create_future()
        self._quiet.append((done, self._steps + most_steps))
        return await done

    # -- before a turn of the loop, and instead of waiting

    def before_turn(self) -> None:
        """Called where the loop has work: actors may come first."""
        for core, ahead in list(self._driven.items()):
            while ahead is not None and (ready := core.step(0)) and ahead(ready):
                self._steps += 1
                core.step(1)

    def wait_instead(self, timeout: float | None, selector: _Selector) -> float | None:
        """Called where the loop would wait; returns how long it shall, in real seconds."""
        if selector.now() or self._too_long() or self._resolve_waits():
            return 0
        if self._step_driven() or self._resolve_waits():
            return 0
        if self._outside:
            return None
        if selector.open_files and selector.now(_POLL):
            return 0
        if self._resolve_quiet():
            return 0
        due = [t for t in (core.next_timer() for core in self._driven) if t is not None]
        if timeout is not None:
            due.append(self._now + timeout)
        if due:
            self._jump(min(due))
            return 0
        if selector.open_files:
            return None
        raise UsageError(
            "this program would wait for ever: nothing is ready, and no timer is set. "
            f"Tasks that wait: {', '.join(_waiting(self)) or 'none'}"
        )

    def _jump(self, to: float) -> None:
        self._now = max(self._now, to)
        for core in self._driven:
            core.set_time(self._now)
            core.step(0)  # fires what is due, handles nothing

    def _step_driven(self) -> bool:
        """One message of each core; True if there is more, or if it made work for the loop."""
        before = self._scheduled_calls
        self._steps += 1
        for core in self._driven:
            core.step(1)
        return self._scheduled_calls != before or any(core.step(0) for core in self._driven)

    def _resolve_waits(self) -> bool:
        met = [w for w in self._waits if not w.future.done() and w.condition()]
        for wait in met:
            wait.future.set_result(True)
        return bool(met)

    def _resolve_quiet(self) -> bool:
        quiet, self._quiet = [f for f, _ in self._quiet if not f.done()], []
        for future in quiet:
            future.set_result(True)
        return bool(quiet)

    def _too_long(self) -> bool:
        over = [f for f, limit in self._quiet if self._steps >= limit and not f.done()]
        for future in over:
            future.set_result(False)
        return bool(over)

    # -- counting what is made ready

    def call_soon(
        self,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        """See asyncio; counted, to know whether a step made work for the loop."""
        self._scheduled_calls += 1
        return super().call_soon(callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """See asyncio; counted, because the wait that was about to begin may now be too long."""
        self._scheduled_calls += 1
        return super().call_at(when, callback, *args, context=context)

    # -- the world outside

    def refuse_outside(self, what: str) -> None:
        """Raises UsageError unless the loop was made for work outside of virtual time."""
        if not self._outside_allowed:
            raise UsageError(
                f"{what}, which cannot follow virtual time; use an in-memory stand-in, "
                "or allow it: testkit.run(test, outside=True)"
            )

    @contextmanager
    def outside(self) -> Iterator[None]:
        """While inside the block, the clock stands still and the loop waits for real."""
        self.refuse_outside("work in another thread was awaited")
        self._outside += 1
        try:
            yield
        finally:
            self._outside -= 1

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """See asyncio; the clock stands still until the thread has ended."""
        self.refuse_outside("run_in_executor() was called")
        future = super().run_in_executor(executor, func, *args)
        self._outside += 1
        future.add_done_callback(self._came_back)
        return future

    def _came_back(self, _: asyncio.Future[Any]) -> None:
        self._outside -= 1

    async def shutdown_default_executor(self, *args: Any) -> None:
        """See asyncio; waits for threads in real time."""
        self._outside += 1
        try:
            await super().shutdown_default_executor(*args)
        finally:
            self._outside -= 1

    async def getaddrinfo(self, host: Any, port: Any, **options: Any) -> Any:
        """See asyncio; a name server is outside."""
        self.refuse_outside("a name was looked up")
        return await self.run_in_executor(None, lambda: socket.getaddrinfo(host, port, **options))


def _give_up(future: asyncio.Future[bool]) -> None:
    if not future.done():
        future.set_result(False)


def _waiting(loop: asyncio.AbstractEventLoop) -> list[str]:
    return sorted(
        f"{task.get_name()} ({getattr(task.get_coro(), '__qualname__', task.get_coro())})"
        for task in asyncio.all_tasks(loop)
    )
