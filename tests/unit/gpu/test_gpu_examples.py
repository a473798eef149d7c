"""The actors of ``examples/gpu``: what they compute, on the oracle and this processor."""

from __future__ import annotations

import importlib.util
import math
import random
import statistics
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from actinium import gpu
from actinium.gpu.codegen.nvrtc import ARCHITECTURES, cubin

EXAMPLES = Path(__file__).resolve().parents[3] / "examples" / "gpu"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


counter, streaming, sampler, heat = map(load, ("counter", "streaming", "sampler", "heat"))


@pytest.mark.parametrize("executor", [gpu.OracleActor, gpu.NativeActor])
def test_streaming_statistics_are_those_of_the_whole(executor: Any) -> None:
    draw = random.Random(3)
    values = [draw.gauss(0.5, 0.2) for _ in range(150)]
    actor = executor(gpu.compile(streaming.Statistics))
    for at in range(0, len(values), 64):
        batch = values[at : at + 64]
        actor.handle(streaming.Values(len(batch), tuple(batch) + (9.0,) * (64 - len(batch))))
    found = actor.handle(streaming.Report())
    assert found.n == 150 and found.least == min(values) and found.most == max(values)
    assert math.isclose(found.mean, statistics.mean(values), rel_tol=1e-12)
    assert math.isclose(found.variance, statistics.variance(values), rel_tol=1e-12)
    whole = actor.handle(streaming.Report(False)).variance
    assert math.isclose(whole, statistics.pvariance(values), rel_tol=1e-12)
    bins = [min(max(math.floor(v * 8), 0), 7) for v in values]
    assert [actor.handle(streaming.Bin(i)) for i in range(8)] == [bins.count(i) for i in range(8)]


def _nucleus(logits: Any, heat: float, top_k: int, top_p: float) -> set[int]:
    weights = np.exp((logits - logits.max()) / heat)
    order = np.argsort(-weights)[:top_k]
    sums = weights[order].cumsum()
    return set(order[: int((sums < top_p * sums[-1]).sum()) + 1].tolist())


@pytest.mark.parametrize(
    ("heat", "top_k", "top_p"),
    [(1.0, 1536, 0.5), (0.7, 20, 0.9), (1.5, 5, 1.0), (1e-30, 1536, 1.0)],
)
def test_the_sampler_draws_from_the_nucleus_and_from_nothing_else(
    heat: float, top_k: int, top_p: float
) -> None:
    logits = (np.random.default_rng(5).normal(size=1536) * 3).astype(np.float32)
    actor = gpu.NativeActor(gpu.compile(sampler.TokenSampler))
    values = tuple(map(float, logits))
    chances = [float(np.float32(c)) for c in np.linspace(0.0, 0.9999, 250)]
    drawn = [actor.handle(sampler.Draw(heat, top_k, top_p, c, values)) for c in chances]
    allowed = _nucleus(logits.astype(np.float64), heat, top_k, top_p)
    assert set(drawn) <= allowed
    assert drawn == sorted(drawn), "a greater chance gives no earlier token"
    weights = {t: math.exp((logits[t] - logits.max()) / heat) for t in allowed}
    for token, weight in weights.items():
        expected = weight / sum(weights.values()) * len(chances)
        assert abs(drawn.count(token) - expected) <= 2.0
    assert actor.handle(sampler.Count()) == len(chances)


def test_tokens_that_are_ruled_out_are_never_drawn() -> None:
    logits = [-math.inf] * 1536
    logits[7] = logits[1000] = 0.0
    actor = gpu.NativeActor(gpu.compile(sampler.TokenSampler))
    draws = [
        actor.handle(sampler.Draw(1.0, 1536, 1.0, c, tuple(logits))) for c in (0.0, 0.49, 0.51)
    ]
    assert draws == [7, 7, 1000]


def test_heat_is_kept_and_spreads() -> None:
    step = gpu.NativeKernel(gpu.compile(heat.heat))
    now = np.zeros(64, np.float32)
    now[27] = 64.0
    then = np.zeros(64, np.float32)
    for _ in range(400):
        step(now, 0.2, shape=(8, 8), out=then)
        now, then = then, now
    assert math.isclose(float(now.sum()), 64.0, rel_tol=1e-3)
    assert float(now.max() - now.min()) < 0.05


@pytest.mark.gpu_compile
@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize(
    "program", [counter.Counter, streaming.Statistics, sampler.TokenSampler, heat.heat],
    ids=["counter", "streaming", "sampler", "heat"],
)  # fmt: skip
def test_tr_3_an_example_compiles_and_spills_nothing(program: Any, architecture: str) -> None:
    pytest.importorskip("cuda.bindings.nvrtc", reason="the extra gpu is not installed")
    made = cubin(gpu.compile(program), architecture)
    assert made.spills == 0 and made.registers <= 128
