"""Floats of 8 bits and fewer: every code, every f16, many f32, on every executor.

The reference is the definition: the nearest of all numbers of the format, the even one on a tie.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import actinium as ac
from actinium import gpu
from actinium.errors import UnsupportedType
from actinium.gpu.codegen.cache import Cache
from actinium.gpu.layout.narrow import FORMATS
from actinium.gpu.layout.scalar import NARROW, from_bits, to_bits

NAMES = list(NARROW)
CODES = {"f8": 256, "f6": 64, "f4": 16}


@gpu.kernel
def encode_all(
    x: gpu.Buffer[gpu.f32], a: gpu.Buffer[gpu.f8e4m3], b: gpu.Buffer[gpu.f8e5m2],
    c: gpu.Buffer[gpu.f6e3m2], d: gpu.Buffer[gpu.f6e2m3], e: gpu.Buffer[gpu.f4e2m1],
) -> None:  # fmt: skip
    for i in gpu.prange(len(x)):
        a[i] = gpu.f8e4m3(x[i])
        b[i] = gpu.f8e5m2(x[i])
        c[i] = gpu.f6e3m2(x[i])
        d[i] = gpu.f6e2m3(x[i])
        e[i] = gpu.f4e2m1(x[i])


@gpu.kernel
def decode_all(
    a: gpu.Buffer[gpu.f8e4m3], b: gpu.Buffer[gpu.f8e5m2], c: gpu.Buffer[gpu.f6e3m2],
    d: gpu.Buffer[gpu.f6e2m3], e: gpu.Buffer[gpu.f4e2m1], a_: gpu.Buffer[gpu.f32],
    b_: gpu.Buffer[gpu.f32], c_: gpu.Buffer[gpu.f32], d_: gpu.Buffer[gpu.f32],
    e_: gpu.Buffer[gpu.f32],
) -> None:  # fmt: skip
    for i in gpu.prange(256):
        a_[i] = a[i]
        b_[i] = b[i]
        c_[i] = c[i]
        d_[i] = d[i]
        e_[i] = e[i]


@gpu.kernel
def by_hardware(x: gpu.Buffer[gpu.f32], out: gpu.Buffer[gpu.f8e4m3]) -> None:
    for i in gpu.prange(len(x)):
        out[i] = gpu.f8e4m3(x[i], native=True)


@gpu.kernel
def by_later_hardware(x: gpu.Buffer[gpu.f32], out: gpu.Buffer[gpu.f4e2m1]) -> None:
    for i in gpu.prange(len(x)):
        out[i] = gpu.f4e2m1(gpu.f32(gpu.f6e3m2(x[i], native=True)), native=True)


@gpu.message(kind=0x0101)
class Put:
    at: gpu.i32
    x: gpu.f32
    wide: gpu.f64


@gpu.message(kind=0x0102)
class Pair:
    a: gpu.f8e4m3
    b: gpu.f8e5m2


@gpu.actor()
class Cache8:
    """A row of bytes with a scale, as a key-value cache keeps them."""

    row: gpu.Array[gpu.f8e4m3, 4]  # type: ignore[valid-type]
    four: gpu.f4e2m1
    half: gpu.f16 = 0.1
    last: Pair

    @ac.on
    def put(self, m: Put) -> gpu.f32:
        self.row[m.at] = gpu.f8e4m3(m.x)
        self.row[0] = gpu.f8e4m3(m.wide)
        self.four = gpu.f4e2m1(self.row[m.at])
        total = 0.0
        for x in self.row:
            total += x
        best = self.row[1] if self.row[1] > 0.1 else 0.5
        return -best * total + abs(self.four) + gpu.f32(gpu.f8e4m3_bits(self.row[m.at]))

    @ac.on
    def pair(self, m: Pair) -> gpu.i32:
        self.last = m
        self.last.b = gpu.f8e5m2_from_bits(gpu.f8e5m2_bits(m.b) ^ 1)
        flags = (m.a < m.b, m.a == 0.3, self.half == 0.1, m.a != m.a, bool(m.b))
        count: gpu.i32 = 0
        for flag in flags:
            count = 2 * count + gpu.i32(flag)
        return count


def reference(name: str, x: Any) -> Any:
    """The codes of f32 values by definition."""
    form = FORMATS[name]
    numbers = np.array([from_bits(NARROW[name], c) for c in range(form.sign)])
    finite = numbers[np.isfinite(numbers)]  # rising, and the code is the index
    with np.errstate(invalid="ignore"):
        size = np.minimum(np.abs(x.astype(np.float64)), finite[-1])
    middle = (finite[1:] + finite[:-1]) / 2
    below, above = (np.searchsorted(middle, size, side) for side in ("left", "right"))
    codes = np.where(below % 2 == 0, below, above)
    codes = np.where(np.isnan(x), 0x7F if form.nan else len(finite) - 1, codes)
    sign = np.where(np.signbit(x) & ~np.isnan(x), form.sign, 0)
    return (codes + sign).astype(np.uint8)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return Cache(Path(tmp_path_factory.mktemp("gpu")))


@pytest.mark.parametrize("name", NAMES)
def test_every_code_comes_back(name: str) -> None:
    type_ = NARROW[name]
    for code in range(CODES[name[:2]]):
        value = from_bits(type_, code)
        back = to_bits(type_, value)
        assert back == code if value == value else back == 0x7F
        assert type_(value) == value or value != value or abs(value) == float("inf")


def test_the_largest_and_the_smallest_numbers_are_those_of_the_standard() -> None:
    """OFP8 1.0, table 2, and MX 1.0, sections 5.3.2 and 5.3.3."""
    found = {
        name: (to_bits(NARROW[name], NARROW[name](1e9)), from_bits(NARROW[name], 1))
        for name in NAMES
    }
    assert found == {
        "f8e4m3": (0x7E, 2.0**-9),
        "f8e5m2": (0x7B, 2.0**-16),
        "f6e3m2": (0x1F, 2.0**-4),
        "f6e2m3": (0x1F, 2.0**-3),
        "f4e2m1": (0x07, 0.5),
    }
    assert [NARROW[name](float("inf")) for name in NAMES] == [448, 57344, 28, 7.5, 6]


def encoded(cache: Cache, x: Any) -> None:
    """Compares the CPU with the definition."""
    out = [bytearray(len(x)) for _ in NAMES]
    gpu.NativeKernel(gpu.compile(encode_all), cache)(x, *out)
    for name, codes in zip(NAMES, out, strict=True):
        want, got = reference(name, x), np.frombuffer(codes, np.uint8)
        wrong = np.flatnonzero(got != want)
        assert not len(wrong), (name, x[wrong[0]], got[wrong[0]], want[wrong[0]])


def halves() -> Any:
    return np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float32)


def test_tr_1_conversions_are_the_definition_for_all_f16(cache: Cache) -> None:
    encoded(cache, halves())
    some = halves()[::32]
    for name in NAMES:
        ours = [to_bits(NARROW[name], NARROW[name](float(v))) for v in some]
        assert ours == reference(name, some).tolist()


@pytest.mark.slow
def test_tr_1_conversions_are_the_definition_for_many_f32(cache: Cache) -> None:
    rng = np.random.default_rng(5)
    encoded(cache, rng.integers(0, 1 << 32, 500_000, dtype=np.uint32).view(np.float32))
    encoded(cache, (rng.normal(size=500_000) * 10).astype(np.float32))


def test_tr_1_every_code_is_read_as_python_reads_it(cache: Cache) -> None:
    codes = bytearray(range(256))
    out = [np.zeros(256, np.float32) for _ in NAMES]
    gpu.NativeKernel(gpu.compile(decode_all), cache)(*[codes] * 5, *out)
    for name, got in zip(NAMES, out, strict=True):
        want = np.array([from_bits(NARROW[name], code) for code in range(256)], np.float32)
        there = ~np.isnan(want)
        assert np.array_equal(got, want, equal_nan=True), name
        assert np.array_equal(np.signbit(got[there]), np.signbit(want[there])), name


def test_they_are_stored_and_computed_as_f32(cache: Cache) -> None:
    program = gpu.compile(Cache8)
    tie = 1.0625 + 2.0**-40  # f32 loses the last bit and would then round to even
    for actor in (gpu.NativeActor(program, cache), gpu.OracleActor(program)):
        assert actor.handle(Put(1, 0.3, tie)) == -0.3125 * (1.125 + 0.3125) + 0.5 + 0x2A
        assert actor.state["row"] == (1.125, 0.3125, 0.0, 0.0) and actor.state["four"] == 0.5
        assert actor.handle(Put(2, -1e9, 0.0)) == -0.3125 * (0.3125 - 448) + 6 + 0xFE
        assert actor.handle(Pair(0.3125, 0.25)) == 0b00101
        assert actor.state["last"] == Pair(0.3125, 0.3125)
        assert actor.handle(Pair(float("nan"), 0.0)) == 0b00110
        assert actor.handle(Pair(0.0, float("inf"))) == 0b10101, (
            "an infinity of the format stays one"
        )
        assert actor.state["last"].b != actor.state["last"].b  # its lowest bit makes it a NaN


def test_hardware_is_asked_for_by_name_and_refused_where_it_is_not() -> None:
    program = gpu.compile(by_hardware)
    with pytest.raises(UnsupportedType, match=r"of f8e4m3 needs compute capability 8.9"):
        gpu.NativeKernel(program)
    out = [0.0]
    gpu.OracleKernel(program)([0.3], out)
    assert out == [0.3125], "the meaning is the same"
    program.check_capability("sm_89")
    with pytest.raises(UnsupportedType, match=r"test_narrow.py:\d+, sm_80: native=True") as caught:
        program.check_capability("sm_80")
    assert (caught.value.type_name, caught.value.needs) == ("f8e4m3", "8.9")
    with pytest.raises(UnsupportedType, match=r"f6e3m2 needs compute capability 10.0"):
        gpu.compile(by_later_hardware).check_capability("sm_90a")


@pytest.mark.gpu_compile
@pytest.mark.parametrize("architecture", ["sm_90a", "sm_100a"])
def test_tr_3_hardware_conversions_compile(cache: Cache, architecture: str) -> None:
    pytest.importorskip("cuda.bindings.nvrtc", reason="the extra gpu is not installed")
    from actinium.gpu.codegen.nvrtc import cubin

    assert cubin(gpu.compile(by_hardware), architecture, cache).spills == 0
    if architecture == "sm_100a":
        assert cubin(gpu.compile(by_later_hardware), architecture, cache).spills == 0
