"""What ``Deployment.options`` may hold for this runner."""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from ..options import check_headers, decode_options


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of one OpenAI-compatible server.

    ``insecure`` allows plain http to another machine. ``headers`` are sent with every call;
    ``organization`` and ``project`` are OpenAI's own. ``token_field`` is the name the server
    knows the output limit by: api.openai.com wants ``max_completion_tokens``, most others only
    know ``max_tokens`` (the default for them). ``include_usage=False`` leaves out
    ``stream_options`` for servers that refuse it; their streams then carry no usage.
    ``marks`` says that the server knows ``cache_control`` and ``thinking_blocks``, as LiteLLM's
    does; otherwise they are left out. ``ca_file`` names further trusted certificate authorities
    (PEM).
    """

    insecure: bool = False
    headers: dict[str, str] = {}
    organization: str | None = None
    project: str | None = None
    token_field: Literal["max_tokens", "max_completion_tokens"] | None = None
    include_usage: bool = True
    marks: bool = False
    ca_file: str | None = None


_SECRET: Final = frozenset(("authorization",))


def read_options(deployment: str, raw: dict[str, Any]) -> Options:
    """The options of a deployment. Raises ConfigError naming the field."""
    options = decode_options(deployment, raw, Options)
    check_headers(deployment, options.headers, _SECRET)
    return options
