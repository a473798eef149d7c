"""From a decision to a runner: each provider is loaded when it is used."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import entry_points

import msgspec

from actinium.errors import ConfigError

from .choice import GROUP, Route, choose
from .deployment import Deployment
from .runner import ModelRunner


def make_runner(deployment: Deployment, environ: Mapping[str, str] | None = None) -> ModelRunner:
    """Builds the runner that :func:`actinium.inference.choice.choose` chooses; not loaded yet.

    With several credentials it is one runner for each of them behind one. Raises what ``choose``
    raises, ConfigError for wrong options, MissingExtra.
    """
    env = os.environ if environ is None else environ
    route = choose(deployment, env)
    named = msgspec.structs.replace(deployment, model=route.model)
    keys = deployment.credentials
    if not isinstance(keys, tuple):
        return _one(named, route, env)
    if len(keys) == 1:
        return _one(msgspec.structs.replace(named, credentials=keys[0]), route, env)
    from .runners.key_pool import KeyPool

    each = [msgspec.structs.replace(named, credentials=key) for key in keys]
    return KeyPool(named, [_one(one, route, env) for one in each])


def _one(named: Deployment, route: Route, env: Mapping[str, str]) -> ModelRunner:
    match route.runtime:
        case "onnx":
            if named.base_url is not None:
                raise ConfigError(
                    f"deployment {named.name!r}: base_url is only for remote runtimes, "
                    f"this one is 'onnx' ({route.rule})"
                )
            from .runners.onnx import OnnxRunner

            return OnnxRunner(named)
        case "openai" | "azure":
            from .runners.openai import OpenAIRunner

            return OpenAIRunner(named, env, azure=route.runtime == "azure")
        case "anthropic":
            from .runners.anthropic import AnthropicRunner

            return AnthropicRunner(named, env)
        case "gemini" | "vertex":
            from .runners.gemini import GeminiRunner

            return GeminiRunner(named, env, vertex=route.runtime == "vertex")
        case "litellm":
            from .runners.litellm import LiteLLMRunner

            return LiteLLMRunner(named, env)
        case "litellm_proxy":
            from .runners.litellm import ProxyRunner

            return ProxyRunner(named, env)
        case _:
            return _foreign(named, route.runtime, env)


def _foreign(named: Deployment, runtime: str, env: Mapping[str, str]) -> ModelRunner:
    """A runner of another package: ``package.module:Class``, or the name of an entry point."""
    if ":" in runtime:
        module, _, name = runtime.partition(":")
        try:
            made = getattr(import_module(module), name)(named, env)
        except (ImportError, AttributeError, TypeError) as error:
            raise ConfigError(f"deployment {named.name!r}: runtime {runtime!r}: {error}") from error
    else:
        known = {point.name: point for point in entry_points(group=GROUP)}
        made = known[runtime].load()(named, env)
    if not isinstance(made, ModelRunner):
        raise ConfigError(
            f"deployment {named.name!r}: runtime {runtime!r} made a {type(made).__name__}, which "
            "is no ModelRunner"
        )
    return made
