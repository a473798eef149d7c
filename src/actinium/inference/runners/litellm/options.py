"""What ``Deployment.options`` may hold for these runners."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from actinium.errors import ConfigError

from ..options import check_headers, decode_options


class LibraryOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of one model of the library.

    ``api_version`` and ``params`` go to ``litellm.acompletion`` as they are: what a provider needs
    beside a key, such as ``{"aws_region_name": "eu-west-1"}``.
    """

    api_version: str | None = None
    params: dict[str, Any] = {}


_OURS: Final = frozenset(("model", "messages", "stream", "api_key", "num_retries", "max_retries"))


def read_library_options(deployment: str, raw: dict[str, Any]) -> LibraryOptions:
    """The options of a deployment. Raises ConfigError naming the field."""
    options = decode_options(deployment, raw, LibraryOptions)
    for name in options.params:
        if name in _OURS:
            raise ConfigError(f"deployment {deployment!r}: options.params: {name!r} is set here")
    return options


class ProxyOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of one proxy: ``tags`` go with every call, for its routing and its bills; the
    others are those of an OpenAI-compatible server."""

    tags: tuple[str, ...] = ()
    insecure: bool = False
    headers: dict[str, str] = {}
    ca_file: str | None = None


def read_proxy_options(deployment: str, raw: dict[str, Any]) -> ProxyOptions:
    """The options of a deployment. Raises ConfigError naming the field."""
    options = decode_options(deployment, raw, ProxyOptions)
    check_headers(deployment, options.headers, frozenset(("authorization",)))
    for tag in options.tags:
        if not tag or "," in tag or not all(32 < ord(c) < 127 for c in tag):
            raise ConfigError(
                f"deployment {deployment!r}: options.tags: expected words of visible ASCII without "
                f"commas, got {tag[:40]!r}"
            )
    return options
