"""Kernels and stencils: the oracle, the CPU and NumPy give the same values for any shape."""

from __future__ import annotations

from array import array
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gpu_samples import Counter, axpy, blur, count_bytes, diffuse, heat, wave

from actinium import gpu
from actinium.errors import DeviceFault, UsageError
from actinium.gpu.codegen.cache import Cache


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return Cache(Path(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def kernels(cache: Cache) -> dict[str, tuple[Any, Any]]:
    made = {}
    for kernel in (axpy, count_bytes, heat, wave, diffuse, blur):
        program = gpu.compile(kernel)
        made[kernel.__name__] = gpu.NativeKernel(program, cache), gpu.OracleKernel(program)
    return made


@pytest.mark.parametrize("n", [0, 1, 33])
def test_a_kernel_over_any_length(kernels: Any, n: int) -> None:
    rng = np.random.default_rng(n)
    x, y = rng.normal(size=(2, n)).astype(np.float32)
    expected = np.float32(0.3) * x + y
    native, oracle = kernels["axpy"]
    got, listed = y.copy(), y.tolist()
    native(0.3, x, got)
    oracle(0.3, x.tolist(), listed)
    assert got.tobytes() == expected.tobytes() == np.array(listed, np.float32).tobytes()


def test_atomic_updates_of_a_buffer(kernels: Any) -> None:
    data = bytearray(b"abracadabra")
    bins, listed = array("I", [0] * 256), [0] * 256
    native, oracle = kernels["count_bytes"]
    native(data, bins)
    oracle(list(data), listed)
    assert bins.tolist() == listed and bins[ord("a")] == 5
    for run, short in ((native, array("I", [0] * 98)), (oracle, [0] * 98)):
        with pytest.raises(DeviceFault, match=r"bounds at .*gpu_samples.py"):
            run(data if run is native else list(data), short)


def _shift(a: Any, boundary: str, offset: tuple[int, ...]) -> Any:
    mode = {"clamp": "edge", "zero": "constant", "periodic": "wrap"}[boundary]
    wide = np.pad(a, 2, mode=mode)
    return wide[tuple(slice(2 + o, 2 + o + n) for o, n in zip(offset, a.shape, strict=True))]


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 4)])
def test_heat_is_what_numpy_computes(kernels: Any, shape: tuple[int, int]) -> None:
    t = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    k = np.float32(0.1)
    near = [_shift(t, "clamp", o) for o in ((-1, 0), (1, 0), (0, -1), (0, 1))]
    expected = t + k * (near[0] + near[1] + near[2] + near[3] - np.float32(4) * t)
    out = np.empty_like(t)
    listed = [0.0] * t.size
    native, oracle = kernels["heat"]
    native(t, 0.1, shape=shape, out=out)
    oracle(t.ravel().tolist(), 0.1, shape=shape, out=listed)
    assert out.tobytes() == np.array(listed, np.float32).tobytes() == expected.tobytes()


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3, 4)])
def test_three_dimensions_with_an_edge(kernels: Any, shape: tuple[int, int, int]) -> None:
    t = np.random.default_rng(4).normal(size=shape).astype(np.float32)
    k = np.float32(0.1)
    offsets = [(-1, 0, 0), (1, 0, 0), (0, -1, 0), (0, 1, 0), (0, 0, -1), (0, 0, 1)]
    near = [_shift(t, "clamp", o) for o in offsets]
    around = near[0] + near[1] + near[2] + near[3] + near[4] + near[5]
    expected = t + k * (around - np.float32(6) * t)
    out, listed = np.empty_like(t), [0.0] * t.size
    native, oracle = kernels["diffuse"]
    native(t, 0.1, shape=shape, out=out)
    oracle(t.ravel().tolist(), 0.1, shape=shape, out=listed)
    assert out.tobytes() == np.array(listed, np.float32).tobytes() == expected.tobytes()


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3, 4)])
def test_three_dimensions_go_round(kernels: Any, shape: tuple[int, int, int]) -> None:
    now, before = np.random.default_rng(2).normal(size=(2, *shape))
    offsets = [(-1, 0, 0), (1, 0, 0), (0, -1, 0), (0, 1, 0), (0, 0, -1), (0, 0, 1)]
    around = sum(_shift(now, "periodic", o) for o in offsets)
    expected = 2.0 * now - before + 0.25 * (around - 6.0 * now)
    out = np.empty_like(now)
    listed = [0.0] * now.size
    native, oracle = kernels["wave"]
    native(now, before, 0.25, shape=shape, out=out)
    oracle(now.ravel().tolist(), before.ravel().tolist(), 0.25, shape=shape, out=listed)
    assert out.ravel().tolist() == listed and np.allclose(out, expected, rtol=1e-14)


def test_16_bit_cells_and_zeros_beyond_the_edge(kernels: Any) -> None:
    t = np.random.default_rng(3).normal(size=(3, 5)).astype(np.float16)
    out = np.empty_like(t)
    listed = [0.0] * t.size
    native, oracle = kernels["blur"]
    native(t.view(np.uint8), shape=t.shape, out=out.view(np.uint8))
    oracle(t.astype(float).ravel().tolist(), shape=t.shape, out=listed)
    assert out.astype(float).ravel().tolist() == listed
    total = np.float16(0)
    for row in range(2):
        for column in range(2):
            total = np.float16(total + t[row, column])
    assert out[0, 0] == np.float16(total / np.float16(9))


def test_wrong_arguments_are_refused(kernels: Any, cache: Cache) -> None:
    native, _ = kernels["axpy"]
    x = np.zeros(4, np.float32)
    for arguments, text in (
        ((0.1, x), r"axpy takes \(a, x, y\), got 2 arguments"),
        ((0.1, x, b"1234"), "y must be a writable buffer of f32"),
        ((0.1, x, np.zeros(3, np.uint8)), "y must be a writable buffer of f32 .* got 3 bytes"),
        ((0.1, x, [1.0]), "y must be a contiguous buffer of f32"),
    ):
        with pytest.raises(UsageError, match=text):
            native(*arguments)
    stencil, _ = kernels["heat"]
    for shape, out, text in (
        ((4,), x, "shape must be 2 numbers above 0"),
        ((2, 3), np.zeros(6, np.float32), r"shape \(2, 3\) has 6 cells, got buffers of 4 and 6"),
        ((2, 2), x, "out must be another buffer"),
    ):
        with pytest.raises(UsageError, match=text):
            stencil(x, 0.1, shape=shape, out=out)
    with pytest.raises(UsageError, match=r"axpy is a kernel"):
        gpu.NativeActor(gpu.compile(axpy))
    with pytest.raises(UsageError, match=r"Counter is an actor"):
        gpu.NativeKernel(gpu.compile(Counter))
    with pytest.raises(UsageError, match=r"dims must be 2 or 3, got 4"):
        gpu.stencil(dims=4)
    with pytest.raises(UsageError, match=r"boundary must be one of clamp, zero, periodic"):
        gpu.stencil(dims=2, boundary="mirror")


def test_a_name_that_means_something_in_cpp_is_only_a_name(cache: Cache) -> None:
    @gpu.kernel
    def double(x: gpu.Buffer[gpu.i32], int: gpu.i32) -> None:
        for i in gpu.prange(len(x)):
            x[i] = 2 * x[i] + int

    data = array("i", [1, 2])
    gpu.NativeKernel(gpu.compile(double), cache)(data, 1)
    assert data.tolist() == [3, 5]


def test_relaxed_results_are_near_the_strict_ones(cache: Cache) -> None:
    x, y = np.random.default_rng(4).normal(size=(2, 64)).astype(np.float32)
    got = y.copy()
    program = gpu.compile(axpy, strict=False)
    gpu.NativeKernel(program, cache)(0.3, x, got)
    assert np.allclose(got, np.float32(0.3) * x + y, rtol=1e-6, atol=1e-7)
