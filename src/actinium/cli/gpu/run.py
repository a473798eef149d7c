"""``actinium gpu run``: one actor, some messages, its replies."""

from __future__ import annotations

from typing import Any

import msgspec

from actinium.errors import Unavailable
from actinium.gpu.executors.native import NativeActor
from actinium.gpu.executors.oracle import OracleActor
from actinium.gpu.program import Program, compile

from ..admin.tables import show_json
from ..failures import USAGE, CommandFailed
from ..screen import Screen
from .load import programs_of
from .messages import parse


def run_file(
    screen: Screen, where: str, texts: list[str], backend: str, repeat: int, as_json: bool
) -> None:
    """Sends the messages in order, ``repeat`` times, and shows each reply and the last state."""
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
    actor, used = _actor(program, backend)
    replies = [actor.handle(message) for _ in range(repeat) for message in messages]
    if as_json:
        shown = {"backend": used, "replies": replies, "state": actor.state}
        show_json(screen, msgspec.to_builtins(shown, enc_hook=_plain))
        return
    for text, reply in zip(texts * repeat, replies, strict=True):
        screen.say_parts((text, "bold"), "  ->  ", repr(reply))
    screen.say(f"state after it, on {used}: {actor.state}", "dim")


def _plain(value: Any) -> Any:
    return vars(value)


def _actor(program: Program, backend: str) -> tuple[NativeActor | OracleActor, str]:
    if backend == "oracle":
        return OracleActor(program), "oracle"
    try:
        return NativeActor(program), "cpu"
    except Unavailable:
        if backend == "cpu":
            raise
    return OracleActor(program), "oracle"
