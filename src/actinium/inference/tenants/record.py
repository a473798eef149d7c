"""Keys as they are stored: what they may do, and hashes of their secrets."""

from __future__ import annotations

import hashlib
import secrets
from typing import Final

import msgspec

from actinium.base.secret import Secret

from .policy import KeySpec

PREFIX: Final = "gateway/key/"
"""Where the records lie in the store."""

_ID_BYTES: Final = 5
_SECRET_BYTES: Final = 24  # 192 bits: no need to hash slowly what nobody can guess
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz234567"


class Hash(msgspec.Struct, frozen=True):
    """SHA-256 of a secret, in hexadecimal digits; ``until`` (Unix time) is the end of one that
    was replaced."""

    sha256: str
    until: float | None = None


class KeyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One key. The first of ``hashes`` is that of now. ``created`` is Unix time.

    ``declared`` keys stand in the configuration and nowhere else.
    """

    id: str
    spec: KeySpec
    created: float
    hashes: tuple[Hash, ...]
    disabled: bool = False
    declared: bool = False

    @property
    def expires(self) -> float | None:
        """Unix time from which on it is refused."""
        return self.spec.expires.timestamp() if self.spec.expires is not None else None


def new_id() -> str:
    """Eight letters and digits: what names a key in lists, logs and accounts."""
    number = int.from_bytes(secrets.token_bytes(_ID_BYTES))
    return "".join(_LETTERS[number >> 5 * place & 31] for place in range(8))


def new_secret(id: str) -> Secret:
    """The key itself. It holds its id, so that one that was found somewhere can be disabled."""
    return Secret(f"ac_{id}_{secrets.token_hex(_SECRET_BYTES)}", f"key {id}")


def digest(key: bytes) -> bytes:
    """What a key is looked up by: whoever measures the look-up learns of the hash and not of the
    key."""
    return hashlib.sha256(key).digest()


def hash_of(secret: Secret) -> Hash:
    """What is stored of a secret."""
    return Hash(digest(secret.reveal().encode()).hex())
