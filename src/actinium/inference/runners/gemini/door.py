"""The two doors to one model: where its calls go.

Source: https://ai.google.dev/api (AI Studio) and
https://cloud.google.com/vertex-ai/generative-ai/docs/reference/rest (Vertex AI).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from actinium.errors import ConfigError

from .options import Options

_STUDIO: Final = "https://generativelanguage.googleapis.com"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@:-]*(/[A-Za-z0-9][A-Za-z0-9._@:-]*)*")
_PLACE: Final = re.compile(r"[a-z0-9][a-z0-9.:-]*")


class Door(msgspec.Struct, frozen=True, kw_only=True):
    """Where a model is reached: the server's base URL and the model's path below it."""

    vertex: bool
    base: str
    model: str
    health: str

    def path(self, method: str) -> str:
        """The path of a method of the model, such as ``generateContent``."""
        return f"{self.model}:{method}"


def find_door(
    name: str, model: str, base_url: str | None, options: Options, environ: Mapping[str, str],
    *, vertex: bool,
) -> Door:  # fmt: skip
    """The door of the deployment ``name``.

    ``base_url`` stands in for Google's host (and may have a path); the API's version follows
    it. Raises ConfigError for a wrong model, project or location.
    """
    if not _NAME.fullmatch(model):
        raise ConfigError(
            f"deployment {name!r}: model {model[:80]!r}: expected a name such as "
            "'gemini-2.5-flash' or 'tunedModels/mine'"
        )
    if not vertex:
        url = base_url or environ.get("GOOGLE_GEMINI_BASE_URL") or _STUDIO
        path = model if model.startswith(("models/", "tunedModels/")) else f"models/{model}"
        version = options.api_version or "v1"
        return Door(
            vertex=False, base=f"{url.rstrip('/')}/{version}", model=f"/{path}", health=f"/{path}"
        )
    project = options.project or environ.get("GOOGLE_CLOUD_PROJECT")
    if not project:
        raise ConfigError(
            f"deployment {name!r}: Vertex needs a project; set options.project or "
            "GOOGLE_CLOUD_PROJECT"
        )
    place = options.location or environ.get("GOOGLE_CLOUD_LOCATION") or "global"
    for field, value in (("project", project), ("location", place)):
        if not _PLACE.fullmatch(value):
            raise ConfigError(
                f"deployment {name!r}: options.{field}: expected a-z, 0-9 and '-', "
                f"got {value[:64]!r}"
            )
    url = base_url or environ.get("GOOGLE_VERTEX_BASE_URL") or _vertex_host(place)
    version = options.api_version or "v1"
    own = f"/projects/{project}/locations/{place}"
    if model.startswith("projects/"):
        path = health = f"/{model}"
    else:
        published = (
            model if model.startswith("publishers/") else f"publishers/google/models/{model}"
        )
        path, health = f"{own}/{published}", f"/{published}"
    return Door(vertex=True, base=f"{url.rstrip('/')}/{version}", model=path, health=health)


def _vertex_host(place: str) -> str:
    if place == "global":
        return "https://aiplatform.googleapis.com"
    if place in ("us", "eu"):
        return f"https://aiplatform.{place}.rep.googleapis.com"
    return f"https://{place}-aiplatform.googleapis.com"
