"""The eyes and hands of a test inside one core: what it sees there, and where faults strike."""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from actinium import _native
from actinium.core import Actor, LocalRef, System
from actinium.core.actor import make_behaviours

from .events import Events, shown
from .faults import Faults, Strike

DROP, REFUSE, TAKE, TWICE = 1, 2, 3, 4
"""Verdicts of a tap: see native/binding/instrument.cpp."""


class Failed:
    """One failure of an actor that its supervisor was told of.

    ``kind`` is the exception's class and ``text`` what it said; the exception itself is not
    kept, because its traceback would keep the failed instance.
    """

    __slots__ = ("kind", "path", "text", "time")

    def __init__(self, time: float, path: str, error: BaseException) -> None:
        self.time = time
        self.path = path
        self.kind = type(error)
        self.text = str(error)

    def __str__(self) -> str:
        return f"{self.path} failed at {self.time:.3f} s: {self.kind.__qualname__}: {self.text}"


class _Hooks:
    """The system's own hooks, with an ear at failures."""

    def __init__(self, hooks: Any, heard: Callable[[str, BaseException], None]) -> None:
        self._hooks = hooks
        self._heard = heard

    def __getattr__(self, name: str) -> Any:
        return getattr(self._hooks, name)

    def failed(
        self, cell: Any, msg: Any, sender: Any, extra: Any, handler: Any, failure: BaseException
    ) -> bool:
        path = cell.path
        answered: bool = self._hooks.failed(cell, msg, sender, extra, handler, failure)
        if not answered:
            self._heard(path, failure)
        return answered


class Watch:
    """Watches one system from before its first actor on."""

    def __init__(
        self,
        system: System,
        faults: Faults,
        events: Events | None = None,
        *,
        choose: Callable[[int], int | None] | None = None,
        trace: bool = False,
    ) -> None:
        self._system = system
        self._core = system._running()
        self._faults = faults
        self._events = events
        self._choose = choose
        self._trace = trace
        self._behaviours: dict[type, _native.Behaviour] = {}
        self._held: dict[int, tuple[Any, ...]] = {}
        self._next_held = 0
        self._busy = self._before = self._after = False
        self.failures: deque[Failed] = deque(maxlen=10_000)
        self.failed = 0
        """Failures so far; ``failures`` holds the newest."""
        self._core.set_hooks(_Hooks(system._life, self._heard))
        faults.on_change.append(self._refresh)
        self._refresh()

    def let_go(self) -> None:
        """Ends the watch; what a fault has delayed arrives now."""
        self._faults.on_change.remove(self._refresh)
        self.release()
        if not self._core.closed:
            self._core.set_hooks(self._system._life)
            self._core.instrument(None, None, None)

    def release(self) -> None:
        """Delivers what a fault has delayed."""
        for number in list(self._held):
            self._deliver(number)

    def _refresh(self) -> None:
        self._before = self._faults.armed("handler.before")
        self._after = self._faults.armed("handler.after")
        self._busy = self._trace or self._before or self._after
        tapped = self._faults.armed("mailbox.put", "timer.fire")
        if not self._core.closed:
            self._core.instrument(self._choose, self._tap if tapped else None, self._behaviour_of)

    def _heard(self, path: str, error: BaseException) -> None:
        failed = Failed(self._core.now(), path, error)
        self.failures.append(failed)
        self.failed += 1
        if self._events is not None:
            self._events.add(f"{path} failed: {shown(error)}")

    # -- mailboxes and timers

    def _tap(self, cell: LocalRef[Any], msg: Any, sender: Any, extra: Any, lane: int) -> int | None:
        timer = isinstance(extra, _native.Timer)
        struck = self._faults.at("timer.fire" if timer else "mailbox.put", cell, msg)
        match struck.kind if struck is not None else None:
            case "drop":
                life = self._system._life
                life.undelivered.count += 1
                life.dead_letters.record("fault", cell, sender, msg)
                return DROP
            case "fail":
                return REFUSE
            case "delay":
                assert struck is not None
                number = self._next_held = self._next_held + 1
                self._held[number] = (cell, msg, sender, extra, lane)
                self._core.schedule(struck.seconds, lambda: self._deliver(number))
                return TAKE
            case "duplicate" if not isinstance(extra, _native.Reply) and (
                not isinstance(extra, _native.Envelope) or extra.stream is None
            ):
                return TWICE
            case "kill":
                cell.kill()
        return None

    def _deliver(self, number: int) -> None:
        held = self._held.pop(number, None)
        if held is not None:
            self._core.offer(*held)

    # -- handlers

    def _behaviour_of(self, cls: type[Actor]) -> _native.Behaviour:
        struck = self._faults.at("spawn", cls.__qualname__)
        if struck is not None:
            raise struck.error
        known = self._behaviours.get(cls)
        if known is None:
            known = self._behaviours[cls] = make_behaviours(cls, self._around)[cls._initial]
        return known

    def _around(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        stream = inspect.isasyncgenfunction(fn)

        def handler(actor: Actor, message: Any) -> Any:
            return self._handle(fn, actor, message, stream) if self._busy else fn(actor, message)

        return handler

    def _handle(self, fn: Callable[..., Any], actor: Actor, message: Any, stream: bool) -> Any:
        cell: LocalRef[Any] = actor.ctx.self_ref
        if self._trace and self._events is not None:
            sender = actor.ctx.sender
            origin = f" from {sender.path}" if sender is not None else ""
            self._events.add(f"{cell.path} handles {shown(message)}{origin}")
        before = self._faults.at("handler.before", cell, message) if self._before else None
        if before is not None:
            if before.kind == "delay" and not stream:
                return self._late(before, fn, actor, message, cell)
            if before.kind == "kill":
                cell.kill()
                raise asyncio.CancelledError
            if before.kind == "fail":
                raise before.error
        outcome = fn(actor, message)
        if stream or not self._after:
            return outcome
        if inspect.iscoroutine(outcome):
            return self._awaited(outcome, cell, message)
        after = self._faults.at("handler.after", cell, message)
        return self._afterwards(after, outcome, cell)

    def _afterwards(self, after: Strike | None, outcome: Any, cell: LocalRef[Any]) -> Any:
        if after is None:
            return outcome
        if after.kind == "delay":
            return _later(after.seconds, outcome)
        if after.kind == "kill":
            cell.kill()
            return outcome
        raise after.error

    async def _late(
        self,
        before: Strike,
        fn: Callable[..., Any],
        actor: Actor,
        message: Any,
        cell: LocalRef[Any],
    ) -> Any:
        await asyncio.sleep(before.seconds)
        outcome = fn(actor, message)
        if inspect.iscoroutine(outcome):
            outcome = await outcome
        return outcome

    async def _awaited(
        self, coro: Coroutine[Any, Any, Any], cell: LocalRef[Any], message: Any
    ) -> Any:
        outcome = await coro
        outcome = self._afterwards(self._faults.at("handler.after", cell, message), outcome, cell)
        return await outcome if inspect.iscoroutine(outcome) else outcome


async def _later(seconds: float, outcome: Any) -> Any:
    await asyncio.sleep(seconds)
    return outcome
