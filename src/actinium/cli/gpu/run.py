"""``actinium gpu run``: one actor, some messages, its replies."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from actinium.core import System
from actinium.gpu.program import Program, compile
from actinium.gpu.runtime.runtime import Runtime

from ..admin.tables import show_json
from ..failures import USAGE, CommandFailed
from ..screen import Screen
from .load import programs_of
from .messages import parse

_PATIENCE_S = 30.0


def run_file(
    screen: Screen, where: str, texts: list[str], backend: str, repeat: int, as_json: bool
) -> None:
    """Asks the messages in order, ``repeat`` times, and shows each reply."""
    found = [what for what in programs_of(where) if hasattr(what, "__gpu_actor__")]
    if len(found) != 1:
        names = ", ".join(what.__name__ for what in found) or "none"
        raise CommandFailed(
            f"{where} must name one actor; found {names}", "write FILE.py:CLASS", USAGE
        )
    program = compile(found[0])
    messages = [parse(text, program.messages) for text in texts]
    if not messages:
        raise CommandFailed(
            f"{program.name} is sent nothing",
            f"give --message; it takes {', '.join(m.__name__ for m in program.messages)}",
            USAGE,
        )
    replies, used = asyncio.run(_asked(program, messages * repeat, backend))
    if as_json:
        show_json(screen, msgspec.to_builtins({"backend": used, "replies": replies}, enc_hook=vars))
        return
    for text, reply in zip(texts * repeat, replies, strict=True):
        screen.say_parts((text, "bold"), "  ->  ", repr(reply))
    screen.say(f"on the backend {used}", "dim")


async def _asked(program: Program, messages: Sequence[Any], backend: str) -> tuple[list[Any], str]:
    """The replies, and the backend that gave them."""
    async with System() as system:
        runtime = Runtime(system, backend=backend)
        (ref,) = await runtime.launch(program)
        replies = [await ref.ask(message, _PATIENCE_S) for message in messages]
        await runtime.close()
    return replies, runtime.backend
