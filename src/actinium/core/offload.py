"""``@ac.on(thread=True)``: a handler that blocks, in the event loop's pool of threads.

It counts as the one handler of its actor that is under way, so nothing else touches the actor's
state meanwhile. A thread cannot be cancelled: an actor that is killed or restarted waits until its
handler has ended, or abandons it after a while like one that swallows its cancellation.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from functools import wraps
from typing import Any


class _Job:
    """One call on its way to a thread. Each side writes its flag before it reads the other's."""

    __slots__ = ("begun", "call", "dropped")

    def __init__(self, call: Callable[[], Any]) -> None:
        self.call = call
        self.begun = self.dropped = False

    def __call__(self) -> Any:
        self.begun = True
        return None if self.dropped else self.call()


def in_thread(fn: Callable[..., Any]) -> Callable[..., Any]:
    """The handler as a coroutine that waits for a thread to run it."""

    @wraps(fn)
    async def handler(self: Any, message: Any) -> Any:
        context = contextvars.copy_context()
        job = _Job(lambda: context.run(fn, self, message))
        work = asyncio.get_running_loop().run_in_executor(None, job)
        cancelled = False
        while not work.done():
            try:
                await asyncio.wait((work,))
            except asyncio.CancelledError:
                cancelled = job.dropped = True
                if not job.begun:
                    break
        if not cancelled:
            return work.result()
        if work.done():
            work.exception()  # looked at: it is nobody's failure any more
        raise asyncio.CancelledError

    return handler
