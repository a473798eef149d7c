"""Names that code passes as literals, read from bytecode when a class is made.

``self.ctx.become("opne")`` is a mistake that can be seen before the program runs. Only calls
whose first argument is a plain string count; anything else is found out at run time.
"""

from __future__ import annotations

import dis
from collections.abc import Callable, Collection, Iterator
from types import CodeType
from typing import Any, NamedTuple

_READS = ("LOAD_METHOD", "LOAD_ATTR")
_SKIPPED = ("PUSH_NULL", "CACHE", "NOP", "EXTENDED_ARG")
_CALLS = ("PRECALL", "CALL", "KW_NAMES", "CALL_KW")


class Call(NamedTuple):
    """One call found: its first argument if that is a literal string, else None."""

    name: str | None
    line: int


def calls(fn: Callable[..., Any], method: str, owners: Collection[str]) -> Iterator[Call]:
    """Calls of ``owner.method(...)`` in a function and the functions inside it."""
    stack: list[CodeType] = [fn.__code__]
    while stack:
        code = stack.pop()
        stack.extend(const for const in code.co_consts if isinstance(const, CodeType))
        if method in code.co_names:
            yield from _calls(code, method, owners)


def _calls(code: CodeType, method: str, owners: Collection[str]) -> Iterator[Call]:
    steps = [step for step in dis.get_instructions(code) if step.opname not in _SKIPPED]
    line = code.co_firstlineno
    for at, step in enumerate(steps):
        if step.positions is not None and step.positions.lineno is not None:
            line = step.positions.lineno
        if step.opname not in _READS or step.argval != method or at == 0:
            continue
        owner = steps[at - 1].argval
        if (owner[-1] if isinstance(owner, tuple) else owner) in owners:
            yield Call(_literal(steps[at + 1 :]), line)


def _literal(steps: list[dis.Instruction]) -> str | None:
    if not steps or steps[0].opname != "LOAD_CONST" or not isinstance(steps[0].argval, str):
        return None
    after = next((step for step in steps[1:] if not step.opname.startswith("LOAD_")), None)
    if after is None or after.opname not in _CALLS:
        return None  # more is made of it, or of the next argument: not worth telling apart
    name: str = steps[0].argval
    return name
