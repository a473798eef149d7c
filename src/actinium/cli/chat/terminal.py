"""Lines in, pieces of text out."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Final

from ..places import make_private_folder
from ..screen import Screen

_log = logging.getLogger("actinium.cli.chat")
_MOST_LINES: Final = 1000

# What a model writes must not move the cursor, change the title or hide text.
_HIDDEN: Final = {c: None for c in (*range(32), *range(127, 160)) if chr(c) not in "\n\t"}


class Terminal:
    """Reads lines with editing and a history that is kept in ``file``; prints as text comes."""

    def __init__(self, screen: Screen, file: Path) -> None:
        self.screen = screen
        self.live = screen.live and sys.stdin.isatty()
        self._file = file

    def read(self) -> str:
        """The next line. Raises EOFError at the end of input, KeyboardInterrupt for Ctrl-C."""
        if self.live:
            return _clean(input("> "))
        line = sys.stdin.readline()
        if not line:
            raise EOFError
        return _clean(line)

    def write(self, piece: str) -> None:
        """A piece of an answer, at once."""
        self.screen.out.file.write(piece.translate(_HIDDEN))
        self.screen.out.file.flush()

    def gap(self) -> None:
        """An empty line before the next prompt, where a person reads."""
        if self.live:
            self.write("\n")

    def note(self, text: str) -> None:
        """A remark beside the conversation; it does not get into a piped answer."""
        self.screen.err.print(text, style="dim", markup=False)

    def begin(self) -> None:
        """Loads the history of lines, for the arrow keys."""
        if not self.live:
            return
        import readline

        readline.set_history_length(_MOST_LINES)
        try:
            if self._file.exists():
                readline.read_history_file(self._file)
        except OSError as error:
            _log.info("the history of lines cannot be read: %s", error)

    def end(self) -> None:
        """Keeps the history of lines, readable by this user only."""
        if not self.live:
            return
        import readline

        try:
            make_private_folder(self._file.parent)
            self._file.touch(mode=0o600)
            readline.write_history_file(self._file)
        except OSError as error:
            _log.warning("the history of lines cannot be kept: %s", error)


def _clean(line: str) -> str:
    """The line with bytes that were no UTF-8 replaced: half a character cannot be sent on."""
    return line.encode("utf-8", "replace").decode()
