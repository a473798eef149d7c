"""Programs of each kind and level, which several tests use."""

from __future__ import annotations

import actinium as ac
from actinium import gpu


@gpu.message(kind=0x0110)
class Add:
    amount: gpu.i64
    who: gpu.u32 = 0


@gpu.message(kind=0x0111)
class Read:
    which: gpu.u32 = 0


@gpu.actor(level="thread")
class Counter:
    """One thread: a total, and how much each of 16 callers added."""

    total: gpu.i64 = 0
    by: gpu.Array[gpu.i64, 16]  # type: ignore[valid-type]

    @ac.on
    def add(self, m: Add) -> gpu.i64:
        assert m.amount >= 0
        self.total += m.amount
        self.by[m.who % 16] += m.amount
        return self.total

    @ac.on
    def read(self, m: Read) -> gpu.i64:
        return self.by[m.which]


@gpu.message(kind=0x0120)
class Window:
    n: gpu.i32
    scale: gpu.f32
    values: gpu.Array[gpu.f32, 64]  # type: ignore[valid-type]


@gpu.message(kind=0x0121)
class Histogram:
    n: gpu.i32
    values: gpu.Array[gpu.u8, 64]  # type: ignore[valid-type]


@gpu.state
class Summary:
    count: gpu.i64
    mean: gpu.f64
    low: gpu.f32
    high: gpu.f32
    all_positive: gpu.bool32


@gpu.actor(level="block")
class Statistics:
    """A block: running count, mean and extremes of what comes in windows, and a histogram."""

    count: gpu.i64
    total: gpu.f64
    low: gpu.f32 = 3e38
    high: gpu.f32 = -3e38
    kept: gpu.Array[gpu.f32, 64]  # type: ignore[valid-type]
    bins: gpu.Array[gpu.i32, 16]  # type: ignore[valid-type]
    rounds: gpu.i32

    @ac.on
    def window(self, m: Window) -> Summary:
        for i in gpu.prange(m.n):
            self.kept[i] = m.values[i] * m.scale
        total = 0.0
        low = self.low
        high = self.high
        negative = 0
        for i in gpu.prange(m.n):
            value = self.kept[m.n - 1 - i]
            total += gpu.f64(value)
            low = min(low, value)
            high = max(high, value)
            if value < 0.0:
                negative += 1
        self.total += gpu.reduce_add(total)
        self.low = gpu.reduce_min(low)
        self.high = gpu.reduce_max(high)
        self.count += m.n
        if self.count > 100:
            self.rounds += 1
            self.count -= 100
        mean = self.total / gpu.f64(max(self.count, 1))
        return Summary(self.count, mean, self.low, self.high, gpu.reduce_add(negative) == 0)

    @ac.on
    def histogram(self, m: Histogram) -> gpu.i32:
        for i in gpu.prange(len(self.bins)):
            self.bins[i] = 0
        for i in gpu.prange(m.n):
            gpu.atomic_add(self.bins[m.values[i] % 16], 1)
        best: gpu.i32 = 0
        for i in range(16):
            if self.bins[i] > self.bins[best]:
                best = gpu.i32(i)
        return best


@gpu.message(kind=0x0130)
class Logits:
    top_k: gpu.i32
    u: gpu.f32
    values: gpu.Array[gpu.f32, 128]  # type: ignore[valid-type]


@gpu.actor(level="warp")
class Sampler:
    """A warp: a token from the k best of 128 logits, by the inverse of the distribution."""

    weights: gpu.Array[gpu.f32, 128]  # type: ignore[valid-type]
    drawn: gpu.i64

    @ac.on
    def sample(self, m: Logits) -> gpu.i32:
        peak = m.values[0]
        for i in gpu.prange(128):
            peak = max(peak, m.values[i])
        peak = gpu.reduce_max(peak)
        for i in gpu.prange(128):
            better: gpu.i32 = 0
            for j in range(128):
                other = m.values[j]
                if other > m.values[i] or (other == m.values[i] and j < i):
                    better += 1
            self.weights[i] = gpu.exp(m.values[i] - peak) if better < m.top_k else gpu.f32(0)
        mass: gpu.f32 = 0.0
        for i in gpu.prange(128):
            mass += self.weights[i]
        left = gpu.reduce_add(mass) * m.u
        token: gpu.i32 = -1
        for i in range(128):
            weight = self.weights[i]
            if weight > 0.0:
                token = gpu.i32(i)
                left -= weight
                if left < 0.0:
                    break
        self.drawn += 1
        return token


@gpu.message(kind=0x0132)
class Draw:
    n: gpu.i32
    top_k: gpu.i32
    top_p: gpu.f32
    temperature: gpu.f32
    seed: gpu.u64
    logits: gpu.Array[gpu.f32, 512]  # type: ignore[valid-type]


@gpu.function
def rising(x: gpu.f32) -> gpu.u32:
    """An integer for each float, in the same order."""
    bits = gpu.f32_bits(x)
    return ~bits if bits >> 31 else bits | 0x80000000


@gpu.actor(level="block")
class Tokens:
    """A block draws a token from the k best logits, and of those from the p of their mass.

    Both bounds are found bit by bit, with one sum over the block for each; masses are integers,
    so that no order of summation changes the token.
    """

    keys: gpu.Array[gpu.u32, 512]  # type: ignore[valid-type]
    mass: gpu.Array[gpu.u64, 512]  # type: ignore[valid-type]
    kept: gpu.i32
    drawn: gpu.u64

    @ac.on
    def draw(self, m: Draw) -> gpu.i32:
        assert 0 < m.n <= len(self.keys) and m.top_k > 0 and m.temperature > 0.0
        best: gpu.u32 = 0
        for i in gpu.prange(m.n):
            self.keys[i] = rising(m.logits[i])
            best = max(best, self.keys[i])
        best = gpu.reduce_max(best)
        peak = gpu.f32_from_bits(best & 0x7FFFFFFF if best >> 31 else ~best)

        bound: gpu.u32 = 0  # the k-th best key
        for bit in range(32):
            tried = bound | gpu.u32(1) << (31 - bit)
            count: gpu.i32 = 0
            for i in gpu.prange(m.n):
                if self.keys[i] >= tried:
                    count += 1
            if gpu.reduce_add(count) >= min(m.top_k, m.n):
                bound = tried
        above: gpu.i32 = 0
        for i in gpu.prange(m.n):
            self.mass[i] = 1 if self.keys[i] == bound else 0
            if self.keys[i] > bound:
                above += 1
        left = gpu.u64(min(m.top_k, m.n) - gpu.reduce_add(above))
        gpu.scan_add(self.mass, m.n)  # of equal ones the first are kept

        total: gpu.u64 = 0
        for i in gpu.prange(m.n):
            keep = self.keys[i] > bound or (self.keys[i] == bound and self.mass[i] <= left)
            weight = gpu.exp((m.logits[i] - peak) / m.temperature)
            self.mass[i] = gpu.u64(weight * 4294967296.0) if keep else gpu.u64(0)
            total += self.mass[i]
        wanted = gpu.u64(gpu.f64(gpu.reduce_add(total)) * gpu.f64(m.top_p))
        least: gpu.u64 = 0  # the smallest mass of the nucleus
        for bit in range(33):
            mark = least | gpu.u64(1) << (32 - bit)
            part: gpu.u64 = 0
            for i in gpu.prange(m.n):
                if self.mass[i] >= mark:
                    part += self.mass[i]
            if gpu.reduce_add(part) >= wanted:
                least = mark
        kept: gpu.i32 = 0
        for i in gpu.prange(m.n):
            if self.mass[i] < least:
                self.mass[i] = 0
            if self.mass[i] > 0:
                kept += 1
        self.kept = gpu.reduce_add(kept)

        gpu.scan_add(self.mass, m.n)
        u = gpu.uniform_f64(gpu.u64(gpu.philox(m.seed, self.drawn, 0)) << 32)
        self.drawn += 1
        target = gpu.u64(u * gpu.f64(self.mass[m.n - 1]))
        token: gpu.i32 = 0
        for i in gpu.prange(m.n):
            if self.mass[i] <= target:
                token += 1
        return gpu.reduce_add(token)


@gpu.kernel
def axpy(a: gpu.f32, x: gpu.Buffer[gpu.f32], y: gpu.Buffer[gpu.f32]) -> None:
    """y += a * x"""
    for i in gpu.prange(len(x)):
        y[i] = a * x[i] + y[i]


@gpu.kernel
def count_bytes(data: gpu.Buffer[gpu.u8], bins: gpu.Buffer[gpu.u32]) -> None:
    """A histogram."""
    for i in gpu.prange(len(data)):
        gpu.atomic_add(bins[data[i]], 1)


@gpu.stencil(dims=2, boundary="clamp")
def heat(t: gpu.Grid[gpu.f32], k: gpu.f32) -> gpu.f32:
    """One explicit step of the heat equation."""
    around = t[-1, 0] + t[1, 0] + t[0, -1] + t[0, 1]
    return t[0, 0] + k * (around - 4.0 * t[0, 0])


@gpu.stencil(dims=3, boundary="periodic")
def wave(now: gpu.Grid[gpu.f64], before: gpu.Grid[gpu.f64], c: gpu.f64) -> gpu.f64:
    """One leapfrog step of the wave equation."""
    around = (
        now[-1, 0, 0] + now[1, 0, 0] + now[0, -1, 0] + now[0, 1, 0] + now[0, 0, -1] + now[0, 0, 1]
    )
    return 2.0 * now[0, 0, 0] - before[0, 0, 0] + c * (around - 6.0 * now[0, 0, 0])


@gpu.stencil(dims=3, boundary="clamp")
def diffuse(t: gpu.Grid[gpu.f32], k: gpu.f32) -> gpu.f32:
    """One explicit step of diffusion in three dimensions."""
    around = t[-1, 0, 0] + t[1, 0, 0] + t[0, -1, 0] + t[0, 1, 0] + t[0, 0, -1] + t[0, 0, 1]
    return t[0, 0, 0] + k * (around - 6.0 * t[0, 0, 0])


@gpu.stencil(dims=2, boundary="zero")
def blur(t: gpu.Grid[gpu.f16]) -> gpu.f16:
    """The mean of nine, in 16-bit floats; beyond the edge is 0."""
    total: gpu.f16 = 0.0
    for row in gpu.unroll(-1, 2):
        for column in gpu.unroll(-1, 2):
            total += t[row, column]
    return total / 9


PROGRAMS = (Counter, Statistics, Sampler, Tokens, axpy, count_bytes, heat, wave, diffuse, blur)
