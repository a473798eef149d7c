"""How many threads a step should use on a machine that other programs use too.

Two threads that wait for each other are slower than one when a core is taken, so the
chooser keeps the time of recent steps per thread count and now and then tries the others.
"""

from __future__ import annotations

import time
from types import TracebackType

import torch


class ThreadChooser:
    """Context around each step: sets the thread count before, takes the time after."""

    def __init__(self, most: int, probe_every: int = 30, probe_steps: int = 2) -> None:
        self.options = list(range(1, most + 1))
        self.seconds = dict.fromkeys(self.options, 0.0)
        self.probe_every, self.probe_steps = probe_every, probe_steps
        self.count = 0
        self.current = 0
        self._start = 0.0

    def __enter__(self) -> None:
        phase = self.count % (self.probe_every + self.probe_steps * len(self.options))
        self.count += 1
        probing = phase // self.probe_steps
        if probing < len(self.options):
            wanted = self.options[probing]
        else:
            wanted = min(self.options, key=lambda n: self.seconds[n])
        if wanted != self.current:
            torch.set_num_threads(wanted)
            self.current = wanted
        self._start = time.perf_counter()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        took = time.perf_counter() - self._start
        old = self.seconds[self.current]
        self.seconds[self.current] = took if old == 0.0 else 0.5 * old + 0.5 * took
