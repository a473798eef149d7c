"""Passes: each takes a function and changes it in place without changing what it does."""

from __future__ import annotations

from ..nodes import Function
from . import cse, dce, simplify, uniform, verify


def optimise(function: Function) -> None:
    """Simplify, share, remove, until nothing changes; the form is checked after each step."""
    for _ in range(8):
        changed = simplify.run(function)
        verify.check(function)
        changed |= cse.run(function)
        verify.check(function)
        changed |= dce.run(function)
        verify.check(function)
        if not changed:
            break
    uniform.run(function)
