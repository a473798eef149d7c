"""SIGINT and SIGTERM as an orderly end: the first begins it, the second forces it."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable
from typing import Any, Final

from actinium.errors import UsageError

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class StopSignals:
    """Takes the two signals from the process until ``restore``."""

    def __init__(self, first: Callable[[str], object], second: Callable[[], object]) -> None:
        if threading.current_thread() is not threading.main_thread():
            raise UsageError(
                "handle_signals=True works in the main thread only, where Python gets its "
                "signals; elsewhere call system.shutdown()"
            )
        self._first = first
        self._second = second
        self._seen = False
        self._loop = asyncio.get_running_loop()
        self._before: dict[signal.Signals, Any] = {}
        for number in _SIGNALS:
            self._before[number] = signal.getsignal(number)
            self._loop.add_signal_handler(number, self._count, number)

    def _count(self, number: signal.Signals) -> None:
        if self._seen:
            self._second()
        else:
            self._seen = True
            self._first(number.name)

    def restore(self) -> None:
        """Gives the signals back to whoever had them."""
        for number, handler in self._before.items():
            self._loop.remove_signal_handler(number)
            signal.signal(number, handler)
        self._before.clear()
