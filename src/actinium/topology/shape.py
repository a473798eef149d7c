"""A TOML table -> a typed struct, with errors that name file, line, path and what to write."""

from __future__ import annotations

import json
import math
import re
import types
from typing import Any, Final, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from .positions import Path
from .source import Source, shown

S = TypeVar("S", bound=msgspec.Struct)

_AT = re.compile(r"(.*) - at `\$(.*)`", re.DOTALL)
_PIECE = re.compile(r"\.([^.\[]+)|\[(\d+)\]")
_GREATEST: Final = 2**31 - 1


def decode(source: Source, path: Path, value: Any, kind: type[S]) -> S:
    """The table at ``path`` as a ``kind``. Raises ConfigError, and nothing else."""
    if not isinstance(value, dict):
        raise source.error(path, f"{shown(path)}: expected a table, got {toml_type(value)}")
    _check_keys(source, path, value, kind)
    _check_numbers(source, path, value)
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        text, inner = _split(str(error))
        at = (*path, *inner)
        if text.startswith("Expected "):
            text = f"{shown(at)}: e{text[1:]}{_example(kind, inner)}"
        elif text.startswith(("Invalid ", "Object missing")):
            text = f"{shown(at)}: {text[0].lower()}{text[1:]}"
        elif match := re.match(rf"{re.escape(shown(path))}\.(\w+): ", text):
            at = (*path, match[1])  # a rule of the struct that names its field
        raise source.error(at, text) from None


def _check_keys(source: Source, path: Path, table: dict[str, Any], kind: type[Any]) -> None:
    fields = get_type_hints(kind)
    for key, value in table.items():
        if key not in fields:
            raise source.unknown((*path, key), kind.__struct_fields__)
        inner = _struct_in(fields[key])
        if inner is not None and isinstance(value, dict):
            _check_keys(source, (*path, key), value, inner)


def _struct_in(hint: Any) -> type[msgspec.Struct] | None:
    """The struct that a field holds, optional or not."""
    union = get_origin(hint) in (Union, types.UnionType)
    for choice in get_args(hint) if union else (hint,):
        if isinstance(choice, type) and issubclass(choice, msgspec.Struct):
            return choice
    return None


def _check_numbers(source: Source, path: Path, value: Any) -> None:
    """Refuses numbers nobody can mean, before they reach code that computes with them."""
    match value:
        case dict():
            for key, item in value.items():
                _check_numbers(source, (*path, key), item)
        case list():
            for index, item in enumerate(value):
                _check_numbers(source, (*path, index), item)
        case float() if not math.isfinite(value):
            raise source.error(path, f"{shown(path)}: expected a finite number, got {value}")
        case int() if abs(value) > _GREATEST:
            raise source.error(path, f"{shown(path)}: expected a number of at most {_GREATEST}")


def _split(text: str) -> tuple[str, Path]:
    """What msgspec says, and the path it names."""
    match = _AT.fullmatch(text)
    if match is None:
        return text, ()
    pieces: list[str | int] = []
    for name, index in _PIECE.findall(match[2]):
        pieces.append(name or int(index))
    return match[1], tuple(pieces)


def _example(kind: type[msgspec.Struct], inner: Path) -> str:
    """``; write for example queue = 1024``, from the field's default."""
    struct: Any = kind
    default: Any = None
    for name in inner:
        if struct is None:
            break
        field = next((f for f in msgspec.structs.fields(struct) if f.name == name), None)
        if field is None:
            break
        default = field.default
        struct = _struct_in(get_type_hints(struct)[field.name])
    if isinstance(default, str | int | float):
        return f"; write for example {inner[-1]} = {json.dumps(default)}"
    return ""


def toml_type(value: Any) -> str:
    """What TOML calls a value of this type."""
    names = {dict: "a table", list: "an array", str: "a string", bool: "a boolean"}
    names |= {int: "an integer", float: "a float"}
    return names.get(type(value), "a date or time")
