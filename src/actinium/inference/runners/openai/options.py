"""What ``Deployment.options`` may hold for this runner."""

from __future__ import annotations

import difflib
from typing import Any, Literal

import msgspec

from actinium.errors import ConfigError


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of one OpenAI-compatible server.

    ``insecure`` allows plain http to another machine. ``headers`` are sent with every call;
    ``organization`` and ``project`` are OpenAI's own. ``token_field`` is the name the server
    knows the output limit by: api.openai.com wants ``max_completion_tokens``, most others only
    know ``max_tokens`` (the default for them). ``include_usage=False`` leaves out
    ``stream_options`` for servers that refuse it; their streams then carry no usage.
    ``ca_file`` names further trusted certificate authorities (PEM).
    """

    insecure: bool = False
    headers: dict[str, str] = {}
    organization: str | None = None
    project: str | None = None
    token_field: Literal["max_tokens", "max_completion_tokens"] | None = None
    include_usage: bool = True
    ca_file: str | None = None


_RESERVED = frozenset(
    ("host", "content-length", "transfer-encoding", "connection", "content-type", "authorization")
)


def read_options(deployment: str, raw: dict[str, Any]) -> Options:
    """The options of a deployment. Raises ConfigError naming the field."""
    known = Options.__struct_fields__
    for key in raw:
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(known)}"
            raise ConfigError(f"deployment {deployment!r}: unknown option {key!r}{hint}")
    try:
        options = msgspec.convert(raw, Options)
    except msgspec.ValidationError as error:
        raise ConfigError(f"deployment {deployment!r}: options: {error}") from None
    for name, value in options.headers.items():
        plain = name.replace("-", "").replace("_", "")
        if not (plain.isascii() and plain.isalnum()) or name.lower() in _RESERVED:
            raise ConfigError(
                f"deployment {deployment!r}: options.headers: {name!r} cannot be set here"
                + ("; the key belongs into credentials" if name.lower() == "authorization" else "")
            )
        if not all(32 <= ord(c) < 127 for c in value):
            raise ConfigError(
                f"deployment {deployment!r}: options.headers[{name!r}]: expected printable ASCII"
            )
    return options
