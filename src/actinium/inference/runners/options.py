"""What the options of all remote runners have in common: how they are read and checked."""

from __future__ import annotations

import difflib
from typing import Any, Final, TypeVar

import msgspec

from actinium.errors import ConfigError

T = TypeVar("T", bound=msgspec.Struct)

_FRAMING: Final = frozenset(
    ("host", "content-length", "transfer-encoding", "connection", "content-type")
)


def decode_options(deployment: str, raw: dict[str, Any], kind: type[T]) -> T:
    """``Deployment.options`` as the runner's own class. Raises ConfigError naming the field."""
    known = kind.__struct_fields__
    for key in raw:
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(known)}"
            raise ConfigError(f"deployment {deployment!r}: unknown option {key!r}{hint}")
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        raise ConfigError(f"deployment {deployment!r}: options: {error}") from None


def check_headers(deployment: str, headers: dict[str, str], secret: frozenset[str]) -> None:
    """Refuses headers that frame the message or carry the key (``secret``, in lower case)."""
    for name, value in headers.items():
        plain = name.replace("-", "").replace("_", "")
        lower = name.lower()
        if not (plain.isascii() and plain.isalnum()) or lower in _FRAMING or lower in secret:
            raise ConfigError(
                f"deployment {deployment!r}: options.headers: {name!r} cannot be set here"
                + ("; the key belongs into credentials" if lower in secret else "")
            )
        if not all(32 <= ord(c) < 127 for c in value):
            raise ConfigError(
                f"deployment {deployment!r}: options.headers[{name!r}]: expected printable ASCII"
            )
