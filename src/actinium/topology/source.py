"""One TOML file: its content, and its errors with file and line."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path as FilePath
from typing import Any, Final

from actinium.errors import ConfigError

from .positions import Path, positions

_MOST_BYTES: Final = 1024 * 1024
_BARE = re.compile(r"[A-Za-z0-9_-]{1,60}")
_PLACE = re.compile(r"(.*) \(at line (\d+), column (\d+)\)", re.DOTALL)
_AT_END = re.compile(r"(.*) \(at end of document\)", re.DOTALL)


class Source:
    """A parsed text. ``table`` is its content as plain data, ``name`` its file's name.

    Raises ConfigError with file and line where the text is not TOML.
    """

    def __init__(self, text: str, name: str) -> None:
        self.name = name
        text = text.replace("\r\n", "\n")
        try:
            self.table: dict[str, Any] = tomllib.loads(text)
            self._lines = positions(text)
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"{name}:{_syntax(str(error), text)}") from None
        except RecursionError:
            raise ConfigError(f"{name}: values are nested too deeply") from None
        except ValueError as error:  # a number of thousands of digits
            raise ConfigError(f"{name}: {error}") from None

    @classmethod
    def read(cls, path: FilePath) -> Source:
        """Reads a file. Raises ConfigError where it cannot be read or is not UTF-8."""
        try:
            raw = path.read_bytes()
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise ConfigError(f"{path}: cannot be read: {reason}") from error
        if len(raw) > _MOST_BYTES:
            raise ConfigError(f"{path}: has {len(raw)} bytes; a configuration has at most 1 MiB")
        try:
            text = raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = raw.count(b"\n", 0, error.start) + 1
            raise ConfigError(f"{path}:{line}: expected UTF-8 text, got byte 0x"
                              f"{raw[error.start]:02x}") from None  # fmt: skip
        return cls(text, str(path))

    def line(self, path: Path) -> int | None:
        """The line of a key, or of the nearest table around it."""
        for length in range(len(path), 0, -1):
            if (found := self._lines.get(path[:length])) is not None:
                return found
        return None

    def where(self, path: Path) -> str:
        """``file:line`` of a key."""
        line = self.line(path)
        return self.name if line is None else f"{self.name}:{line}"

    def error(self, path: Path, text: str) -> ConfigError:
        """An error about the value at ``path``."""
        return ConfigError(f"{self.where(path)}: {text}")

    def unknown(self, path: Path, known: Iterable[str], what: str = "key") -> ConfigError:
        """An error about a key that does not exist, with the nearest one that does."""
        known = tuple(known)
        key = str(path[-1])
        near = difflib.get_close_matches(key, known, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
        inside = f" in {shown(path[:-1])}" if len(path) > 1 else ""
        return self.error(path, f"unknown {what} {_short(key)!r}{inside}; {hint}")


def shown(path: Path) -> str:
    """A path as people write it: ``deployment[0].timeouts.connect``."""
    text = ""
    for piece in path:
        if isinstance(piece, int):
            text += f"[{piece}]"
        else:
            text += f".{piece}" if _BARE.fullmatch(piece) else f".{_short(piece)!r}"
    return text.removeprefix(".")


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."


def _syntax(text: str, source: str) -> str:
    """``line:column: not TOML: reason`` from what tomllib says."""
    if match := _PLACE.fullmatch(text):
        return f"{match[2]}:{match[3]}: not valid TOML: {match[1]}"
    if match := _AT_END.fullmatch(text):
        return f"{source.count(chr(10)) + 1}: not valid TOML: {match[1]} at the end of the file"
    return f" not valid TOML: {text}"
