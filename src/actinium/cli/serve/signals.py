"""Stop signals as two steps: first in order, then at once."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Final, Self

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class StopSignals:
    """While its block runs, SIGINT and SIGTERM are counted instead of killing the process.

    ``stop`` is set by the first, ``force`` by the second. SIGHUP does nothing until
    :meth:`on_reload` says what.
    """

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.force = asyncio.Event()
        self._reload: Callable[[], None] | None = None

    def on_reload(self, reload: Callable[[], None]) -> None:
        """What SIGHUP does from now on; it is called on the loop and must not raise."""
        self._reload = reload

    def __enter__(self) -> Self:
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._count)
        loop.add_signal_handler(signal.SIGHUP, self._hang_up)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        loop = asyncio.get_running_loop()
        for number in (*_SIGNALS, signal.SIGHUP):
            loop.remove_signal_handler(number)

    def _hang_up(self) -> None:
        if self._reload is not None:
            self._reload()

    def _count(self) -> None:
        (self.force if self.stop.is_set() else self.stop).set()


async def until(event: asyncio.Event, work: Awaitable[object]) -> bool:
    """Runs ``work`` until it ends or the event comes, whichever is first; True if it ended.

    Work that is cut short is cancelled. Raises what the work raises.
    """
    task = asyncio.ensure_future(work)
    waiting = asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait((task, waiting), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
            return True
        return False
    finally:
        for future in (task, waiting):
            future.cancel()
        await asyncio.gather(task, waiting, return_exceptions=True)
