"""Messages written on a command line: ``Add amount=2 who=1``."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from actinium.gpu.layout.record import ArrayType, Record
from actinium.gpu.layout.scalar import Scalar

from ..failures import USAGE, CommandFailed


def parse(text: str, kinds: Sequence[type]) -> Any:
    """One message of one of these classes; an array is ``1,2,3``, what is left out its default."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise CommandFailed(f"message {text!r}: {error}", code=USAGE) from error
    by_name = {kind.__name__: kind for kind in kinds}
    kind = by_name.get(words[0]) if words else None
    if kind is None:
        raise CommandFailed(
            f"message {text!r} starts with none of {', '.join(by_name)}",
            f'such as: --message "{_example(kinds[0])}"',
            USAGE,
        )
    record: Record = kind.__gpu_record__  # type: ignore[attr-defined]
    values = {}
    for word in words[1:]:
        name, equals, value = word.partition("=")
        if not equals or name not in record.types:
            raise CommandFailed(
                f"message {text!r}: expected field=value with a field of "
                f"{', '.join(record.types)}; got {word!r}",
                code=USAGE,
            )
        values[name] = _value(f"{words[0]}.{name}", record.types[name], value)
    try:
        return kind(**values)
    except TypeError as error:
        raise CommandFailed(f"message {text!r}: {error}", code=USAGE) from error


def _example(kind: type) -> str:
    record: Record = kind.__gpu_record__  # type: ignore[attr-defined]
    return " ".join([kind.__name__, *(f"{field.name}=1" for field in record.fields)])


def _value(place: str, type_: Any, text: str) -> Any:
    if isinstance(type_, ArrayType):
        items = [_value(place, type_.element, item) for item in text.split(",")]
        if len(items) != type_.length:
            raise CommandFailed(
                f"{place} has {type_.length} elements, got {len(items)}", code=USAGE
            )
        return tuple(items)
    if not isinstance(type_, Scalar):
        raise CommandFailed(f"{place} is a record; a record cannot be written here", code=USAGE)
    try:
        if type_.kind == "b":
            return {"true": True, "false": False}[text.lower()]
        return float(text) if type_.is_float else int(text, 0)
    except (ValueError, KeyError):
        raise CommandFailed(f"{place} is {type_.name}, got {text!r}", code=USAGE) from None
