"""Floats of 8, 6 and 4 bits as the Open Compute Project's formats (OFP8 1.0, MX 1.0) define them.

At rest each takes one byte, with the code in its lower bits. A conversion rounds to nearest, ties
to even, and saturates: what is larger than the largest number, infinities included, becomes it.
NaN stays NaN in the formats that have one and becomes the largest number in the others. That is
what the hardware's ``cvt.rn.satfinite`` does.
"""

from __future__ import annotations

import math
from typing import NamedTuple


class Format(NamedTuple):
    """A sign, ``exponent`` and ``mantissa`` bits."""

    exponent: int
    mantissa: int
    bias: int
    most: float
    """The largest number."""
    nan: bool
    infinity: bool
    min_cc: str
    """The compute capability whose hardware converts to it."""

    @property
    def sign(self) -> int:
        """The bit of the sign."""
        return 1 << (self.exponent + self.mantissa)


FORMATS = {
    "f8e4m3": Format(4, 3, 7, 448.0, True, False, "8.9"),
    "f8e5m2": Format(5, 2, 15, 57344.0, True, True, "8.9"),
    "f6e3m2": Format(3, 2, 3, 28.0, False, False, "10.0"),
    "f6e2m3": Format(2, 3, 1, 7.5, False, False, "10.0"),
    "f4e2m1": Format(2, 1, 1, 6.0, False, False, "10.0"),
}
NAN = 0x7F
"""The code that a NaN becomes."""


def nearest(name: str, value: float) -> float:
    """The value of the format that a number becomes."""
    form = FORMATS[name]
    if math.isnan(value):
        return value if form.nan else form.most
    size = abs(value)
    if size >= form.most:
        return math.copysign(form.most, value)
    exponent = max(math.frexp(size)[1] - 1, 1 - form.bias) if size else 0
    step = math.ldexp(1.0, exponent - form.mantissa)
    return math.copysign(round(size / step) * step, value)  # exact but for round, ties to even


def encode(name: str, value: float) -> int:
    """The code of a value of the format; an infinity where it has none is the largest number."""
    form = FORMATS[name]
    if math.isnan(value):
        return NAN if form.nan else encode(name, form.most)
    sign = form.sign if math.copysign(1.0, value) < 0 else 0
    if math.isinf(value) and form.infinity:
        return sign | ((1 << form.exponent) - 1) << form.mantissa
    size = abs(nearest(name, value))
    exponent = max(math.frexp(size)[1] - 1, 1 - form.bias) if size else 1 - form.bias
    # a subnormal's exponent field is one below that of the least normal number
    field = round(math.ldexp(size, form.mantissa - exponent))
    return sign | field + ((exponent + form.bias - 1) << form.mantissa)


def decode(name: str, code: int) -> float:
    """The value of a code; bits above it do not count."""
    form = FORMATS[name]
    exponent = code >> form.mantissa & (1 << form.exponent) - 1
    fraction = code & (1 << form.mantissa) - 1
    sign = -1.0 if code & form.sign else 1.0
    top = exponent == (1 << form.exponent) - 1
    if form.infinity and top:
        return math.nan if fraction else sign * math.inf
    if form.nan and top and fraction == (1 << form.mantissa) - 1:
        return math.nan
    if exponent:
        fraction += 1 << form.mantissa
    return sign * math.ldexp(fraction, max(exponent, 1) - form.bias - form.mantissa)
