"""Rows over f32 and f64. References are computed in f64; other floats are converted first."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..ir.arithmetic import divide
from ..layout.scalar import F32, F64, Scalar, round_to
from .row import Table

FF = (F32, F64)
ROWS = Table()


def quiet(function: Callable[..., float]) -> Callable[..., float]:
    """Python's function without its exceptions: NaN outside the domain, infinity on overflow."""

    def call(_: Scalar, *x: float) -> float:
        try:
            return function(*x)
        except OverflowError:
            return math.inf
        except (ValueError, ZeroDivisionError):
            return math.nan

    return call


def _round(type_: Scalar, x: float) -> float:
    return round_to(type_, x)


def _add(
    name: str, signature: str, c: str, reference: Any, doc: str, group: str, ulp: float = 0.0,
    domain: tuple[float, float] = (-8.0, 8.0), cuda: str | None = None,
) -> None:  # fmt: skip
    ROWS.add(name, group, FF, signature, c, reference, doc, cuda=cuda, ulp=ulp, domain=domain)


def _whole(function: Callable[[float], int]) -> Callable[[Scalar, float], float]:
    def call(_: Scalar, x: float) -> float:
        return math.copysign(float(function(x)), x) if math.isfinite(x) else x

    return call


def _away(x: float) -> int:
    return int(math.copysign(math.floor(abs(x) + 0.5), x)) if abs(x) < 2.0**52 else int(x)


def _fma(type_: Scalar, a: float, b: float, c: float) -> float:
    from fractions import Fraction

    if not (math.isfinite(a) and math.isfinite(b) and math.isfinite(c)):
        return a * b + c
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    if exact == 0:
        return a * b + c
    if type_ is F64:
        return float(exact)
    return _nearest_f32(exact)


def _nearest_f32(exact: Any) -> float:
    """A fraction to f32 with one rounding: to odd in f64 first."""
    from fractions import Fraction

    near = float(exact)
    if Fraction(near) != exact:
        other = math.nextafter(near, math.inf if exact > Fraction(near) else -math.inf)
        near = next(x for x in (near, other) if int(math.frexp(x)[0] * 2**53) & 1)
    return round_to(F32, near)


def _fmin(_: Scalar, a: float, b: float) -> float:
    if math.isnan(a) or math.isnan(b):
        return b if math.isnan(a) else a
    return min(a, b)


def _fmax(_: Scalar, a: float, b: float) -> float:
    if math.isnan(a) or math.isnan(b):
        return b if math.isnan(a) else a
    return max(a, b)


def _next(type_: Scalar, a: float, b: float) -> float:
    if type_ is F64 or math.isnan(a) or math.isnan(b):
        return math.nextafter(a, b)
    if a == b:
        return b
    import struct

    if a == 0.0:
        return math.copysign(2.0**-149, b)
    bits = struct.unpack("<I", struct.pack("<f", a))[0]
    bits += 1 if (b > a) == (a > 0) else -1
    return float(struct.unpack("<f", struct.pack("<I", bits))[0])


BASIC = "basic maths"
_add("sqrt", "T->T", "sqrt{f}({0})", quiet(math.sqrt), "square root, rounded correctly", BASIC, 0, (0, 1e6))  # fmt: skip
_add("rsqrt", "T->T", "((({T})1) / sqrt{f}({0}))", quiet(lambda x: 1.0 / math.sqrt(x)), "1 / square root", BASIC, 2, (1e-3, 1e6), cuda="rsqrt{f}({0})")  # fmt: skip
_add("cbrt", "T->T", "cbrt{f}({0})", quiet(math.cbrt), "cube root", BASIC, 2, (-1e6, 1e6))
_add("rcbrt", "T->T", "((({T})1) / cbrt{f}({0}))", quiet(lambda x: 1.0 / math.cbrt(x)), "1 / cube root", BASIC, 3, (1e-3, 1e6), cuda="rcbrt{f}({0})")  # fmt: skip
_add("fabs", "T->T", "fabs{f}({0})", lambda _, x: abs(x), "absolute value", BASIC)
_add("floor", "T->T", "floor{f}({0})", _whole(math.floor), "largest whole number not above", BASIC, 0, (-1e6, 1e6))  # fmt: skip
_add("ceil", "T->T", "ceil{f}({0})", _whole(math.ceil), "smallest whole number not below", BASIC, 0, (-1e6, 1e6))  # fmt: skip
_add("trunc", "T->T", "trunc{f}({0})", _whole(math.trunc), "whole part", BASIC, 0, (-1e6, 1e6))
_add("rint", "T->T", "rint{f}({0})", _whole(round), "nearest whole number, ties to even", BASIC, 0, (-1e6, 1e6))  # fmt: skip
_add("round_away", "T->T", "round{f}({0})", _whole(_away), "nearest whole number, ties away from 0", BASIC, 0, (-1e6, 1e6))  # fmt: skip
_add("fract", "T->T", "({0} - floor{f}({0}))", lambda _, x: x - math.floor(x), "x - floor(x)", BASIC, 0, (-1e6, 1e6))  # fmt: skip
_add("fma", "T,T,T->T", "fma{f}({0}, {1}, {2})", _fma, "a * b + c with one rounding", BASIC)
_add("fmod", "T,T->T", "fmod{f}({0}, {1})", quiet(math.fmod), "remainder with the sign of the first (C's fmod)", BASIC)  # fmt: skip
_add("remainder", "T,T->T", "remainder{f}({0}, {1})", quiet(math.remainder), "IEEE remainder", BASIC)  # fmt: skip
_add("fdim", "T,T->T", "fdim{f}({0}, {1})", lambda _, a, b: a - b if a > b else 0.0, "positive difference", BASIC)  # fmt: skip
_add("fmin", "T,T->T", "fmin{f}({0}, {1})", _fmin, "the smaller; NaN loses", BASIC)
_add("fmax", "T,T->T", "fmax{f}({0}, {1})", _fmax, "the larger; NaN loses", BASIC)
_add("copysign", "T,T->T", "copysign{f}({0}, {1})", lambda _, a, b: math.copysign(a, b), "size of the first, sign of the second", BASIC)  # fmt: skip
_add("nextafter", "T,T->T", "nextafter{f}({0}, {1})", _next, "the next value of the type towards the second", BASIC)  # fmt: skip


def _ldexp(_: Scalar, x: float, n: int) -> float:
    try:
        return math.ldexp(x, n)
    except OverflowError:
        return math.copysign(math.inf, x)


_add("ldexp", "T,i32->T", "ldexp{f}({0}, {1})", _ldexp, "x * 2**n", BASIC)
_add("logb", "T->T", "logb{f}({0})", lambda _, x: float(math.frexp(x)[1] - 1) if x else -math.inf, "exponent of two", BASIC, 0, (1e-3, 1e6))  # fmt: skip
_add("ilogb", "T->i32", "ilogb{f}({0})", lambda _, x: math.frexp(x)[1] - 1, "exponent of two as an integer", BASIC, 0, (1e-3, 1e6))  # fmt: skip
_add("significand", "T->T", "ac_significand({0})", lambda _, x: math.frexp(x)[0], "frexp's fraction, 0.5 to 1", BASIC)  # fmt: skip
_add("hypot", "T,T->T", "hypot{f}({0}, {1})", lambda _, a, b: math.hypot(a, b), "length of (a, b)", BASIC, 2)  # fmt: skip
_add("rhypot", "T,T->T", "((({T})1) / hypot{f}({0}, {1}))", lambda _, a, b: 1.0 / math.hypot(a, b), "1 / hypot", BASIC, 3, (0.1, 8), cuda="rhypot{f}({0}, {1})")  # fmt: skip
_add("norm3", "T,T,T->T", "sqrt{f}({0} * {0} + {1} * {1} + {2} * {2})", lambda _, *x: math.hypot(*x), "length of (a, b, c)", BASIC, 3, cuda="norm3d{f}({0}, {1}, {2})")  # fmt: skip
_add("norm4", "T,T,T,T->T", "sqrt{f}({0} * {0} + {1} * {1} + {2} * {2} + {3} * {3})", lambda _, *x: math.hypot(*x), "length of (a, b, c, d)", BASIC, 3, cuda="norm4d{f}({0}, {1}, {2}, {3})")  # fmt: skip
_add("rcp", "T->T", "((({T})1) / {0})", lambda _, x: divide(1.0, x), "1 / x", BASIC)
_add("square", "T->T", "({0} * {0})", lambda _, x: x * x, "x * x", BASIC)
_add("lerp", "T,T,T->T", "fma{f}({2}, {1} - {0}, {0})", lambda t, a, b, w: _fma(t, w, _round(t, b - a), a), "a + w * (b - a)", BASIC)  # fmt: skip
_add("saturate", "T->T", "fmin{f}(fmax{f}({0}, ({T})0), ({T})1)", lambda t, x: _fmin(t, _fmax(t, x, 0.0), 1.0), "clamped to 0..1; NaN becomes 0", BASIC)  # fmt: skip
_add("step", "T,T->T", "(({1}) < ({0}) ? ({T})0 : ({T})1)", lambda _, edge, x: 0.0 if x < edge else 1.0, "0 below the edge, else 1", BASIC)  # fmt: skip
_add("smoothstep", "T,T,T->T", "ac_smoothstep<{T}>({0}, {1}, {2})", lambda _, a, b, x: (lambda s: s * s * (3.0 - 2.0 * s))(min(max((x - a) / (b - a), 0.0), 1.0)) if a != b else math.nan, "Hermite step between two edges", BASIC, 64, (0.5, 8))  # fmt: skip
_add("degrees", "T->T", "({0} * ({T})57.295779513082320876798)", lambda _, x: math.degrees(x), "radians to degrees", BASIC, 2)  # fmt: skip
_add("radians", "T->T", "({0} * ({T})0.017453292519943295769)", lambda _, x: math.radians(x), "degrees to radians", BASIC, 2)  # fmt: skip

TRIG = "trigonometry"
for _name, _domain, _ulp in (
    ("sin", (-100, 100), 2), ("cos", (-100, 100), 2), ("tan", (-1.5, 1.5), 4),
    ("asin", (-1, 1), 4), ("acos", (-1, 1), 4), ("atan", (-100, 100), 3),
):  # fmt: skip
    _add(_name, "T->T", _name + "{f}({0})", quiet(getattr(math, _name)), f"{_name} of radians" if _name[0] != "a" else f"{_name}, in radians", TRIG, _ulp, _domain)  # fmt: skip
_add("atan2", "T,T->T", "atan2{f}({0}, {1})", quiet(math.atan2), "angle of (x=second, y=first)", TRIG, 4)  # fmt: skip


def _sinpi(_: Scalar, x: float) -> float:
    r = math.fmod(x, 2.0)
    return math.copysign(0.0, x) if r in (0.0, 1.0, -1.0) else math.sin(math.pi * r)


def _cospi(_: Scalar, x: float) -> float:
    r = abs(math.fmod(x, 2.0))
    return 0.0 if r in (0.5, 1.5) else math.sin(math.pi * (0.5 - r)) if r < 1 else math.sin(math.pi * (r - 1.5))  # fmt: skip


_add("sinpi", "T->T", "ac_sinpi({0})", _sinpi, "sin(pi * x)", TRIG, 8, cuda="sinpi{f}({0})")
_add("cospi", "T->T", "ac_cospi({0})", _cospi, "cos(pi * x)", TRIG, 8, cuda="cospi{f}({0})")
_add("sinc", "T->T", "ac_sinc({0})", lambda _, x: math.sin(x) / x if x else 1.0, "sin(x) / x", TRIG, 4)  # fmt: skip

HYPER = "hyperbolic"
for _name, _domain, _ulp in (
    ("sinh", (-8, 8), 4), ("cosh", (-8, 8), 4), ("tanh", (-8, 8), 4),
    ("asinh", (-100, 100), 4), ("acosh", (1, 100), 4), ("atanh", (-0.99, 0.99), 4),
):  # fmt: skip
    _add(_name, "T->T", _name + "{f}({0})", quiet(getattr(math, _name)), f"{_name}", HYPER, _ulp, _domain)  # fmt: skip

EXP = "exponentials"


def _log(function: Callable[[float], float]) -> Callable[[Scalar, float], float]:
    def call(t: Scalar, x: float) -> float:
        return -math.inf if x == 0.0 else quiet(function)(t, x)

    return call


def _sigmoid(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x))


_add("exp", "T->T", "exp{f}({0})", quiet(math.exp), "e**x", EXP, 2)
_add("exp2", "T->T", "exp2{f}({0})", quiet(math.exp2), "2**x", EXP, 2)
_add("exp10", "T->T", "ac_exp10({0})", quiet(lambda x: math.pow(10.0, x)), "10**x", EXP, 4, cuda="exp10{f}({0})")  # fmt: skip
_add("expm1", "T->T", "expm1{f}({0})", quiet(math.expm1), "e**x - 1", EXP, 3)
_add("log", "T->T", "log{f}({0})", _log(math.log), "natural logarithm", EXP, 2, (1e-3, 1e6))
_add("log2", "T->T", "log2{f}({0})", _log(math.log2), "logarithm to 2", EXP, 2, (1e-3, 1e6))
_add("log10", "T->T", "log10{f}({0})", _log(math.log10), "logarithm to 10", EXP, 3, (1e-3, 1e6))
_add("log1p", "T->T", "log1p{f}({0})", quiet(math.log1p), "log(1 + x)", EXP, 3, (-0.9, 1e3))
_add("pow", "T,T->T", "pow{f}({0}, {1})", quiet(math.pow), "C's pow", EXP, 3, (0.1, 8))
_add("erf", "T->T", "erf{f}({0})", quiet(math.erf), "error function", EXP, 4)
_add("erfc", "T->T", "erfc{f}({0})", quiet(math.erfc), "1 - erf(x)", EXP, 8, (-4, 4))
_add("tgamma", "T->T", "tgamma{f}({0})", quiet(math.gamma), "gamma function", EXP, 12, (0.5, 20))
_add("lgamma", "T->T", "lgamma{f}({0})", quiet(math.lgamma), "log of gamma", EXP, 12, (3, 100))
_add("sigmoid", "T->T", "ac_sigmoid<{T}>({0})", quiet(_sigmoid), "1 / (1 + e**-x)", EXP, 6)
_add("logit", "T->T", "log{f}({0} / (({T})1 - {0}))", quiet(lambda x: math.log(x / (1.0 - x))), "log(x / (1 - x))", EXP, 64, (0.6, 0.95))  # fmt: skip
_add("softplus", "T->T", "(fmax{f}({0}, ({T})0) + log1p{f}(exp{f}(-fabs{f}({0}))))", lambda _, x: max(x, 0.0) + math.log1p(math.exp(-abs(x))), "log(1 + e**x)", EXP, 6)  # fmt: skip
_add("logaddexp", "T,T->T", "ac_logaddexp<{T}>({0}, {1})", lambda _, a, b: max(a, b) + math.log1p(math.exp(-abs(a - b))), "log(e**a + e**b)", EXP, 8, (1, 8))  # fmt: skip
_add("xlogx", "T->T", "ac_xlogx<{T}>({0})", lambda _, x: x * math.log(x) if x else 0.0, "x * log(x), 0 at 0", EXP, 6, (1.5, 100))  # fmt: skip
_add("relu", "T->T", "fmax{f}({0}, ({T})0)", lambda t, x: _fmax(t, x, 0.0) if x > 0 else 0.0, "max(x, 0)", EXP)  # fmt: skip
_add("silu", "T->T", "({0} * ac_sigmoid<{T}>({0}))", quiet(lambda x: x * _sigmoid(x)), "x * sigmoid(x)", EXP, 8)  # fmt: skip
_add("gelu", "T->T", "ac_gelu<{T}>({0})", lambda _, x: 0.5 * x * math.erfc(-x * math.sqrt(0.5)), "x * normal CDF of x", EXP, 24, (-3, 8))  # fmt: skip

SPECIAL = "special functions"


def _bessel(n: int, x: float) -> float:
    """Bessel's integral by the trapezoid rule, which converges faster than any power."""
    steps = 200
    angles = (math.pi * (k + 0.5) / steps for k in range(steps))
    return math.fsum(math.cos(n * a - x * math.sin(a)) for a in angles) / steps


_add("norm_cdf", "T->T", "ac_norm_cdf<{T}>({0})", lambda _, x: 0.5 * math.erfc(-x * math.sqrt(0.5)), "normal distribution function", SPECIAL, 24, (-3, 8), cuda="normcdf{f}({0})")  # fmt: skip
_add("norm_pdf", "T->T", "ac_norm_pdf<{T}>({0})", lambda _, x: math.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi), "normal density", SPECIAL, 16, (-3, 3))  # fmt: skip
_add("bessel_j0", "T->T", "j0{f}({0})", lambda _, x: _bessel(0, x), "Bessel function of the first kind, order 0", SPECIAL, 64, (0, 2))  # fmt: skip
_add("bessel_j1", "T->T", "j1{f}({0})", lambda _, x: _bessel(1, x), "Bessel function of the first kind, order 1", SPECIAL, 64, (0.5, 3))  # fmt: skip

CLASSIFY = "classify"
_add("isnan", "T->bool32", "({0} != {0})", lambda _, x: math.isnan(x), "whether it is NaN", CLASSIFY)  # fmt: skip
_add("isinf", "T->bool32", "(fabs{f}({0}) == ac_inf<{T}>())", lambda _, x: math.isinf(x), "whether it is infinite", CLASSIFY)  # fmt: skip
_add("isfinite", "T->bool32", "(fabs{f}({0}) < ac_inf<{T}>())", lambda _, x: math.isfinite(x), "whether it is a number", CLASSIFY)  # fmt: skip
_add("signbit", "T->bool32", "(copysign{f}(({T})1, {0}) < 0)", lambda _, x: math.copysign(1.0, x) < 0, "whether its sign is minus, also of 0", CLASSIFY)  # fmt: skip
_add("is_whole", "T->bool32", "(floor{f}({0}) == {0} && fabs{f}({0}) < ac_inf<{T}>())", lambda _, x: math.isfinite(x) and x == math.floor(x), "whether it has no fraction", CLASSIFY)  # fmt: skip
_add("is_normal", "T->bool32", "ac_is_normal({0})", lambda t, x: math.isfinite(x) and abs(x) >= 2.0 ** (1 - t.exponent), "whether it is neither 0, subnormal, infinite nor NaN", CLASSIFY)  # fmt: skip

TO_INT = "rounding to integers"
for _to, _bits in (("i32", 32), ("i64", 64)):
    for _how, _fn in (("floor", math.floor), ("ceil", math.ceil), ("rint", round)):
        _add(f"{_how}_{_to}", f"T->{_to}", f"ac_to_{_to}({_how}{{f}}({{0}}))", lambda t, x, fn=_fn: _whole(fn)(t, x), f"{_how} as {_to}, saturating; NaN becomes 0", TO_INT, 0, (-1e6, 1e6))  # fmt: skip
