"""Seeing a handler that does not end: its actor, its message, and where in the code it is.

A thread of its own looks at the shard from the side now and then. That costs messages nothing:
the shard notes anyway which actor it runs, and the thread notices that nothing moved between
two looks. What holds the interpreter's lock for good (a C function) stops this thread too.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
import traceback
from typing import TYPE_CHECKING, Any

import msgspec

from .events.kinds import ActorStuckEvent

if TYPE_CHECKING:
    from actinium import _native

    from .events.stream import Events
    from .ref import LocalRef

_log = logging.getLogger("actinium.watchdog")

LOOKS = 5
"""Looks per time limit: a handler is reported at most a fifth of it late."""


class Stuck(msgspec.Struct, frozen=True, kw_only=True):
    """A handler that has been under way for ``seconds``.

    ``blocks``: it holds up the whole shard, because it computes or waits without ``await``.
    ``ref`` is None where something else than an actor blocks the event loop.
    """

    ref: Any
    path: str
    message: str
    seconds: float
    blocks: bool
    stack: str


class Watchdog:
    """Watches one shard for a handler that keeps it for longer than ``limit`` seconds."""

    def __init__(self, core: _native.Core, name: str, limit: float, events: Events) -> None:
        self._core = core
        self._limit = limit
        self._events = events
        self._loop_thread = threading.get_ident()
        self._end = threading.Event()
        self._seen: Any = None
        self._since = time.monotonic()
        self._told = False
        self._thread = threading.Thread(
            target=self._watch, name=f"actinium.{name}.watchdog", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Ends the thread."""
        self._end.set()
        self._thread.join(timeout=1.0)

    def _watch(self) -> None:
        while not self._end.wait(self._limit / LOOKS):
            if self._core.closed or self._core.loop.is_closed():  # nobody said so
                return
            self.look(time.monotonic())

    def look(self, now: float) -> Stuck | None:
        """Compares the shard with the last look; returns what is stuck, once for each case."""
        cell, message, busy, progress = self._core.snapshot()
        if progress != self._seen or not busy:
            self._seen, self._since, self._told = progress, now, False
            return None
        seconds = now - self._since
        if self._told or seconds < self._limit:
            return None
        self._told = True
        frame = sys._current_frames().get(self._loop_thread)
        stack = "".join(traceback.format_stack(frame)) if frame is not None else ""
        found = Stuck(
            ref=cell, path=cell.path if cell is not None else "",
            message=message or "", seconds=seconds, blocks=True, stack=stack,
        )  # fmt: skip
        who = f"{found.path} ({found.message})" if cell is not None else "no actor, but a callback"
        _log.error(
            "the event loop has been blocked for %.1f s by %s; its stack:\n%s", seconds, who, stack
        )
        if cell is not None:
            self._core.loop.call_soon_threadsafe(
                self._events.emit, ActorStuckEvent, cell, seconds, stack
            )
        return found


def stuck_below(top: LocalRef[Any], seconds: float, now: float) -> list[Stuck]:
    """Handlers of an actor and all below it that have awaited something for so long."""
    found: list[Stuck] = []
    tree = [top]
    for cell in tree:
        tree.extend(cell.children())
        if not cell.running:
            continue
        for message, since, coroutine in cell.activities():
            if now - since >= seconds:
                found.append(
                    Stuck(
                        ref=cell, path=cell.path, message=message, seconds=now - since,
                        blocks=False, stack=_stack_of(coroutine),
                    )
                )  # fmt: skip
    return found


def _stack_of(coroutine: Any) -> str:
    """Where a suspended coroutine stands: the line of each one that awaits the next."""
    frames: list[tuple[Any, int]] = []
    attributes: tuple[tuple[str, str], ...] = (
        ("cr_frame", "cr_await"), ("ag_frame", "ag_await"), ("gi_frame", "gi_yieldfrom"),
    )  # fmt: skip
    current = coroutine
    while current is not None:
        for frame_name, next_name in attributes:
            frame: Any = getattr(current, frame_name, None)
            if frame is not None:
                frames.append((frame, frame.f_lineno))
                current = getattr(current, next_name, None)
                break
        else:
            break
    summary = traceback.StackSummary.extract(iter(frames))
    return "".join(summary.format())
