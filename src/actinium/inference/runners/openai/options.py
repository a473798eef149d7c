"""What ``Deployment.options`` may hold for this runner."""

from __future__ import annotations

import re
from typing import Any, Final, Literal

import msgspec

from actinium.errors import ConfigError

from ..options import check_headers, decode_options


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of one OpenAI-compatible server.

    ``api`` is the wire's half that chats are sent by: ``/chat/completions`` or ``/responses``.
    ``insecure`` allows plain http to another machine. ``headers`` are sent with every call;
    ``organization`` and ``project`` are OpenAI's own. ``token_field`` is the name the server
    knows the output limit by: api.openai.com wants ``max_completion_tokens``, most others only
    know ``max_tokens`` (the default for them). ``include_usage=False`` leaves out
    ``stream_options`` for servers that refuse it; their usage is then estimated. ``developer``
    says that the server knows the role of that name; others get ``system`` for it.
    ``marks`` says that the server knows ``cache_control`` and ``thinking_blocks``, as LiteLLM's
    does; otherwise they are left out. ``prefill`` says how the server is told that the last
    message begins its answer: ``"continue_final_message"`` (vLLM, SGLang) or ``"prefix"``
    (DeepSeek, Mistral); None: it cannot be told. ``ca_file`` names further trusted certificate
    authorities (PEM).

    Azure's alone: ``api_version`` chooses the URL form with a version (else OPENAI_API_VERSION,
    else the v1 form), ``deployment`` is the deployment's name there where it is not the model's,
    ``auth`` how the key is sent.
    """

    api: Literal["chat", "responses"] = "chat"
    insecure: bool = False
    headers: dict[str, str] = {}
    organization: str | None = None
    project: str | None = None
    token_field: Literal["max_tokens", "max_completion_tokens"] | None = None
    include_usage: bool = True
    developer: bool | None = None
    marks: bool = False
    prefill: Literal["continue_final_message", "prefix"] | None = None
    ca_file: str | None = None
    api_version: str | None = None
    deployment: str | None = None
    auth: Literal["api-key", "bearer"] | None = None


_SECRET: Final = frozenset(("authorization", "api-key"))
_VERSION: Final = re.compile(r"[A-Za-z0-9.-]{1,32}")


def read_options(deployment: str, raw: dict[str, Any]) -> Options:
    """The options of a deployment. Raises ConfigError naming the field."""
    options = decode_options(deployment, raw, Options)
    check_headers(deployment, options.headers, _SECRET)
    version = options.api_version
    if version is not None and not _VERSION.fullmatch(version):
        raise ConfigError(
            f"deployment {deployment!r}: options.api_version: expected such as '2024-10-21', "
            f"got {version[:40]!r}"
        )
    return options
