"""The program that the contract of GPU actors is told with."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import actinium as ac
from actinium import gpu
from actinium.gpu.runtime.backends import missing


@gpu.message(kind=0x0110)
class Add:
    amount: gpu.i64


@gpu.message(kind=0x0111)
class Read:
    which: gpu.u32 = 0


@gpu.message(kind=0x0112)
class InOrder:
    number: gpu.i64


@gpu.message(kind=0x0113)
class Divide:
    by: gpu.i64


@gpu.message(kind=0x0114)
class Spin:
    rounds: gpu.i64


@gpu.message(kind=0x0115)
class Wide:
    first: gpu.u32
    values: gpu.Array[gpu.f64, 32]  # type: ignore[valid-type]


@gpu.message(kind=0x0116)
class Sum:
    total: gpu.f64
    first: gpu.u32
    negative: gpu.bool32


@gpu.message(kind=0x0199)
class Foreign:
    """No handler takes it."""

    n: gpu.i64


@gpu.actor(level="thread")
class Ledger:
    """Totals; says by its replies what it has seen, and in which order."""

    total: gpu.i64 = 100
    seen: gpu.u32
    last: gpu.i64
    disorder: gpu.i64

    @ac.on
    def add(self, m: Add) -> gpu.i64:
        assert m.amount != -1
        self.total += m.amount
        self.seen += 1
        return self.total

    @ac.on
    def read(self, m: Read) -> gpu.i64:
        if m.which == 1:
            return self.seen
        if m.which == 2:
            return self.disorder
        if m.which == 3:
            return self.last
        return self.total

    @ac.on
    def in_order(self, m: InOrder) -> None:
        if m.number != self.last + 1:
            self.disorder += 1
        self.last = m.number

    @ac.on
    def divide(self, m: Divide) -> gpu.i64:
        return self.total // m.by

    @ac.on
    def spin(self, m: Spin) -> gpu.i64:
        n = gpu.i64(0)
        while n < m.rounds:
            n += 1
        return n

    @ac.on
    def wide(self, m: Wide) -> Sum:
        total = gpu.f64(0.0)
        for i in range(32):
            total += m.values[i]
        return Sum(total, m.first, total < 0.0)


@gpu.message(kind=0x0117)
class Face:
    other: gpu.Ref


@gpu.message(kind=0x0118)
class Burst:
    n: gpu.i64


@gpu.actor(level="thread")
class Talker:
    """Tells another one many messages out of one handler."""

    other: gpu.Ref
    seen: gpu.i64

    @ac.on
    def face(self, m: Face) -> None:
        self.other = m.other

    @ac.on
    def burst(self, m: Burst) -> None:
        for i in range(m.n):
            gpu.tell(self.other, InOrder(gpu.i64(i)))

    @ac.on
    def in_order(self, m: InOrder) -> None:
        self.seen += 1

    @ac.on
    def read(self, m: Read) -> gpu.i64:
        return self.seen


BACKENDS = [name for name in ("oracle", "cpu", "emulator") if missing(name) is None]
"""Where the contract is told here; on CUDA it is told where there is a device."""
if missing("cuda") is None:
    BACKENDS.append("cuda")

Body = Callable[[ac.System, gpu.Runtime, list[Any]], Awaitable[Any]]


def on_device(backend: str, body: Body, *, what: Any = Ledger, **options: Any) -> ac.Report:
    """Runs a body beside a launch, and holds that no message was lost (SV-5)."""

    async def main() -> ac.Report:
        settings = options.pop("settings", None)
        isolation = options.pop("isolation", "auto")
        system = ac.System("contract", settings=settings)
        async with system:
            rt = gpu.Runtime(system, backend=backend, isolation=isolation)
            refs = await rt.launch(what, **{"inbox": 64, **options})
            async with asyncio.timeout(60):
                await body(system, rt, refs)
            await rt.close()
            assert all(info.state == "ended" for info in rt.launches())
            report = await system.shutdown()
        assert report.lost == 0
        assert report.accepted == report.handled + report.dead_lettered + report.withdrawn
        assert report.hooks_failed == 0
        return report

    logger = logging.getLogger("actinium")
    level = logger.level
    logger.setLevel(logging.CRITICAL)  # the failures are meant
    try:
        return asyncio.run(main())
    finally:
        logger.setLevel(level)


def reasons(system: ac.System) -> dict[str, int]:
    """Dead letters by reason."""
    return dict(system.dead_letters.counts)


async def until(condition: Callable[[], bool]) -> None:
    """Waits for what other threads or timers do."""
    while not condition():  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.001)
