"""Lines to a stream from a thread of its own, so that no handler ever waits for a disk or pipe."""

from __future__ import annotations

import atexit
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Final, Protocol

from actinium.base.measures import Reading, Registry

CAPACITY: Final = 65_536
_REPORT_SECONDS: Final = 10.0
_FLUSH_SECONDS: Final = 0.1
_LAST_SECONDS: Final = 2.0


class Sink(Protocol):
    """A stream of bytes, such as ``sys.stderr.buffer``."""

    def write(self, data: bytes, /) -> object: ...

    def flush(self) -> None: ...


class Writer:
    """At most ``capacity`` lines wait; the last tenth of them is for warnings and worse.

    What does not fit is dropped and counted, and ``report`` makes a line of the count that is
    written within 10 seconds. :meth:`close`, also called when the interpreter ends, writes what
    is left, for 2 seconds at most.
    """

    def __init__(
        self, sink: Sink, report: Callable[[int], bytes], *, capacity: int = CAPACITY
    ) -> None:
        self.dropped = 0
        self._sink = sink
        self._report = report
        self._capacity = capacity
        self._soft = capacity - capacity // 10
        self._lines: deque[bytes] = deque()
        self._wake = threading.Event()
        self._closing = False
        self._reported = 0
        self._next_report = 0.0
        self._thread = threading.Thread(target=self._run, name="actinium-log", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def put(self, line: bytes, *, important: bool = False) -> None:
        """Takes a line, which ends with a line end. Never waits."""
        waiting = len(self._lines)
        if waiting >= (self._capacity if important else self._soft) or self._closing:
            self.dropped += 1
            return
        self._lines.append(line)
        if important or waiting == 4096:
            self._wake.set()

    def watch(self, registry: Registry) -> None:
        """Adds the count of dropped lines to the measures."""

        def dropped() -> list[Reading]:
            return [((), self.dropped)]

        text = "Lines of the log that found its queue full."
        registry.view("log_records_dropped", text, (), dropped, kind="counter")

    def close(self) -> None:
        """Writes what is left and ends."""
        if self._closing:
            return
        self._closing = True
        self._wake.set()
        self._thread.join(_LAST_SECONDS)
        atexit.unregister(self.close)

    def _run(self) -> None:
        while not self._closing:
            self._wake.wait(_FLUSH_SECONDS)
            self._wake.clear()
            self._write()
        self._next_report = 0.0
        self._write()

    def _write(self) -> None:
        lines = self._lines
        out = [lines.popleft() for _ in range(len(lines))]
        if self.dropped > self._reported and monotonic() >= self._next_report:
            out.append(self._report(self.dropped - self._reported))
            self._reported = self.dropped
            self._next_report = monotonic() + _REPORT_SECONDS
        if out:
            with suppress(OSError, ValueError):  # a stream that is closed has no readers
                self._sink.write(b"".join(out))
                self._sink.flush()
