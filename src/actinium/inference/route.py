"""Which runner serves a deployment, and why.

A pure decision over the deployment and the environment (DP-2): no network, no heavy import.
The first rule that matches wins; there is no silent default.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from actinium.errors import ConfigError, MissingCredentials, RuntimeNotInferred

from .deployment import Deployment
from .runner import ModelRunner

Runtime = Literal["onnx", "openai"]

_OPENAI_NAME = re.compile(
    r"(gpt-|chatgpt-|o\d|text-embedding-3|ft:gpt-)[a-z0-9.:_/-]*", re.IGNORECASE
)
_KEY = "OPENAI_API_KEY"


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """The decision: the runtime, the model's name for it, and the rule that decided."""

    runtime: Runtime
    model: str
    rule: str


def choose(deployment: Deployment, environ: Mapping[str, str]) -> Route:
    """Decides on the runner of a deployment.

    Raises MissingCredentials where the model is OpenAI's and no key is set, RuntimeNotInferred
    with every rule and why it did not match where none does.
    """
    model = deployment.model
    if deployment.runtime is not None:
        rule = f"runtime = {deployment.runtime!r} is set"
        return Route(runtime=deployment.runtime, model=_bare(model), rule=rule)
    if model == "embedded":
        return Route(runtime="onnx", model=model, rule="'embedded' is the model of the package")
    if model.startswith("onnx/") and len(model) > 5:
        return Route(runtime="onnx", model=model[5:], rule="prefix 'onnx/'")
    if Path(model).is_dir():
        return Route(runtime="onnx", model=model, rule=f"{model!r} is a folder")
    if model.startswith("openai/") and len(model) > 7:
        return Route(runtime="openai", model=model[7:], rule="prefix 'openai/'")
    if deployment.base_url is not None:
        return Route(runtime="openai", model=model, rule="base_url is set")
    if _OPENAI_NAME.fullmatch(model):
        if deployment.credentials is None and not environ.get(_KEY):
            raise MissingCredentials(
                f"deployment {deployment.name!r}: {model!r} is an OpenAI name and {_KEY} is not "
                f"set; export {_KEY}=... or set credentials, or set base_url for another server"
            )
        return Route(runtime="openai", model=model, rule="a name of OpenAI's API")
    raise RuntimeNotInferred(
        f"deployment {deployment.name!r}: no runner can be chosen for model {model!r}:\n"
        "  runtime: not set\n"
        "  'embedded': it is another name\n"
        "  folder: there is no folder of this path\n"
        "  prefix 'openai/' or 'onnx/': the name has neither\n"
        "  base_url: not set\n"
        "  OpenAI names (gpt-*, chatgpt-*, o<digit>*, text-embedding-3*, ft:gpt-*): no match\n"
        "Set runtime = 'openai' with base_url, or runtime = 'onnx' with a model folder."
    )


def make_runner(deployment: Deployment, environ: Mapping[str, str] | None = None) -> ModelRunner:
    """Builds the runner that :func:`choose` chooses; it is not loaded yet.

    Raises what :func:`choose` raises, ConfigError for wrong options, MissingExtra.
    """
    env = os.environ if environ is None else environ
    route = choose(deployment, env)
    named = msgspec.structs.replace(deployment, model=route.model)
    match route.runtime:
        case "onnx":
            if deployment.base_url is not None:
                raise ConfigError(
                    f"deployment {deployment.name!r}: base_url is only for runtime 'openai', "
                    f"this one is 'onnx' ({route.rule})"
                )
            from .runners.onnx import OnnxRunner

            return OnnxRunner(named)
        case "openai":
            from .runners.openai import OpenAIRunner

            return OpenAIRunner(named, env)


def _bare(model: str) -> str:
    """The upstream's name without our own prefix."""
    for prefix in ("openai/", "onnx/"):
        if model.startswith(prefix) and len(model) > len(prefix):
            return model[len(prefix) :]
    return model
