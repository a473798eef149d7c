"""One row of the table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from actinium.errors import UsageError

from ..ir.promote import common, holds
from ..layout.scalar import BOOL, F64, I64, SCALARS, Plain, Scalar, convert

T = "T"


class Row(NamedTuple):
    """An intrinsic: what it takes and gives, its text for each target, and what it must equal.

    Calling it in plain Python computes the reference at the widest type.
    """

    name: str
    group: str
    types: tuple[Scalar, ...]
    """What T may be."""
    params: tuple[str, ...]
    """``T`` or the name of a fixed type, for each operand."""
    result: str
    c: str
    """C++ text: {0}, {1} operands; {f} ``f`` for f32; {T} its C name; {U} its unsigned one, {B} its bits, {L} the level."""
    cuda: str
    reference: Callable[..., Any]
    """(T, *operands) -> result, on plain values; the result is then rounded to its type."""
    ulp: float
    """Largest difference from the reference in units of the last place; 0: bit for bit."""
    domain: tuple[float, float]
    """Between which operands the tests draw, and for which ``ulp`` is promised."""
    effect: bool
    lanes: bool
    """Whether it needs all threads of the level at once."""
    doc: str

    def __repr__(self) -> str:
        return f"<intrinsic {self.name}>"

    @property
    def signature(self) -> str:
        return f"{self.name}({', '.join(self.params)}) -> {self.result}"

    def choose(self, given: list[Scalar]) -> Scalar | None:
        """T for operands of these types: the smallest allowed one that holds each."""
        if not any(p == T for p in self.params):
            return self.types[0]
        joint: Scalar | None = None
        for type_, param in zip(given, self.params, strict=True):
            if param == T:
                joint = type_ if joint is None else common(joint, type_)
                if joint is None:
                    return None
        assert joint is not None
        if joint.weak:
            wide = I64 if joint.is_int and I64 in self.types else F64
            return wide if wide in self.types else self.types[-1]
        fitting = [t for t in self.types if holds(t, joint)]
        return min(fitting, key=lambda t: (t.kind != joint.kind, t.bits), default=None)

    def operand_types(self, chosen: Scalar) -> list[Scalar]:
        return [chosen if p == T else SCALARS[p] for p in self.params]

    def result_type(self, chosen: Scalar) -> Scalar:
        return chosen if self.result == T else SCALARS[self.result]

    def compute(self, chosen: Scalar, *operands: Plain) -> Plain:
        """The reference, with its result in its type."""
        type_, value = self.result_type(chosen), self.reference(chosen, *operands)
        return value if type_.min_cc else convert(type_, value)

    def __call__(self, *operands: Plain) -> Plain:
        if len(operands) != len(self.params):
            raise UsageError(f"gpu.{self.signature}: got {len(operands)} operands")
        weak = [
            BOOL if isinstance(x, bool) else F64 if isinstance(x, float) else I64 for x in operands
        ]
        chosen = self.choose(weak) or self.types[-1]
        pairs = zip(self.operand_types(chosen), operands, strict=True)
        return self.compute(chosen, *(convert(t, x) for t, x in pairs))

    def text(self, target: str, chosen: Scalar, operands: list[str], level: int = 0) -> str:
        """The call in C++ for ``cpu`` or ``cuda``; ``level`` is who runs it, 0 for one thread."""
        return (self.cuda if target == "cuda" else self.c).format(
            *operands, f="f" if chosen.bits == 32 else "", T=chosen.c, U=f"ac_u{chosen.bits}",
            B=chosen.bits, L=level,
        )  # fmt: skip


class Table(dict[str, Row]):
    """Rows by name."""

    def add(
        self,
        name: str,
        group: str,
        types: tuple[Scalar, ...],
        signature: str,
        c: str,
        reference: Callable[..., Any],
        doc: str,
        *,
        cuda: str | None = None,
        ulp: float = 0.0,
        domain: tuple[float, float] = (-8.0, 8.0),
        effect: bool = False,
        lanes: bool = False,
    ) -> None:
        left, result = signature.split("->")
        params = tuple(p for p in left.split(",") if p)
        assert name not in self, name
        self[name] = Row(
            name, group, types, params, result, c, c if cuda is None else cuda, reference, ulp,
            domain, effect, lanes, doc,
        )  # fmt: skip
