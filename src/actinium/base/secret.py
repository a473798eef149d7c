"""Secrets: values that no log, error, repr or encoder shows."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NoReturn
from weakref import WeakValueDictionary

from actinium.errors import ConfigError, MissingCredentials

_SHOWN = "Secret(***)"
_LEAST: Final = 6
"""Characters of a value that is looked for in texts; a shorter one would hide common words."""

_living: WeakValueDictionary[int, Secret] = WeakValueDictionary()


class Secret:
    """A value such as an API key. Only :meth:`reveal` gives it away.

    ``source`` (for example ``env:OPENAI_API_KEY``) says where it came from and may be shown.
    JSON encoders refuse the type, and so does pickle.
    """

    __slots__ = ("__weakref__", "_value", "source")

    def __init__(self, value: str, source: str = "") -> None:
        self._value = value
        self.source = source
        _living[id(self)] = self

    def reveal(self) -> str:
        """The value itself: call this where it is used and nowhere else."""
        return self._value

    def matches(self, candidate: bytes) -> bool:
        """Whether ``candidate`` is this secret, in a time that does not tell how much fits."""
        return hmac.compare_digest(self._value.encode(), candidate)

    def __repr__(self) -> str:
        return _SHOWN

    def __str__(self) -> str:
        return _SHOWN

    def __format__(self, spec: str) -> str:
        return _SHOWN

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other.matches(self._value.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __bool__(self) -> bool:
        return bool(self._value)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret cannot be pickled or copied; resolve its source where it is used")


def hidden(text: str) -> str:
    """The text with ``***`` for the value of every Secret that this process holds."""
    found = [
        s._value for s in list(_living.values()) if s._value in text and len(s._value) >= _LEAST
    ]
    for value in sorted(found, key=len, reverse=True):  # one may be the beginning of another
        text = text.replace(value, "***")
    return text


def read_secret(reference: str, environ: Mapping[str, str]) -> Secret:
    """The secret that a reference names: ``env:NAME`` or ``file:PATH``.

    A file's last line end is not part of the secret. Raises MissingCredentials where the
    variable or file is absent or empty, ConfigError for any other reference. The text of the
    reference is not repeated in the latter case: people paste keys there by mistake.
    """
    scheme, colon, name = reference.partition(":")
    if not colon or not name or scheme not in ("env", "file"):
        raise ConfigError(
            "credentials: expected a reference 'env:NAME' or 'file:PATH', got a text of "
            f"{len(reference)} characters that is neither; put the key into a variable and "
            "write for example credentials = 'env:OPENAI_API_KEY'"
        )
    value = _from_environment(name, environ) if scheme == "env" else _from_file(name)
    if any(ord(c) < 33 or ord(c) > 126 for c in value):
        raise ConfigError(
            f"credentials {reference!r}: expected visible ASCII characters without spaces, "
            "got others; check for a line end or a quote in the value"
        )
    return Secret(value, reference)


def _from_environment(name: str, environ: Mapping[str, str]) -> str:
    value = environ.get(name, "")
    if not value:
        state = "empty" if name in environ else "not set"
        raise MissingCredentials(
            f"the environment variable {name} is {state}; set it, for example: export {name}=..."
        )
    return value


def _from_file(name: str) -> str:
    path = Path(name)
    try:
        value = path.read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise MissingCredentials(f"the key file {name!r} cannot be read: {reason}") from error
    except UnicodeDecodeError:
        raise ConfigError(f"the key file {name!r} is not UTF-8 text") from None
    if not value:
        raise MissingCredentials(f"the key file {name!r} is empty")
    return value
