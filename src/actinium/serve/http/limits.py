"""What a client may send and how long it may take."""

from __future__ import annotations

import msgspec

from actinium.errors import ConfigError


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bytes and seconds. Raises ConfigError for values that are not above 0.

    ``head_seconds`` and ``body_seconds`` run from the first byte of a request's head or body
    to its last; ``idle_seconds`` is how long a connection may wait between requests;
    ``stall_seconds`` how long a reader may take nothing of what waits for it; ``alive_seconds``
    the pause after which a stream that has nothing to say sends a comment. ``pipeline`` is the
    number of requests that may wait on one connection behind the one that is answered.
    """

    head_bytes: int = 64 * 1024
    headers: int = 128
    body_bytes: int = 32 * 1024 * 1024
    connections: int = 4096
    pipeline: int = 16
    write_bytes: int = 256 * 1024
    head_seconds: float = 10.0
    body_seconds: float = 60.0
    idle_seconds: float = 75.0
    stall_seconds: float = 30.0
    alive_seconds: float = 15.0

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            if getattr(self, name) <= 0:
                raise ConfigError(f"limits.{name} must be above 0, got {getattr(self, name)!r}")
