"""Checks of arguments that all stores share, so that they refuse the same calls alike."""

from __future__ import annotations

from collections.abc import Sequence

from actinium.errors import SequenceConflict, UsageError

MAX_KEY = 512
MAX_VALUE = 256 << 20
MAX_NUMBER = 2**63 - 1


def check_key(key: str) -> None:
    """Refuse what is not text of 1 to 512 bytes in UTF-8."""
    if not isinstance(key, str):
        raise UsageError(f"a store key is text, got {type(key).__name__}: {key!r}")
    size = _utf8_size(key, "a store key")
    if not 1 <= size <= MAX_KEY:
        raise UsageError(f"a store key has 1 to {MAX_KEY} bytes in UTF-8, got {size}: {key[:40]!r}")


def check_prefix(prefix: str) -> None:
    """Refuse what no key can begin with."""
    if not isinstance(prefix, str):
        raise UsageError(f"a prefix of keys is text, got {type(prefix).__name__}: {prefix!r}")
    _utf8_size(prefix, "a prefix of keys")


def check_value(value: bytes) -> None:
    """Refuse what is not ``bytes`` or is too large."""
    if not isinstance(value, bytes):
        raise UsageError(
            f"a stored value is bytes, got {type(value).__name__}; encode it first, for example "
            "with msgspec.msgpack.encode(value)"
        )
    if len(value) > MAX_VALUE:
        raise UsageError(f"a stored value has at most {MAX_VALUE} bytes, got {len(value)}")


def check_items(items: Sequence[bytes]) -> None:
    """Refuse what is not a sequence of values."""
    if isinstance(items, bytes | bytearray | str) or not isinstance(items, Sequence):
        raise UsageError(
            f"append takes a list of bytes, got {type(items).__name__}; for one item write [item]"
        )
    for item in items:
        check_value(item)


def check_number(name: str, number: int, least: int = 0) -> None:
    """Refuse what is not a sequence number, revision or count."""
    if not isinstance(number, int) or isinstance(number, bool):
        raise UsageError(f"{name} is an integer, got {type(number).__name__}: {number!r}")
    if not least <= number <= MAX_NUMBER:
        raise UsageError(f"{name} is at least {least} and below 2**63, got {number}")


def conflict(what: str, key: str, expected: int, found: int) -> SequenceConflict:
    """The error for a write that came second."""
    return SequenceConflict(
        f"{what} {key!r}: the write expected {expected}, found {found}: another writer was first; "
        "read it again and decide anew",
        expected=expected,
        found=found,
    )


def _utf8_size(text: str, what: str) -> int:
    try:
        return len(text.encode())
    except UnicodeEncodeError as error:
        raise UsageError(f"{what} must be valid Unicode, got a lone surrogate: {text!r}") from error
