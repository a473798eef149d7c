"""Streaming statistics: mean and variance by Welford's method, and a histogram, in one actor."""

import asyncio
import math
import random
from typing import Literal

import actinium as ac
from actinium import gpu

BATCH, BINS = 64, 8


@gpu.message(kind=0x0120)
class Values:
    n: gpu.i32
    values: gpu.Array[gpu.f64, Literal[64]]


@gpu.message(kind=0x0121)
class Report:
    sample: gpu.bool32 = True  # the variance of a sample, else of all there is


@gpu.message(kind=0x0122)
class Bin:
    number: gpu.u32


@gpu.state
class Summary:
    n: gpu.i64
    mean: gpu.f64
    variance: gpu.f64
    least: gpu.f64
    most: gpu.f64


@gpu.actor(level="block")
class Statistics:
    n: gpu.i64
    mean: gpu.f64
    squares: gpu.f64
    least: gpu.f64
    most: gpu.f64
    bins: gpu.Array[gpu.i64, Literal[8]]

    @ac.on
    def add(self, m: Values) -> None:
        assert 1 <= m.n <= BATCH
        total = 0.0
        low, high = m.values[0], m.values[0]
        for i in gpu.prange(m.n):
            total += m.values[i]
            low = min(low, m.values[i])
            high = max(high, m.values[i])
            at = gpu.i32(math.floor(m.values[i] * gpu.f64(BINS)))
            gpu.atomic_add(self.bins[min(max(at, 0), BINS - 1)], gpu.i64(1))
        count = gpu.f64(m.n)
        mean = gpu.reduce_add(total) / count
        spread = 0.0
        for i in gpu.prange(m.n):
            spread += (m.values[i] - mean) * (m.values[i] - mean)
        # Two sets of values are joined as Chan, Golub and LeVeque (1979) do, of which Welford's
        # update is the case of one value.
        before = gpu.f64(self.n)
        both, delta = before + count, mean - self.mean
        self.squares += gpu.reduce_add(spread) + delta * delta * before * count / both
        self.mean += delta * count / both
        low, high = gpu.reduce_min(low), gpu.reduce_max(high)
        self.least = low if self.n == 0 else min(self.least, low)
        self.most = high if self.n == 0 else max(self.most, high)
        self.n += gpu.i64(m.n)

    @ac.on
    def report(self, m: Report) -> Summary:
        less = 1 if m.sample else 0
        variance = self.squares / gpu.f64(max(self.n - less, 1))
        return Summary(self.n, self.mean, variance, self.least, self.most)

    @ac.on
    def bin(self, m: Bin) -> gpu.i64:
        return self.bins[m.number]


async def main() -> None:
    draw = random.Random(7)
    values = [min(max(draw.gauss(0.5, 0.15), 0.0), 1.0) for _ in range(1000)]
    async with ac.System() as system:
        runtime = gpu.Runtime(system)
        (actor,) = await runtime.launch(Statistics)
        for at in range(0, len(values), BATCH):
            batch = values[at : at + BATCH]
            padded = tuple(batch) + (0.0,) * (BATCH - len(batch))
            actor.tell(Values(len(batch), padded))
        found = await actor.ask(Report(), timeout=5)
        print(f"{found.n} values, mean {found.mean:.4f}, deviation {math.sqrt(found.variance):.4f}")
        print(f"from {found.least:.3f} to {found.most:.3f}")
        for number in range(BINS):
            count = await actor.ask(Bin(number), timeout=5)
            print(f"{number / BINS:.3f} {'#' * (count // 10)}")
        await runtime.close()


if __name__ == "__main__":
    asyncio.run(main())
