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

Runtime = Literal["onnx", "openai", "anthropic", "gemini", "vertex"]

_OPENAI_NAME = re.compile(
    r"(gpt-|chatgpt-|o\d|text-embedding-3|ft:gpt-)[a-z0-9.:_/-]*", re.IGNORECASE
)
_KEY = "OPENAI_API_KEY"
_CLAUDE_NAME = re.compile(r"claude-[a-z0-9.:_@-]+", re.IGNORECASE)
_CLAUDE_KEYS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN")
_GEMINI_NAME = re.compile(r"gemini-[a-z0-9.:_-]+", re.IGNORECASE)
_GEMINI_KEYS = ("GEMINI_API_KEY", "GOOGLE_API_KEY")
_PREFIXES: dict[str, Runtime] = {
    "openai/": "openai",
    "anthropic/": "anthropic",
    "gemini/": "gemini",
    "vertex/": "vertex",
}


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """The decision: the runtime, the model's name for it, and the rule that decided."""

    runtime: Runtime
    model: str
    rule: str


def choose(deployment: Deployment, environ: Mapping[str, str]) -> Route:
    """Decides on the runner of a deployment.

    Raises MissingCredentials where the name is a provider's and no key is set, RuntimeNotInferred
    with every rule and why it did not match where none does.
    """
    model = deployment.model
    if deployment.runtime is not None:
        rule = f"runtime = {deployment.runtime!r} is set"
        return Route(runtime=deployment.runtime, model=_bare(model, deployment.runtime), rule=rule)
    if model == "embedded":
        return Route(runtime="onnx", model=model, rule="'embedded' is the model of the package")
    if model.startswith("onnx/") and len(model) > 5:
        return Route(runtime="onnx", model=model[5:], rule="prefix 'onnx/'")
    if Path(model).is_dir():
        return Route(runtime="onnx", model=model, rule=f"{model!r} is a folder")
    for prefix, runtime in _PREFIXES.items():
        if model.startswith(prefix) and len(model) > len(prefix):
            return Route(runtime=runtime, model=_bare(model, runtime), rule=f"prefix {prefix!r}")
    if deployment.base_url is not None:
        return Route(runtime="openai", model=model, rule="base_url is set")
    if _OPENAI_NAME.fullmatch(model):
        if deployment.credentials is None and not environ.get(_KEY):
            raise MissingCredentials(
                f"deployment {deployment.name!r}: {model!r} is an OpenAI name and {_KEY} is not "
                f"set; export {_KEY}=... or set credentials, or set base_url for another server"
            )
        return Route(runtime="openai", model=model, rule="a name of OpenAI's API")
    if _CLAUDE_NAME.fullmatch(model):
        if deployment.credentials is None and not any(map(environ.get, _CLAUDE_KEYS)):
            raise MissingCredentials(
                f"deployment {deployment.name!r}: {model!r} is an Anthropic name and neither "
                f"{_CLAUDE_KEYS[0]} nor {_CLAUDE_KEYS[1]} is set; export {_CLAUDE_KEYS[0]}=... or "
                "set credentials, or set base_url for another server"
            )
        return Route(runtime="anthropic", model=model, rule="a name of Anthropic's API")
    if _GEMINI_NAME.fullmatch(model):
        return _gemini(deployment, environ)
    raise RuntimeNotInferred(
        f"deployment {deployment.name!r}: no runner can be chosen for model {model!r}:\n"
        "  runtime: not set\n"
        "  'embedded': it is another name\n"
        "  folder: there is no folder of this path\n"
        "  prefix 'openai/', 'anthropic/', 'gemini/', 'vertex/' or 'onnx/': the name has none\n"
        "  base_url: not set\n"
        "  OpenAI names (gpt-*, chatgpt-*, o<digit>*, text-embedding-3*, ft:gpt-*): no match\n"
        "  Anthropic names (claude-*): no match\n"
        "  Gemini names (gemini-*): no match\n"
        "Set runtime = 'openai' with base_url, or runtime = 'onnx' with a model folder."
    )


def _gemini(deployment: Deployment, environ: Mapping[str, str]) -> Route:
    """AI Studio where there is a key, Vertex where only a project is named or it is asked for."""
    model = deployment.model
    if environ.get("GOOGLE_GENAI_USE_VERTEXAI", "").lower() in ("true", "1"):
        rule = "a name of Gemini's API and GOOGLE_GENAI_USE_VERTEXAI is set"
        return Route(runtime="vertex", model=model, rule=rule)
    if deployment.credentials is not None or any(environ.get(key) for key in _GEMINI_KEYS):
        return Route(runtime="gemini", model=model, rule="a name of Gemini's API")
    if environ.get("GOOGLE_CLOUD_PROJECT"):
        rule = "a name of Gemini's API, no key and GOOGLE_CLOUD_PROJECT is set"
        return Route(runtime="vertex", model=model, rule=rule)
    raise MissingCredentials(
        f"deployment {deployment.name!r}: {model!r} is a Gemini name and neither "
        f"{' nor '.join(_GEMINI_KEYS)} is set; export GEMINI_API_KEY=... or set credentials, or "
        "GOOGLE_CLOUD_PROJECT for Vertex"
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
                    f"deployment {deployment.name!r}: base_url is only for remote runtimes, "
                    f"this one is 'onnx' ({route.rule})"
                )
            from .runners.onnx import OnnxRunner

            return OnnxRunner(named)
        case "openai":
            from .runners.openai import OpenAIRunner

            return OpenAIRunner(named, env)
        case "anthropic":
            from .runners.anthropic import AnthropicRunner

            return AnthropicRunner(named, env)
        case "gemini" | "vertex":
            from .runners.gemini import GeminiRunner

            return GeminiRunner(named, env, vertex=route.runtime == "vertex")


def _bare(model: str, runtime: Runtime) -> str:
    """The upstream's name without our own prefix; another's belongs to the upstream."""
    return model.removeprefix(f"{runtime}/") or model
