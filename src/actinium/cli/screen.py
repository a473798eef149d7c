"""Where a command writes: results to stdout, everything else to stderr."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.text import Text


class Screen:
    """The two consoles of a command.

    On a terminal there are colours and a progress bar; elsewhere plain lines only. Lines are
    never wrapped, so that a command shown can be copied. ``NO_COLOR`` is honoured.
    """

    def __init__(self) -> None:
        self.out = Console(file=sys.stdout, soft_wrap=True, highlight=False)
        self.err = Console(file=sys.stderr, soft_wrap=True, highlight=False)

    @property
    def live(self) -> bool:
        """Whether a person looks at it."""
        return self.out.is_terminal and self.err.is_terminal

    def say(self, text: str = "", style: str = "") -> None:
        """A line of the result."""
        self.out.print(Text(text, style=style))

    def say_parts(self, *parts: str | tuple[str, str]) -> None:
        """A line of the result from plain pieces and pairs of a text and its style."""
        self.out.print(Text.assemble(*parts))

    def fail(self, text: str, hint: str = "") -> None:
        """Why the command failed, and what to do."""
        self.err.print(Text.assemble(("error: ", "bold red"), text))
        if hint:
            self.err.print(Text.assemble(("hint: ", "cyan"), hint))
