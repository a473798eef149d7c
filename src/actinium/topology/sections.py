"""The sections ``[system]`` and ``[gateway]`` of ``actinium.toml``."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from actinium.base.tls import Tls
from actinium.core import PhaseLimits, Settings
from actinium.errors import ConfigError

_USUAL = Settings()

MOST_WORKERS: Final = 256


class SystemSection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The actor system. Fields but ``name`` and ``store`` are those of ``actinium.Settings``.

    ``store`` is where sessions are kept: a path (relative to the file), ``"memory"`` (until the
    process ends), ``"none"`` (no sessions), or None: the usual place of this user.
    """

    name: str = "actinium"
    store: str | None = None
    slice_us: int = _USUAL.slice_us
    batch: int = _USUAL.batch
    ask_timeout: float = _USUAL.ask_timeout
    drain_timeout: float = _USUAL.drain_timeout
    dead_letters: int = _USUAL.dead_letters
    dead_letter_bytes: int = _USUAL.dead_letter_bytes
    dead_letter_age: float = _USUAL.dead_letter_age
    dead_letter_keep: Literal["whole", "meta"] = _USUAL.dead_letter_keep
    dead_letter_spool: int = _USUAL.dead_letter_spool
    max_live: int | None = _USUAL.max_live
    memory_limit: int = _USUAL.memory_limit
    on_fatal: Literal["shutdown", "stop_branch"] = _USUAL.on_fatal
    hook_timeout: float = _USUAL.hook_timeout
    watchdog: float = _USUAL.watchdog
    phase_limits: PhaseLimits = _USUAL.phase_limits

    def __post_init__(self) -> None:
        for field in ("slice_us", "batch", "ask_timeout", "hook_timeout"):
            if getattr(self, field) <= 0:
                raise ConfigError(
                    f"system.{field}: expected a number above 0, got {getattr(self, field)!r}"
                )
        for field in ("drain_timeout", "dead_letters"):
            if getattr(self, field) < 0:
                raise ConfigError(
                    f"system.{field}: expected 0 or more, got {getattr(self, field)!r}"
                )
        if self.store == "":
            raise ConfigError('system.store: expected a path, "memory" or "none", got ""')

    def settings(self) -> Settings:
        """What the actor system is made with."""
        return Settings(
            slice_us=self.slice_us,
            batch=self.batch,
            ask_timeout=self.ask_timeout,
            drain_timeout=self.drain_timeout,
            dead_letters=self.dead_letters,
            dead_letter_bytes=self.dead_letter_bytes,
            dead_letter_age=self.dead_letter_age,
            dead_letter_keep=self.dead_letter_keep,
            dead_letter_spool=self.dead_letter_spool,
            max_live=self.max_live,
            memory_limit=self.memory_limit,
            on_fatal=self.on_fatal,
            hook_timeout=self.hook_timeout,
            watchdog=self.watchdog,
            phase_limits=self.phase_limits,
        )


class AdminSection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The admin API. ``token`` is a secret reference. With ``port`` it has an address of its own
    (0: any free port), else it is below ``/admin`` of the gateway's."""

    token: str
    host: str = "127.0.0.1"
    port: int | None = None

    def __post_init__(self) -> None:
        if not self.token.startswith(("env:", "file:")):
            raise ConfigError(  # without its text: it may be the token itself
                "gateway.admin.token: expected a reference 'env:NAME' or 'file:PATH', got a text "
                "that is neither; put the token into a variable and write for example "
                'token = "env:ACTINIUM_ADMIN_TOKEN"'
            )
        if self.port is not None and not 0 <= self.port <= 65535:
            raise ConfigError(
                f"gateway.admin.port: expected 0 to 65535 (0: any free one), got {self.port}"
            )


class GatewaySection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the gateway listens and who may use it.

    ``port`` 0 is any free one. ``api_key`` is a secret reference (``"env:NAME"`` or
    ``"file:PATH"``), never the key. ``insecure`` allows an address that other machines reach
    without a key. ``drain`` is how many seconds answers may still take after a stop signal.
    ``tls`` makes it https; its paths are relative to the file. ``workers`` is how many processes
    serve behind the port. With ``keys`` only holders of virtual keys may use it (None: where the
    file declares keys or tenants, or there is an admin API); ``admin`` is that API.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    api_key: str | None = None
    insecure: bool = False
    drain: float = 30.0
    tls: Tls | None = None
    workers: int = 1
    keys: bool | None = None
    admin: AdminSection | None = None

    def __post_init__(self) -> None:
        if not self.host:
            raise ConfigError('gateway.host: expected an address such as "127.0.0.1", got ""')
        if not 0 <= self.port <= 65535:
            raise ConfigError(
                f"gateway.port: expected 0 to 65535 (0: any free one), got {self.port}"
            )
        if self.api_key is not None and not self.api_key.startswith(("env:", "file:")):
            raise ConfigError(  # without its text: it may be the key itself
                "gateway.api_key: expected a reference 'env:NAME' or 'file:PATH', got a text that "
                "is neither; put the key into a variable and write for example "
                'api_key = "env:ACTINIUM_API_KEY"'
            )
        if self.drain < 0:
            raise ConfigError(f"gateway.drain: expected 0 seconds or more, got {self.drain!r}")
        if not 1 <= self.workers <= MOST_WORKERS:
            raise ConfigError(
                f"gateway.workers: expected 1 to {MOST_WORKERS} processes, got {self.workers}; "
                "as many as there are cores is usual"
            )
