"""On which line of a TOML text each key stands.

``tomllib`` tells what a document holds but not where. This scan of the same text finds the
lines, so that an error about a value can name its place. It runs after ``tomllib`` accepted
the text and relies on that: it checks nothing itself.
"""

from __future__ import annotations

import re
from bisect import bisect_right

Path = tuple[str | int, ...]
"""Keys and array indices from the root, for example ``("deployment", 0, "queue")``."""

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SCALAR = re.compile(r"[^,\]}#\n]*")


def positions(text: str) -> dict[Path, int]:
    """The line (from 1) of each key, table and array element of a valid TOML text."""
    return _Scan(text).run()


class _Scan:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._breaks = [i for i, c in enumerate(text) if c == "\n"]
        self._lines: dict[Path, int] = {}
        self._elements: dict[Path, int] = {}  # tables seen so far in each [[array]]

    def run(self) -> dict[Path, int]:
        table: Path = ()
        while self._skip_blank():
            if self._text.startswith("[[", self._at):
                table = self._header(2)
            elif self._text[self._at] == "[":
                table = self._header(1)
            else:
                self._pair(table)
        return self._lines

    def _header(self, brackets: int) -> Path:
        line = self._line()
        self._at += brackets
        keys = self._keys()
        self._at = self._text.index("]", self._at) + brackets
        path: Path = ()
        for key in keys[:-1]:
            path = self._inside((*path, key))
            self._lines.setdefault(path, line)
        path = (*path, keys[-1])
        if brackets == 2:
            self._lines.setdefault(path, line)
            self._elements[path] = self._elements.get(path, 0) + 1
            path = self._inside(path)
        self._lines.setdefault(path, line)
        return path

    def _inside(self, path: Path) -> Path:
        """A header speaks of the latest element of an array of tables."""
        count = self._elements.get(path)
        return path if count is None else (*path, count - 1)

    def _pair(self, table: Path) -> None:
        line = self._line()
        path = table
        for key in self._keys():
            path = (*path, key)
            self._lines.setdefault(path, line)
        self._at = self._text.index("=", self._at) + 1
        self._value(path)

    def _keys(self) -> list[str]:
        keys: list[str] = []
        while True:
            self._skip_blank()
            if self._text[self._at] in "\"'":
                begin = self._at
                self._string()
                keys.append(_unquote(self._text[begin : self._at]))
            else:
                match = _BARE.match(self._text, self._at)
                assert match is not None, "the text was accepted by tomllib"
                keys.append(match[0])
                self._at = match.end()
            self._skip_blank()
            if not self._text.startswith(".", self._at):
                return keys
            self._at += 1

    def _value(self, path: Path) -> None:
        self._skip_blank()
        match self._text[self._at]:
            case '"' | "'":
                self._string()
            case "[":
                self._array(path)
            case "{":
                self._inline_table(path)
            case _:
                scalar = _SCALAR.match(self._text, self._at)
                assert scalar is not None, "the pattern matches the empty text"
                self._at = scalar.end()

    def _array(self, path: Path) -> None:
        self._at += 1
        index = 0
        while self._next_item("]"):
            element = (*path, index)
            self._lines[element] = self._line()
            self._value(element)
            index += 1

    def _inline_table(self, path: Path) -> None:
        self._at += 1
        while self._next_item("}"):
            self._pair(path)

    def _next_item(self, end: str) -> bool:
        """Goes to the next item of a list, or behind its end."""
        self._skip_blank()
        if self._text[self._at] == ",":
            self._at += 1
            self._skip_blank()
        if self._text[self._at] == end:
            self._at += 1
            return False
        return True

    def _string(self) -> None:
        quote = self._text[self._at]
        mark = quote * 3 if self._text.startswith(quote * 3, self._at) else quote
        self._at += len(mark)
        while not self._text.startswith(mark, self._at):
            escaped = quote == '"' and self._text[self._at] == "\\"
            self._at += 2 if escaped else 1
        self._at += len(mark)
        if len(mark) == 3:  # up to two quotes may stand before the closing three
            for _ in range(2):
                self._at += self._text.startswith(quote, self._at)

    def _skip_blank(self) -> bool:
        """Skips blanks, line ends and comments; whether there is more."""
        match = _BLANK.match(self._text, self._at)
        assert match is not None, "the pattern matches the empty text"
        self._at = match.end()
        return self._at < len(self._text)

    def _line(self) -> int:
        return bisect_right(self._breaks, self._at - 1) + 1


def _unquote(literal: str) -> str:
    """The key a quoted key stands for."""
    import tomllib

    return next(iter(tomllib.loads(f"{literal} = 0")))
