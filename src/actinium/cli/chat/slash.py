"""What a typed line means: a command or something to say."""

from __future__ import annotations

from typing import Final

import msgspec

from actinium.errors import UsageError

COMMANDS: Final = {
    "/help": "shows this",
    "/new": "starts a new conversation; nothing of it is stored",
    "/session [NAME]": "goes on with the stored session NAME; without NAME: which there are",
    "/history": "shows the conversation so far",
    "/system [TEXT]": "sets the instructions for the model; without TEXT: shows them",
    "/model [NAME]": "talks to another model; without NAME: which there are",
    "/quit": "leaves, like Ctrl-D",
}
_NAMES: Final = tuple(line.split()[0] for line in COMMANDS)
_TAKES_MORE: Final = frozenset(line.split()[0] for line in COMMANDS if " " in line)


class Say(msgspec.Struct, frozen=True):
    """A text for the model."""

    text: str


class Command(msgspec.Struct, frozen=True):
    """A slash command and what follows it."""

    name: str
    argument: str = ""


def parse(line: str) -> Say | Command | None:
    """The meaning of a line; None for an empty one.

    A text that must begin with a slash is written with two. Raises UsageError for commands that
    do not exist, with the nearest one that does, and for arguments where none belong.
    """
    text = line.strip()
    if not text:
        return None
    if not text.startswith("/") or text.startswith("//"):
        return Say(text.removeprefix("/") if text.startswith("//") else text)
    name, _, argument = text.partition(" ")
    if name not in _NAMES:
        import difflib

        near = difflib.get_close_matches(name, _NAMES, 1)
        hint = f"did you mean {near[0]}?" if near else "/help lists what there is"
        raise UsageError(f"there is no command {name!r}; {hint}")
    argument = argument.strip()
    if argument and name not in _TAKES_MORE:
        raise UsageError(f"{name} takes nothing after it, got {argument!r}")
    return Command(name, argument)


def check_session(name: str) -> str:
    """The name itself. Raises UsageError unless it can name a session."""
    if not (0 < len(name) <= 128 and name.isascii() and name.isprintable()):
        raise UsageError(
            f"a session's name: expected 1 to 128 printable ASCII characters, got {name[:40]!r}"
        )
    return name


def help_lines() -> list[str]:
    """The table that /help prints."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {text}" for name, text in COMMANDS.items()]
    return [*lines, "", "  Ctrl-C stops an answer, Ctrl-D leaves. A line like //x says /x."]
