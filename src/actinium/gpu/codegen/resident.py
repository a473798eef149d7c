"""The text of a resident program: its handlers, the protocol, what each kind takes, and the loop."""

from __future__ import annotations

from importlib import resources

from actinium.errors import UsageError

from ..abi.text import abi_header
from ..executors.native import OUTBOX
from ..ir.nodes import walk
from ..ir.ops import LOOPS
from ..program import Program

UNKNOWN_SIZE = 1 << 31
"""What `ac_message_size` says for a kind that no handler takes."""


def sizes(program: Program) -> dict[int, tuple[int, int]]:
    """Kind -> (bytes of the message, bytes of the reply; 0 for none).

    Raises:
        UsageError: the program is a kernel and takes no messages.
    """
    if program.spec is None:
        raise UsageError(f"{program.name} is a kernel; only an actor stays resident")
    found = {}
    for message, function in zip(program.messages, program.functions, strict=True):
        result = function.result
        reply = 0 if result is None else result.size
        found[message.__gpu_kind__] = (message.__gpu_record__.size, reply)
    return found


def kinds_text(program: Program) -> str:
    """`ac_message_size` and `ac_reply_size` of a program as C++."""
    known = sizes(program)

    def one(name: str, which: int, otherwise: int) -> str:
        cases = "".join(
            f"    case {kind:#06x}: return {both[which]}u;\n" for kind, both in known.items()
        )
        return (
            f"AC_FN ac_u32 {name}(ac_u32 kind) {{\n  switch (kind) {{\n{cases}"
            f"    default: return {otherwise}u;\n  }}\n}}\n"
        )

    return one("ac_message_size", 0, UNKNOWN_SIZE) + one("ac_reply_size", 1, 0)


def cpu_text(program: Program) -> str:
    """The whole resident program for this machine's compiler."""
    brief = f"AC_FN bool ac_brief(ac_u32 kind) {{\n  switch (kind) {{\n{_brief(program)}"
    brief += "    default: return false;\n  }\n}\n"
    loop = resources.files(__package__).joinpath("resident_cpu.h").read_text()
    outbox = f"#define AC_OUTBOX {OUTBOX}u\n"
    text = (program.text("cpu"), abi_header(), kinds_text(program), brief, outbox, loop)
    return "\n".join(text)


def _brief(program: Program) -> str:
    """A case for each kind whose handler has no loop, so that many fit between two looks."""
    return "".join(
        f"    case {message.__gpu_kind__:#06x}: return true;\n"
        for message, function in zip(program.messages, program.functions, strict=True)
        if not any(op.name in LOOPS for op in walk(function.body))
    )
