"""The declarative description of one served model."""

from __future__ import annotations

import re
from typing import Any, Literal

import msgspec

from actinium.errors import ConfigError

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


class Timeouts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Seconds: to connect, to the first event, between events, and for the whole answer."""

    connect: float = 5.0
    first_byte: float = 60.0
    inter_chunk: float = 30.0
    total: float = 600.0


class Deployment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One model under one public name.

    ``model`` is the upstream's name or ``"embedded"``; ``runtime`` is ``"onnx"``, ``"openai"``,
    ``"gemini"`` or ``"vertex"`` (None: chosen from the model). ``credentials`` is a secret
    reference such as ``"env:OPENAI_API_KEY"``. At most ``max_concurrent`` requests run and
    ``queue`` more wait, each at most ``queue_timeout`` seconds; the next one is refused at once.
    """

    name: str
    model: str = "embedded"
    runtime: Literal["onnx", "openai", "gemini", "vertex"] | None = None
    base_url: str | None = None
    credentials: str | None = None
    aliases: tuple[str, ...] = ()
    max_concurrent: int = 256
    queue: int = 1024
    queue_timeout: float = 30.0
    timeouts: Timeouts = Timeouts()
    options: dict[str, Any] = {}

    def __post_init__(self) -> None:
        for name in (self.name, *self.aliases):
            if not _NAME.fullmatch(name):
                raise ConfigError(
                    f"deployment name {name!r}: expected 1-63 of a-z, 0-9, '.', '_', '-', "
                    "starting with a letter or digit"
                )
        for field in ("max_concurrent", "queue_timeout"):
            if getattr(self, field) <= 0:
                raise ConfigError(
                    f"deployment {self.name!r}: {field} must be above 0, "
                    f"got {getattr(self, field)!r}"
                )
        if self.queue < 0:
            raise ConfigError(f"deployment {self.name!r}: queue must be 0 or more")
