"""The operations, and what the passes may do with each."""

from __future__ import annotations

from typing import NamedTuple


class Info(NamedTuple):
    """``pure``: no effect. ``faults``: may stop the handler. ``terminator``: ends a region."""

    pure: bool = True
    faults: bool = False
    terminator: bool = False


_PURE = Info()
_EFFECT = Info(pure=False)
_END = Info(pure=False, terminator=True)

ARITHMETIC = ("add", "sub", "mul", "div", "pow", "and", "or", "xor", "shl", "shr", "min", "max")
COMPARISONS = ("eq", "ne", "lt", "le", "gt", "ge")

OPS: dict[str, Info] = {
    "const": _PURE,  # value
    **dict.fromkeys(ARITHMETIC, _PURE),
    "floordiv": _PURE,  # an integer one may fault, see Op.may_fault
    "mod": _PURE,
    "neg": _PURE,
    "abs": _PURE,
    "invert": _PURE,
    "not": _PURE,
    **dict.fromkeys(COMPARISONS, _PURE),
    "convert": _PURE,  # to the type of the result
    "call": _EFFECT,  # row of the intrinsics; pure unless the row has an effect
    "make": _PURE,  # a record from its fields
    "get": _PURE,  # field of a record
    "length": _PURE,  # of the buffer root
    "index": Info(faults=True),  # a Python index within length
    "load": _EFFECT,  # root, path; see Op.pure
    "store": _EFFECT,  # root, path; the value is the last operand
    "atomic": _EFFECT,  # row, root, path, count of the row's operands, which come last
    "neighbour": _PURE,  # root, offset: a cell of a stencil's grid
    "sync": _EFFECT,  # all threads of the level have come here; what they wrote can be read
    "check": Info(pure=False, faults=True),  # an assertion
    "scan": Info(pure=False, faults=True),  # how, root, path: running sums in place; indices, count
    "tell": _EFFECT,  # record, kind; who, then the record, or root, path and indices where it lies
    "context": _PURE,  # what: me, sender or now
    "step": Info(pure=False, faults=True),  # one round of a loop against the budget of steps
    "if": _EFFECT,
    "loop": _EFFECT,  # for ever, until break or leave
    "for": _EFFECT,  # low, high, step, then the carried values; count: all rounds against the budget
    "par": _EFFECT,  # as for; the iterations are shared out among the threads of the level
    "scope": _EFFECT,  # what leave leaves
    "yield": _END,
    "leave": _END,
    "break": _END,
    "continue": _END,
    "unreachable": _END,
}

LOOPS = ("loop", "for", "par")
