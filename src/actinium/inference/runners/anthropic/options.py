"""What ``Deployment.options`` may hold for this runner."""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from actinium.errors import ConfigError

from ..options import check_headers, decode_options


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of one server of the Messages API.

    ``max_tokens`` is the output limit of requests that name none, since the wire needs one.
    ``auth`` says how the key is sent: ``x-api-key``, or ``bearer`` for auth tokens; None means
    what fits its source. ``version`` and ``beta`` are the headers ``anthropic-version`` and
    ``anthropic-beta``. ``system_messages`` says that the model takes system messages within the
    conversation; otherwise later ones are sent as the user's text. ``headers`` are sent with
    every call, ``insecure`` allows plain http to another machine, ``ca_file`` names further
    trusted certificate authorities (PEM).
    """

    max_tokens: int = 4096
    auth: Literal["x-api-key", "bearer"] | None = None
    version: str = "2023-06-01"
    beta: tuple[str, ...] = ()
    system_messages: bool = False
    headers: dict[str, str] = {}
    insecure: bool = False
    ca_file: str | None = None


_SECRET: Final = frozenset(("authorization", "x-api-key"))
_OURS: Final = {"anthropic-version": "version", "anthropic-beta": "beta"}


def read_options(deployment: str, raw: dict[str, Any]) -> Options:
    """The options of a deployment. Raises ConfigError naming the field."""
    options = decode_options(deployment, raw, Options)
    if options.max_tokens < 1:
        raise ConfigError(
            f"deployment {deployment!r}: options.max_tokens must be 1 or more, "
            f"got {options.max_tokens}"
        )
    check_headers(deployment, options.headers, _SECRET)
    for name in options.headers:
        if (field := _OURS.get(name.lower())) is not None:
            raise ConfigError(
                f"deployment {deployment!r}: options.headers: {name!r} cannot be set here; "
                f"write options.{field}"
            )
    for text in (options.version, *options.beta):
        if not all(32 <= ord(c) < 127 for c in text):
            raise ConfigError(
                f"deployment {deployment!r}: options.version and options.beta: expected printable "
                "ASCII"
            )
    return options
