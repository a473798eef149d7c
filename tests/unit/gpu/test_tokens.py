"""A sampler of tokens over a block, and the scans that it stands on."""

from __future__ import annotations

import collections
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gpu_samples import Draw, Tokens
from test_levels import expected, run

import actinium as ac
from actinium import gpu
from actinium.errors import DeviceFault
from actinium.gpu.codegen.cache import Cache

SIZE = 512


@gpu.message(kind=0x0101)
class Sums:
    n: gpu.i32
    whole: gpu.Array[gpu.i32, 40]  # type: ignore[valid-type]


@gpu.message(kind=0x0102)
class Extremes:
    n: gpu.i32
    row: gpu.i32
    x: gpu.Array[gpu.f32, 40]  # type: ignore[valid-type]


@gpu.state
class Row:
    low: gpu.Array[gpu.f32, 40]  # type: ignore[valid-type]
    high: gpu.Array[gpu.f32, 40]  # type: ignore[valid-type]


@gpu.actor(level="block")
class Running:
    sums: gpu.Array[gpu.i32, 40]  # type: ignore[valid-type]
    rows: gpu.Array[Row, 2]  # type: ignore[valid-type]
    last: gpu.i32

    @ac.on
    def sums_of(self, m: Sums) -> gpu.i32:
        for i in gpu.prange(40):
            self.sums[i] = m.whole[i]
        gpu.scan_add(self.sums, m.n)
        self.last = self.sums[39]
        gpu.scan_add(self.sums)
        total: gpu.i32 = 0
        for i in gpu.prange(40):
            total += self.sums[i]
        return gpu.reduce_add(total)

    @ac.on
    def extremes(self, m: Extremes) -> gpu.f32:
        for i in gpu.prange(40):
            self.rows[m.row].low[i] = m.x[i]
            self.rows[m.row].high[i] = m.x[i]
        gpu.scan_min(self.rows[m.row].low, m.n)
        gpu.scan_max(self.rows[m.row].high, m.n)
        return self.rows[m.row].high[m.n - 1] - self.rows[m.row].low[m.n - 1]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return Cache(Path(tmp_path_factory.mktemp("gpu")))


def messages(seed: int) -> list[Any]:
    draw = random.Random(seed)
    found: list[Any] = []
    for n in (40, 0, 7, 8, 9):
        whole = tuple(draw.randint(-(2**31), 2**31 - 1) for _ in range(40))
        found.append(Sums(n, whole))
        x = tuple(gpu.f32(draw.gauss(0, 10)) for _ in range(40))
        found.append(Extremes(max(n, 1), n % 2, x))
    return found


def test_scans_of_one_thread_are_numpys(cache: Cache) -> None:
    program = gpu.compile(Running)
    for actor in (gpu.NativeActor(program, cache), gpu.OracleActor(program)):
        for m in messages(1):
            actor.handle(m)
            state = actor.state
            if isinstance(m, Sums):
                want = np.array(m.whole, np.int32)
                want[: m.n] = np.cumsum(want[: m.n], dtype=np.int32)
                assert state["last"] == want[39]
                assert state["sums"] == tuple(np.cumsum(want, dtype=np.int32))
            else:
                row, x = state["rows"][m.row], np.array(m.x, np.float32)
                assert row.low[: m.n] == tuple(np.minimum.accumulate(x)[: m.n])
                assert row.high[m.n :] == tuple(x[m.n :])
        for n in (-1, 41):
            with pytest.raises(DeviceFault, match="bounds"):
                actor.handle(Sums(n, (0,) * 40))


def test_tr_1_a_block_of_threads_scans_as_the_oracle_does(tmp_path: Path) -> None:
    program = gpu.compile(Running)
    code, lines, words = run(tmp_path, program, messages(2))
    assert "WARNING: ThreadSanitizer" not in words, words[:3000]
    assert code == 0 and lines == expected(program, messages(2))


def drawn(seed: int, top_k: int, top_p: float, n: int = SIZE, heat: float = 1.0) -> Draw:
    rng = np.random.default_rng(seed)
    logits = (rng.integers(-40, 40, SIZE) / 8).astype(np.float32)  # many are equal
    return Draw(n, top_k, gpu.f32(top_p), gpu.f32(heat), seed, tuple(map(float, logits)))


def nucleus(m: Draw) -> list[int]:
    """By definition: the k best, the first of equals; of those the best that have mass p."""
    order = sorted(range(m.n), key=lambda i: (-m.logits[i], i))[: m.top_k]
    peak = m.logits[order[0]]
    mass = {i: int(math.exp((m.logits[i] - peak) / m.temperature) * 2**32) for i in order}
    wanted, total = int(sum(mass.values()) * m.top_p), 0
    least = 0
    for i in order:
        total += mass[i]
        least = mass[i]
        if total >= wanted:
            break
    return [i for i in order if mass[i] >= least and mass[i]]


@pytest.mark.parametrize(
    ("top_k", "top_p", "n"), [(1, 1.0, 512), (40, 1.0, 500), (512, 0.7, 512), (30, 0.5, 77)]
)
def test_a_token_comes_from_the_nucleus(cache: Cache, top_k: int, top_p: float, n: int) -> None:
    actor = gpu.NativeActor(gpu.compile(Tokens), cache)
    for seed in range(20):
        m = drawn(seed, top_k, top_p, n)
        token = actor.handle(m)
        allowed = nucleus(m)
        assert token in allowed
        # expf may be a unit off, and so may the edge of the nucleus be by its equals
        assert top_p < 1 or actor.state["kept"] == len(allowed)


def test_tr_1_the_oracle_draws_the_same_token(cache: Cache) -> None:
    program = gpu.compile(Tokens)
    native, oracle = gpu.NativeActor(program, cache), gpu.OracleActor(program)
    m = drawn(3, 20, 0.9, 64)
    assert native.handle(m) == oracle.handle(m) and native.state["kept"] == oracle.state["kept"]
    for wrong in (drawn(1, 0, 0.5), drawn(1, 5, 0.5, 0), drawn(1, 5, 0.5, 513)):
        for actor in (native, oracle):
            with pytest.raises(DeviceFault, match="assert"):
                actor.handle(wrong)


def test_tokens_are_drawn_by_their_mass(cache: Cache) -> None:
    """350 draws from three tokens of mass 1 : 2 : 4; chi-squared of 2 degrees below 13.8."""
    actor = gpu.NativeActor(gpu.compile(Tokens), cache)
    logits = (0.0, math.log(2), math.log(4)) + (-100.0,) * 509
    m = Draw(16, 3, 1.0, 1.0, 99, logits)
    seen = collections.Counter(actor.handle(m) for _ in range(350))
    want = {i: 50 << i for i in range(3)}
    assert set(seen) == set(want)
    assert sum((seen[i] - want[i]) ** 2 / want[i] for i in want) < 13.8


@pytest.mark.slow
def test_tr_1_a_block_of_threads_draws_the_same_token(tmp_path: Path) -> None:
    program = gpu.compile(Tokens)
    asked = [drawn(seed, 20, 0.9, 64) for seed in range(3)]
    code, lines, words = run(tmp_path, program, asked)
    assert code == 0 and "WARNING: ThreadSanitizer" not in words, words[:3000]
    assert [line[:8] for line in lines] == [line[:8] for line in expected(program, asked)]
