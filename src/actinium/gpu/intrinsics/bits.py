"""Rows over integers: bits, saturation, packed lanes, hashes, random numbers."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from typing import Any

from ..layout.scalar import (
    BF16,
    F16,
    F32,
    F64,
    I32,
    I64,
    INTEGERS,
    NARROW,
    U32,
    U64,
    Scalar,
    from_bits,
    to_bits,
    wrap,
)
from .row import Table

ROWS = Table()
WIDE = (I32, U32, I64, U64)
UU = (U32, U64)


def _add(
    name: str, types: tuple[Scalar, ...], signature: str, c: str, reference: Any, doc: str,
    group: str, cuda: str | None = None,
) -> None:  # fmt: skip
    ROWS.add(name, group, types, signature, c, reference, doc, cuda=cuda)


def _bits(t: Scalar, x: int) -> int:
    return x & ((1 << t.bits) - 1)


def _reverse(t: Scalar, x: int) -> int:
    return int(f"{_bits(t, x):0{t.bits}b}"[::-1], 2)


def _swap(t: Scalar, x: int) -> int:
    return int.from_bytes(_bits(t, x).to_bytes(t.size, "little"), "big")


def _rotate(t: Scalar, x: int, n: int) -> int:
    x, n = _bits(t, x), n % t.bits
    return x << n | x >> (t.bits - n)


def _clz(t: Scalar, x: int) -> int:
    return t.bits - _bits(t, x).bit_length()


def _ctz(t: Scalar, x: int) -> int:
    x = _bits(t, x)
    return (x & -x).bit_length() - 1 if x else t.bits


def _clamp(t: Scalar, x: int) -> int:
    return min(max(x, t.low), t.high)


def _extract(t: Scalar, x: int, at: int, n: int) -> int:
    at, n = at & 255, n & 255
    return (_bits(t, x) >> at) & ((1 << min(n, t.bits)) - 1) if at < t.bits else 0


def _insert(t: Scalar, into: int, x: int, at: int, n: int) -> int:
    at, n = at & 255, n & 255
    if at >= t.bits:
        return into
    mask = (((1 << min(n, t.bits)) - 1) << at) & ((1 << t.bits) - 1)
    return (into & ~mask) | ((x << at) & mask)


BITS = "bits"
_add("popc", WIDE, "T->i32", "ac_popc(({U}){0})", lambda t, x: _bits(t, x).bit_count(), "number of ones", BITS)  # fmt: skip
_add("clz", WIDE, "T->i32", "ac_clz(({U}){0})", _clz, "zeros before the first one; all for 0", BITS)
_add("ctz", WIDE, "T->i32", "ac_ctz(({U}){0})", _ctz, "zeros after the last one; all for 0", BITS)
_add("ffs", WIDE, "T->i32", "ac_ffs(({U}){0})", lambda t, x: (_ctz(t, x) + 1) if x else 0, "place of the lowest one from 1; 0 for 0", BITS)  # fmt: skip
_add("bit_length", WIDE, "T->i32", "({B} - ac_clz(({U}){0}))", lambda t, x: t.bits - _clz(t, x), "bits without leading zeros", BITS)  # fmt: skip
_add("parity", WIDE, "T->i32", "(ac_popc(({U}){0}) & 1)", lambda t, x: _bits(t, x).bit_count() & 1, "1 if the number of ones is odd", BITS)  # fmt: skip
_add("brev", WIDE, "T->T", "(({T})ac_brev(({U}){0}))", _reverse, "bits in reverse order", BITS)
_add("bswap", WIDE, "T->T", "(({T})ac_bswap(({U}){0}))", _swap, "bytes in reverse order", BITS)
_add("rotl", UU, "T,i32->T", "ac_rotl({0}, {1})", _rotate, "rotated left, count modulo the width", BITS)  # fmt: skip
_add("rotr", UU, "T,i32->T", "ac_rotl({0}, (int)(0u - (unsigned){1}))", lambda t, x, n: _rotate(t, x, -n), "rotated right", BITS)  # fmt: skip
_add("bfe", UU, "T,u32,u32->T", "ac_bfe({0}, {1}, {2})", _extract, "bit field (place, length), extracted", BITS)  # fmt: skip
_add("bfi", UU, "T,T,u32,u32->T", "ac_bfi({0}, {1}, {2}, {3})", _insert, "bit field (value, place, length), inserted", BITS)  # fmt: skip
_add("gray", UU, "T->T", "({0} ^ ({0} >> 1))", lambda _, x: x ^ (x >> 1), "Gray code", BITS)
_add("is_pow2", UU, "T->bool32", "({0} != 0 && ({0} & ({0} - 1)) == 0)", lambda _, x: x != 0 and x & (x - 1) == 0, "whether it is a power of two", BITS)  # fmt: skip
_add("next_pow2", (U32,), "T->T", "ac_next_pow2({0})", lambda _, x: 1 << (x - 1).bit_length() if 1 < x <= 1 << 31 else (1 if x <= 1 else 0), "smallest power of two not below; 0 if none", BITS)  # fmt: skip


def _spread(x: int) -> int:
    return sum(((x >> i) & 1) << (2 * i) for i in range(16))


_add("morton2", (U32,), "T,T->T", "(ac_spread({0}) | (ac_spread({1}) << 1))", lambda _, x, y: _spread(x) | _spread(y) << 1, "interleaved low 16 bits of x and y", BITS)  # fmt: skip
_add("funnel_left", (U32,), "T,T,T->T", "ac_funnel_left({0}, {1}, {2})", lambda _, lo, hi, n: ((hi << 32 | lo) << (n & 31) >> 32) & 0xFFFFFFFF, "upper half of (second:first) << n", BITS, cuda="__funnelshift_l({0}, {1}, {2})")  # fmt: skip
_add("funnel_right", (U32,), "T,T,T->T", "ac_funnel_right({0}, {1}, {2})", lambda _, lo, hi, n: ((hi << 32 | lo) >> (n & 31)) & 0xFFFFFFFF, "lower half of (second:first) >> n", BITS, cuda="__funnelshift_r({0}, {1}, {2})")  # fmt: skip


def _permute(_: Scalar, x: int, y: int, s: int) -> int:
    source = (y << 32 | x).to_bytes(8, "little")
    return sum(source[(s >> (4 * i)) & 7] << (8 * i) for i in range(4))


_add("byte_perm", (U32,), "T,T,T->T", "ac_byte_perm({0}, {1}, {2})", _permute, "four of the eight bytes of (second:first), one nibble each", BITS, cuda="__byte_perm({0}, {1}, {2} & 0x7777u)")  # fmt: skip

WHOLE = "integer arithmetic"
_add("mulhi", WIDE, "T,T->T", "ac_mulhi({0}, {1})", lambda t, a, b: (a * b) >> t.bits, "upper half of the product", WHOLE)  # fmt: skip
_add("mad", WIDE, "T,T,T->T", "(({T})(({U}){0} * ({U}){1} + ({U}){2}))", lambda _, a, b, c: a * b + c, "a * b + c", WHOLE)  # fmt: skip
_add("hadd", WIDE, "T,T->T", "(({0} & {1}) + (({0} ^ {1}) >> 1))", lambda _, a, b: (a + b) >> 1, "average, rounded down", WHOLE)  # fmt: skip
_add("rhadd", WIDE, "T,T->T", "(({0} | {1}) - (({0} ^ {1}) >> 1))", lambda _, a, b: (a + b + 1) >> 1, "average, rounded up", WHOLE)  # fmt: skip
_add("abs_diff", WIDE, "T,T->T", "(({T})({0} < {1} ? ({U}){1} - ({U}){0} : ({U}){0} - ({U}){1}))", lambda _, a, b: abs(a - b), "distance, modulo 2**bits", WHOLE)  # fmt: skip
_add("sad", UU, "T,T,T->T", "({2} + ({0} < {1} ? {1} - {0} : {0} - {1}))", lambda _, a, b, c: abs(a - b) + c, "distance plus the third", WHOLE)  # fmt: skip
_add("add_sat", INTEGERS, "T,T->T", "ac_add_sat<{T}>({0}, {1})", lambda t, a, b: _clamp(t, a + b), "sum, saturating", WHOLE)  # fmt: skip
_add("sub_sat", INTEGERS, "T,T->T", "ac_sub_sat<{T}>({0}, {1})", lambda t, a, b: _clamp(t, a - b), "difference, saturating", WHOLE)  # fmt: skip
_add("mul_sat", (I32, U32), "T,T->T", "ac_mul_sat<{T}>({0}, {1})", lambda t, a, b: _clamp(t, a * b), "product, saturating", WHOLE)  # fmt: skip
_add("clamp", (*INTEGERS, F32, F64), "T,T,T->T", "ac_clamp<{T}>({0}, {1}, {2})", lambda _, x, lo, hi: lo if x < lo else hi if hi < x else x, "x within lo..hi", WHOLE)  # fmt: skip
_add("sign", (*INTEGERS, F32, F64), "T->i32", "(({0} > 0) - ({0} < 0))", lambda _, x: (x > 0) - (x < 0), "-1, 0 or 1", WHOLE)  # fmt: skip
_add("isqrt", (U32,), "T->T", "ac_isqrt({0})", lambda _, x: math.isqrt(x), "square root, rounded down", WHOLE)  # fmt: skip
_add("gcd", UU, "T,T->T", "ac_gcd({0}, {1})", lambda _, a, b: math.gcd(a, b), "greatest common divisor", WHOLE)  # fmt: skip
_add("ceil_div", UU, "T,T->T", "ac_ceil_div({0}, {1})", lambda _, a, b: -(-a // b) if b else 0, "quotient, rounded up; 0 for a divisor of 0", WHOLE)  # fmt: skip
_add("align_up", UU, "T,T->T", "(({0} + ({1} - 1)) & ~({1} - 1))", lambda t, x, a: _bits(t, x + a - 1) & ~(a - 1), "next multiple of a power of two", WHOLE)  # fmt: skip
_add("align_down", UU, "T,T->T", "({0} & ~({1} - 1))", lambda _, x, a: x & ~(a - 1), "multiple of a power of two not above", WHOLE)  # fmt: skip
for _t in INTEGERS[:3] + INTEGERS[4:7]:
    _add(f"sat_{_t.name}", (I64,), f"T->{_t.name}", f"ac_clamp<ac_i64>({{0}}, {_t.low}ll, {_t.high}ll)", lambda _, x, t=_t: _clamp(t, x), f"to {_t.name}, saturating", WHOLE)  # fmt: skip

VIEW = "bits of floats"
for _t, _u in (
    (F16, U32),
    (BF16, U32),
    (F32, U32),
    (F64, U64),
    *((t, U32) for t in NARROW.values()),
):

    def _to(_: Scalar, x: float, t: Scalar = _t) -> int:
        code = {32: "<I", 64: "<Q"}.get(t.bits)
        return int(struct.unpack(code, struct.pack("<" + t.code, x))[0]) if code else int(to_bits(t, x))  # fmt: skip

    def _from(_: Scalar, x: int, t: Scalar = _t) -> float:
        code = {32: "<I", 64: "<Q"}.get(t.bits)
        if code is None:
            return float(from_bits(t, x & ((1 << t.bits) - 1)))
        return float(struct.unpack("<" + t.code, struct.pack(code, x))[0])

    _add(f"{_t.name}_bits", (_t,), f"T->{_u.name}", f"ac_{_t.name}_bits({{0}})", _to, f"the bits of a {_t.name}", VIEW)  # fmt: skip
    _add(f"{_t.name}_from_bits", (_u,), f"T->{_t.name}", f"ac_{_t.name}_from_bits({{0}})", _from, f"the {_t.name} of these bits", VIEW)  # fmt: skip

PACK = "packing"
_add("pack_u16x2", (U32,), "T,T->T", "(({0} & 0xFFFFu) | ({1} << 16))", lambda _, a, b: (a & 0xFFFF) | b << 16, "two 16-bit halves, lower first", PACK)  # fmt: skip
_add("unpack_u16", (U32,), "T,T->T", "(({0} >> (({1} & 1) * 16)) & 0xFFFFu)", lambda _, x, i: x >> ((i & 1) * 16) & 0xFFFF, "half number i (0 or 1)", PACK)  # fmt: skip
_add("pack_u8x4", (U32,), "T,T,T,T->T", "(({0} & 255u) | (({1} & 255u) << 8) | (({2} & 255u) << 16) | ({3} << 24))", lambda _, *x: sum((b & 255) << (8 * i) for i, b in enumerate(x)), "four bytes, lowest first", PACK)  # fmt: skip
_add("unpack_u8", (U32,), "T,T->T", "(({0} >> (({1} & 3) * 8)) & 255u)", lambda _, x, i: x >> ((i & 3) * 8) & 255, "byte number i (0..3)", PACK)  # fmt: skip
_add("pack_u32x2", (U32,), "T,T->u64", "((ac_u64){0} | ((ac_u64){1} << 32))", lambda _, a, b: a | b << 32, "two words, lower first", PACK)  # fmt: skip
_add("low_u32", (U64,), "T->u32", "((ac_u32){0})", lambda _, x: x & 0xFFFFFFFF, "lower word", PACK)
_add(
    "high_u32", (U64,), "T->u32", "((ac_u32)({0} >> 32))", lambda _, x: x >> 32, "upper word", PACK
)
_add("pack_f16x2", (F32,), "T,T->u32", "ac_pack_f16x2({0}, {1})", lambda _, a, b: to_bits(F16, a) | to_bits(F16, b) << 16, "two floats as f16 halves, lower first", PACK)  # fmt: skip
_add("unpack_f16", (U32,), "T,T->f32", "ac_f16_from_bits({0} >> (({1} & 1) * 16))", lambda _, x, i: from_bits(F16, x >> ((i & 1) * 16) & 0xFFFF), "half number i, as f32", PACK)  # fmt: skip

SIMD = "bytes side by side"


def _lanes(function: Callable[[int, int], int]) -> Callable[[Scalar, int, int], int]:
    def call(_: Scalar, a: int, b: int) -> int:
        pairs = zip(a.to_bytes(4, "little"), b.to_bytes(4, "little"), strict=True)
        return sum((function(x, y) & 255) << (8 * i) for i, (x, y) in enumerate(pairs))

    return call


for _name, _fn, _expr, _cuda, _doc in (
    ("vadd4", lambda x, y: x + y, "a + b", "__vadd4", "sums, wrapping"),
    ("vsub4", lambda x, y: x - y, "a - b", "__vsub4", "differences, wrapping"),
    (
        "vaddus4",
        lambda x, y: min(x + y, 255),
        "a + b > 255u ? 255u : a + b",
        "__vaddus4",
        "sums, saturating",
    ),  # fmt: skip
    (
        "vsubus4",
        lambda x, y: max(x - y, 0),
        "a < b ? 0u : a - b",
        "__vsubus4",
        "differences, saturating",
    ),  # fmt: skip
    (
        "vavgu4",
        lambda x, y: (x + y + 1) >> 1,
        "(a + b + 1) >> 1",
        "__vavgu4",
        "averages, rounded up",
    ),  # fmt: skip
    ("vabsdiffu4", lambda x, y: abs(x - y), "a < b ? b - a : a - b", "__vabsdiffu4", "distances"),
    ("vmaxu4", max, "a < b ? b : a", "__vmaxu4", "larger ones"),
    ("vminu4", min, "b < a ? b : a", "__vminu4", "smaller ones"),
    (
        "vcmpeq4",
        lambda x, y: 255 * (x == y),
        "a == b ? 255u : 0u",
        "__vcmpeq4",
        "255 where equal, else 0",
    ),  # fmt: skip
):
    _add(_name, (U32,), "T,T->T", f"ac_bytes({{0}}, {{1}}, [](ac_u32 a, ac_u32 b) -> ac_u32 {{{{ return {_expr}; }}}})", _lanes(_fn), f"four bytes: {_doc}", SIMD, cuda=f"{_cuda}({{0}}, {{1}})")  # fmt: skip


def _signed(x: int) -> list[int]:
    return list(struct.unpack("<4b", struct.pack("<I", x)))


_add("dp4a", (U32,), "T,T,T->T", "ac_dp4a({0}, {1}, {2})", lambda _, a, b, c: sum(x * y for x, y in zip(a.to_bytes(4, "little"), b.to_bytes(4, "little"), strict=True)) + c, "four unsigned byte products and the third", SIMD, cuda="__dp4a({0}, {1}, {2})")  # fmt: skip
_add("dp4a_i8", (U32,), "T,T,i32->i32", "ac_dp4a_i8({0}, {1}, {2})", lambda _, a, b, c: wrap(I32, sum(x * y for x, y in zip(_signed(a), _signed(b), strict=True)) + c), "four signed byte products and the third", SIMD, cuda="__dp4a((int){0}, (int){1}, {2})")  # fmt: skip

RANDOM = "hashes and random numbers"


def _fmix32(_: Scalar, x: int) -> int:
    x = ((x ^ x >> 16) * 0x85EBCA6B) & 0xFFFFFFFF
    x = ((x ^ x >> 13) * 0xC2B2AE35) & 0xFFFFFFFF
    return x ^ x >> 16


def _fmix64(_: Scalar, x: int) -> int:
    m = (1 << 64) - 1
    x = ((x ^ x >> 33) * 0xFF51AFD7ED558CCD) & m
    x = ((x ^ x >> 33) * 0xC4CEB9FE1A85EC53) & m
    return x ^ x >> 33


def _philox(_: Scalar, seed: int, counter: int, word: int) -> int:
    """Philox4x32-10 (Salmon et al., 2011): key = seed, counter in the two lower words."""
    c = [counter & 0xFFFFFFFF, counter >> 32, 0, 0]
    k0, k1 = seed & 0xFFFFFFFF, seed >> 32
    for _round in range(10):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [p1 >> 32 ^ c[1] ^ k0, p1 & 0xFFFFFFFF, p0 >> 32 ^ c[3] ^ k1, p0 & 0xFFFFFFFF]
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return c[word & 3]


def _normal(_: Scalar, a: int, b: int) -> float:
    u, v = ((a >> 8) + 1) * 2.0**-24, (b >> 8) * 2.0**-24
    return math.sqrt(-2.0 * math.log(u)) * math.cos(2.0 * math.pi * v)


_add("fmix32", (U32,), "T->T", "ac_fmix32({0})", _fmix32, "MurmurHash3's finaliser", RANDOM)
_add("fmix64", (U64,), "T->T", "ac_fmix64({0})", _fmix64, "MurmurHash3's finaliser, 64 bits", RANDOM)  # fmt: skip
_add("fnv1a", (U32,), "T,T->T", "(({0} ^ ({1} & 255u)) * 16777619u)", lambda _, h, b: (h ^ (b & 255)) * 16777619, "one step of FNV-1a", RANDOM)  # fmt: skip
_add("lcg64", (U64,), "T->T", "({0} * 6364136223846793005ull + 1442695040888963407ull)", lambda _, x: x * 6364136223846793005 + 1442695040888963407, "one step of Knuth's generator", RANDOM)  # fmt: skip
_add("philox", (U64,), "T,u64,u32->u32", "ac_philox({0}, {1}, {2})", _philox, "word (0..3) of Philox4x32-10 for a seed and a counter", RANDOM)  # fmt: skip
_add("uniform_f32", (U32,), "T->f32", "((float)({0} >> 8) * 5.9604644775390625e-8f)", lambda _, x: (x >> 8) * 2.0**-24, "bits to 0 <= x < 1", RANDOM)  # fmt: skip
_add("uniform_f64", (U64,), "T->f64", "((double)({0} >> 11) * 1.1102230246251565404e-16)", lambda _, x: (x >> 11) * 2.0**-53, "bits to 0 <= x < 1", RANDOM)  # fmt: skip
ROWS.add("normal_f64", RANDOM, (U32,), "T,T->f64", "ac_normal({0}, {1})", _normal, "two words to a normal variate (Box-Muller)", ulp=64)  # fmt: skip
