"""What ``Deployment.options`` may hold for this runner."""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from actinium.errors import ConfigError

from ..options import check_headers, decode_options


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of Gemini at one door.

    ``project`` and ``location`` are Vertex's, else GOOGLE_CLOUD_PROJECT and
    GOOGLE_CLOUD_LOCATION, else ``global``. ``api_version`` is ``v1`` unless set, for models
    that only ``v1beta`` (AI Studio) or ``v1beta1`` (Vertex) has. ``safety`` maps harm
    categories to thresholds for every request. ``include_thoughts`` asks for summaries of the
    model's thoughts, which come as reasoning. ``thinking`` says how the model takes
    ``reasoning_effort``: as a level (Gemini 3 and newer) or as a budget of tokens (older);
    None: by the model's name. ``labels`` go with every call to Vertex, for its bills.
    ``token_seconds`` is how long a token from a command or a file is used before it is asked
    for again. ``insecure`` allows plain http to another machine, ``headers`` are sent with
    every call, ``ca_file`` names further trusted certificate authorities (PEM).
    """

    project: str | None = None
    location: str | None = None
    api_version: str | None = None
    safety: dict[str, str] = {}
    include_thoughts: bool = False
    thinking: Literal["level", "budget"] | None = None
    labels: dict[str, str] = {}
    token_seconds: float = 300.0
    insecure: bool = False
    headers: dict[str, str] = {}
    ca_file: str | None = None


_SECRET: Final = frozenset(("authorization", "x-goog-api-key"))
_VERTEX: Final = ("project", "location", "labels", "token_seconds")


def read_options(deployment: str, raw: dict[str, Any], *, vertex: bool) -> Options:
    """The options of a deployment. Raises ConfigError naming the field."""
    options = decode_options(deployment, raw, Options)
    check_headers(deployment, options.headers, _SECRET)
    if options.token_seconds <= 0:
        raise ConfigError(
            f"deployment {deployment!r}: options.token_seconds must be above 0, "
            f"got {options.token_seconds:g}"
        )
    for name in _VERTEX if not vertex else ():
        if name in raw:
            raise ConfigError(
                f"deployment {deployment!r}: options.{name} is only for runtime 'vertex', "
                "this one is 'gemini'"
            )
    return options
