"""A launch on this machine's processor with the compiled host ends, for several tests."""

from __future__ import annotations

import mmap
import os
import time
from collections.abc import Callable
from typing import Any

from actinium._native import RingEnd
from actinium.gpu.abi.geometry import Geometry
from actinium.gpu.abi.words import Command, handle
from actinium.gpu.executors.cpu import CpuExecutor
from actinium.gpu.layout.plan import plan_of, reply_plan
from actinium.gpu.program import Program

PROGRAM_HASH = 7
Event = tuple[int, int, int, int, Any, bytes, int]


class Unanswered(Exception):
    """What ask_sync's `failed` was given."""


def region_of(geometry: Geometry) -> mmap.mmap:
    fd = os.memfd_create("region")
    os.ftruncate(fd, geometry.size)
    region = mmap.mmap(fd, geometry.size)
    os.close(fd)
    region[:256] = geometry.config
    return region


class Launch:
    """One block of `actors` places; `run=False` leaves the device dead."""

    def __init__(self, program: Program, *, run: bool = True, **changes: Any) -> None:
        assert program.spec is not None
        given: dict[str, Any] = {"blocks": 1, "actors": 4, "capacity": 64, "orphan_ns": 0}
        given |= {"in_bytes": 400, "out_bytes": 400} | changes
        self.geometry = Geometry(PROGRAM_HASH, state_size=program.spec.state.size, **given)
        self.region = region_of(self.geometry)
        self.plans = {m: plan_of(m.__gpu_record__, m.__gpu_kind__) for m in program.messages}
        self.replies = {
            m: reply_plan(f.result)
            for m, f in zip(program.messages, program.functions, strict=True)
        }
        self.executor = CpuExecutor(program, self.region, -1, self.geometry)
        if run:
            self.executor.start()
        self.end = self.attach()
        self.events: list[Event] = []

    def attach(self, block: int = 0) -> RingEnd:
        kinds = {plan.kind: plan for plan in self.plans.values()}
        return RingEnd(self.region, block, PROGRAM_HASH, kinds, self.fail)

    @staticmethod
    def fail(event: Any) -> Any:
        raise Unanswered(event)

    def until(self, done: Callable[[], bool]) -> None:
        """Polls until it holds."""
        end = time.monotonic() + 10
        while not done():
            self.events += self.end.poll()
            assert time.monotonic() < end, (self.events, self.end.stats())

    def command(self, kind: int, dest: int = 0) -> bytes:
        got: list[bytes] = []
        assert self.end.put(kind, dest, waiter=got.append)
        self.until(lambda: bool(got))
        return got[0]

    def spawn(self, place: int = 0, generation: int = 1) -> int:
        dest = handle(place, generation)
        assert self.command(Command.SPAWN, dest)[0] == 0
        return dest

    def tell(self, dest: int, message: Any) -> bool:
        return self.end.tell(dest, self.plans[type(message)], message)

    def ask(self, dest: int, message: Any, waiter: Any) -> int:
        kind = type(message)
        return self.end.ask(dest, self.plans[kind], message, self.replies[kind], waiter)

    def ask_sync(self, dest: int, message: Any, timeout: float | None = 10.0) -> Any:
        kind = type(message)
        return self.end.ask_sync(dest, self.plans[kind], message, self.replies[kind], timeout)

    def close(self) -> None:
        self.end.close()
        self.executor._stop()
        assert self.executor.ended(5)
