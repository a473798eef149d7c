"""Where the calls of this wire go, and how their key is sent.

Source: https://platform.openai.com/docs/api-reference and
https://learn.microsoft.com/azure/ai-foundry/openai/reference (both of Azure's URL forms).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from actinium.errors import ConfigError, MissingCredentials
from actinium.inference.deployment import Deployment

from ..token import COMMAND, Tokens, find_tokens, reference_of
from .options import Options

_PUBLIC: Final = "https://api.openai.com/v1"
_BEARER: Final = b"Authorization: Bearer "
_AZURE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Door(msgspec.Struct, frozen=True, kw_only=True):
    """A server of the wire.

    ``own`` says that it is OpenAI's or Azure's, which refuse fields that are not theirs; ``model``
    is the model's name there. The paths are those below the base URL.
    """

    url: str
    own: bool
    model: str
    models: str
    before: str = ""
    after: str = ""
    responses: str = "/responses"
    tokens: Tokens | None
    key_header: bytes = _BEARER

    def path(self, name: str) -> str:
        """The path of one kind of call, such as ``/chat/completions``."""
        return f"{self.before}{name}{self.after}"


def openai_door(deployment: Deployment, options: Options, environ: Mapping[str, str]) -> Door:
    """OpenAI's own server or any compatible one.

    The server is ``base_url``, else ``OPENAI_BASE_URL``, else OpenAI's own. A server named by
    ``base_url`` gets a key only if that is named as well (SC-1). Raises MissingCredentials.
    """
    for field in ("api_version", "deployment", "auth"):
        if getattr(options, field) is not None:
            raise ConfigError(
                f"deployment {deployment.name!r}: options.{field} is only for runtime 'azure'"
            )
    url = deployment.base_url
    if url is None:
        url = environ.get("OPENAI_BASE_URL") or _PUBLIC
    own = re.match(r"https://api\.openai\.com(?::443)?(?:/|$)", url) is not None
    reference = reference_of(deployment)
    if reference is None and deployment.base_url is None and (
        own or environ.get("OPENAI_API_KEY")
    ):  # fmt: skip
        reference = "env:OPENAI_API_KEY"
    tokens = find_tokens(reference, environ) if reference is not None else None
    return Door(url=url, own=own, model=deployment.model, models="/models", tokens=tokens)


def azure_door(deployment: Deployment, options: Options, environ: Mapping[str, str]) -> Door:
    """A resource of Azure OpenAI, in the URL form with an API version or in the v1 form.

    The resource is ``base_url`` (``https://NAME.openai.azure.com``), else AZURE_OPENAI_ENDPOINT.
    The key of ``credentials``, else AZURE_OPENAI_API_KEY, goes as ``api-key``; the token of a
    ``command:``, else AZURE_OPENAI_AD_TOKEN, as Bearer; ``options.auth`` says otherwise. Raises
    ConfigError and MissingCredentials.
    """
    name = deployment.name
    url = deployment.base_url or environ.get("AZURE_OPENAI_ENDPOINT")
    if not url:
        raise ConfigError(
            f"deployment {name!r}: Azure needs its resource; set base_url = "
            "'https://NAME.openai.azure.com' or AZURE_OPENAI_ENDPOINT"
        )
    model = options.deployment or deployment.model
    if not _AZURE_NAME.fullmatch(model):
        raise ConfigError(
            f"deployment {name!r}: {model[:80]!r} is no name of a deployment in Azure; set "
            "options.deployment to the name that the portal shows"
        )
    reference = reference_of(deployment)
    bearer = reference is not None and reference.startswith(COMMAND)
    if reference is None and deployment.base_url is None:
        if environ.get("AZURE_OPENAI_API_KEY"):
            reference = "env:AZURE_OPENAI_API_KEY"
        elif environ.get("AZURE_OPENAI_AD_TOKEN"):
            reference, bearer = "env:AZURE_OPENAI_AD_TOKEN", True
        else:
            raise MissingCredentials(
                f"deployment {name!r}: neither AZURE_OPENAI_API_KEY nor AZURE_OPENAI_AD_TOKEN is "
                "set; export one, or set credentials = 'command:az account get-access-token "
                "--resource https://cognitiveservices.azure.com --query accessToken -o tsv'"
            )
    if options.auth is not None:
        bearer = options.auth == "bearer"
    url = url.rstrip("/").removesuffix("/v1").removesuffix("/openai") + "/openai"
    version = options.api_version or environ.get("OPENAI_API_VERSION")
    form = {"before": "/v1", "models": "/v1/models", "responses": "/v1/responses"}
    if version:
        ask = f"?api-version={version}"
        form = {
            "before": f"/deployments/{model}",
            "after": ask,
            "models": f"/models{ask}",
            "responses": f"/responses{ask}",
        }
    return Door(
        url=url,
        own=True,
        model=model,
        tokens=find_tokens(reference, environ) if reference is not None else None,
        key_header=_BEARER if bearer else b"api-key: ",
        **form,
    )
