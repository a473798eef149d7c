"""What tenants and keys may do. Data only."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from actinium.errors import ConfigError

from ..limits.policy import Budget, Priority

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_HASH: Final = re.compile(r"[0-9a-f]{64}")

Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
_Count = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Pattern = Annotated[str, Meta(min_length=1, max_length=128)]


class KeyLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much a tenant or a key may use: requests and tokens in any 60 seconds, and requests at
    once (None: as much as it likes). What is over them is refused, and does not wait."""

    rpm: _Count | None = None
    tpm: _Count | None = None
    concurrent: _Count | None = None

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"limits.{name} must be 1 or more, got {value!r}")


class Tenant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all keys of one tenant may do together.

    ``models`` are the public names they may use, as patterns with ``*`` and ``?``. ``weight`` is
    the tenant's share where requests of several wait for a deployment's limits.
    """

    name: str
    models: tuple[Pattern, ...] = ("*",)
    limits: KeyLimits | None = None
    budget: Budget | None = None
    weight: float = 1.0

    def __post_init__(self) -> None:
        check_name("tenant", self.name)
        if self.weight <= 0:
            raise ConfigError(f"tenant {self.name!r}: weight must be above 0, got {self.weight!r}")


class KeySpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a new key shall be: its limits and its budget hold beside those of its tenant.

    ``models`` are patterns of public names; the tenant's hold as well. ``priority`` is the share of
    its requests among those that wait. It is refused from ``expires`` on (None: never).
    """

    name: Name
    tenant: Name = "default"
    models: Annotated[tuple[Pattern, ...], Meta(min_length=1, max_length=64)] = ("*",)
    limits: KeyLimits | None = None
    budget: Budget | None = None
    priority: Priority = "normal"
    expires: Annotated[datetime, Meta(tz=True)] | None = None

    def __post_init__(self) -> None:
        check_name("key", self.name)
        check_name("tenant", self.tenant)
        if self.expires is not None and self.expires.tzinfo is None:
            raise ConfigError(
                f"key {self.name!r}: expires needs a time zone, as in 2027-01-31T00:00:00Z"
            )


class DeclaredKey(KeySpec, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key that the configuration declares: by ``secret``, a reference such as ``"env:ACME_KEY"``
    or ``"file:PATH"``, or by ``sha256``, the hash of the key in hexadecimal digits."""

    secret: str | None = None
    sha256: str | None = None
    disabled: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.secret is None) == (self.sha256 is None):
            raise ConfigError(
                f"key {self.name!r}: give either secret = 'env:NAME' (or 'file:PATH') or "
                "sha256 = '...', the hash of the key"
            )
        if self.secret is not None and not self.secret.startswith(("env:", "file:")):
            raise ConfigError(  # without its text: it may be the key itself
                f"key {self.name!r}: secret: expected a reference 'env:NAME' or 'file:PATH', got a "
                "text that is neither; put the key into a variable and name that"
            )
        if self.sha256 is not None and not _HASH.fullmatch(self.sha256):
            raise ConfigError(
                f"key {self.name!r}: sha256: expected 64 hexadecimal digits in lower case, got "
                f"{len(self.sha256)} characters; make them with: printf %s KEY | sha256sum"
            )


def check_name(what: str, name: str) -> None:
    """Raises ConfigError for what is no name of a tenant or a key."""
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{what} name {name[:64]!r}: expected 1-63 of a-z, 0-9, '.', '_', '-', starting with a "
            "letter or digit"
        )
