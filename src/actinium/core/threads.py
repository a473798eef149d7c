"""For plain threads: calls into a system from code that has no event loop."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

from actinium.errors import UsageError

if TYPE_CHECKING:
    from .ref import LocalRef
    from .system import System


class Blocking:
    """Asks and sends that block the calling thread."""

    def __init__(self, system: System) -> None:
        self._loop = system._running().loop

    def _run(self, coroutine: Any) -> Any:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()
        coroutine.close()
        caller = sys._getframe(2)
        raise UsageError(
            f"{caller.f_code.co_qualname} ({caller.f_code.co_filename}:{caller.f_lineno}) calls "
            "ac.blocking() on an event loop's thread, which it would stop for everybody; "
            "write `await ref.ask(...)` there"
        )

    def ask(self, ref: LocalRef[Any], msg: Any, timeout: float | None = None) -> Any:
        """Asks and waits for the reply; raises what the ask ended with."""

        async def call() -> Any:
            return await ref.ask(msg, timeout)

        return self._run(call())

    def send(self, ref: LocalRef[Any], msg: Any, timeout: float = 5.0) -> Any:
        """Hands a message over, waiting for room."""

        async def call() -> Any:
            return await ref.send(msg, timeout=timeout)

        return self._run(call())


def blocking(system: System) -> Blocking:
    """The door for plain threads into a running system."""
    return Blocking(system)
