"""Which runtime serves a deployment, and why.

A pure decision over the deployment and the environment (DP-2): no network, no heavy import.
The first rule that matches wins; there is no silent default.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Final, NoReturn
from urllib.parse import urlsplit

import msgspec

from actinium.errors import ConfigError, MissingCredentials, RuntimeNotInferred

from .deployment import Deployment
from .families import FAMILIES, HOSTS, PREFIXES, SERVERS, Family, elsewhere, family_of

RUNTIMES: Final = PREFIXES
"""The runtimes of this package."""

GROUP: Final = "actinium.runtimes"
"""The entry points by which other packages offer runtimes: name -> ``package.module:Class``."""

_PROXY: Final = "LITELLM_PROXY_API_BASE"


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """The decision: the runtime, the model's name for it, and the rule that decided.

    ``number`` is the rule's: 1 the setting, 2 the name's prefix, 3 a path, 4 a server's address,
    5 a name of a provider's API.
    """

    runtime: str
    model: str
    rule: str
    number: int


def choose(deployment: Deployment, environ: Mapping[str, str]) -> Route:
    """Decides on the runner of a deployment.

    Raises MissingCredentials where the name is a provider's and no key is set, RuntimeNotInferred
    with every rule and why it did not match where none does.
    """
    model = deployment.model
    runtime = deployment.runtime
    if runtime is not None:
        if runtime not in RUNTIMES and ":" not in runtime:
            _offered(deployment, runtime)
        return _route(runtime, _bare(model, runtime), f"runtime = {runtime!r} is set", 1)
    if model == "embedded":
        return _route("onnx", model, "'embedded' is the model of the package", 2)
    for prefix in PREFIXES:
        if model.startswith(f"{prefix}/") and len(model) > len(prefix) + 1:
            return _route(prefix, model[len(prefix) + 1 :], f"prefix '{prefix}/'", 2)
    for engine in SERVERS:
        if model.startswith(f"{engine}/"):
            _engine(deployment, engine, model[len(engine) + 1 :])
    found = _path(deployment)
    if found is not None:
        return found
    if deployment.base_url is not None:
        return _server(model, deployment.base_url)
    family = family_of(model)
    if family is not None:
        return _family(deployment, family, environ)
    raise _not_inferred(deployment)


def _offered(deployment: Deployment, runtime: str) -> None:
    """Checks that another package has a runtime of this name. Raises ConfigError."""
    if runtime in SERVERS:
        _engine(deployment, runtime, deployment.model)
    others = [point.name for point in entry_points(group=GROUP)]
    if runtime not in others:
        known = [*RUNTIMES, *others]
        near = difflib.get_close_matches(runtime, known, 1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(known)}"
        raise ConfigError(f"deployment {deployment.name!r}: unknown runtime {runtime!r}{hint}")


def _path(deployment: Deployment) -> Route | None:
    """Rule 3: the model is on this machine's disk."""
    model = deployment.model
    lower = model.lower()
    try:
        path = Path(model).expanduser() if model.startswith("~") else Path(model)
        files = [entry.name.lower() for entry in path.iterdir()] if path.is_dir() else None
    except (
        OSError,
        RuntimeError,
        ValueError,
    ) as error:  # no home, no right to look, no path at all
        raise RuntimeNotInferred(f"deployment {deployment.name!r}: {model!r}: {error}") from None
    if files is not None:
        onnx = any(name.endswith(".onnx") for name in files)
        if not onnx and any(name.endswith(".safetensors") for name in files):
            _engine(deployment, "vllm", model)
        if not onnx and any(name.endswith((".engine", ".plan")) for name in files):
            _engine(deployment, "tensorrt_llm", model)
        if not onnx and any(name.endswith(".gguf") for name in files):
            _engine(deployment, "llama_cpp", model)
        return _route("onnx", model, f"{model!r} is a folder", 3)
    if lower.endswith(".gguf"):
        _engine(deployment, "llama_cpp", model)
    if lower.endswith(".onnx") or model.startswith(("/", "./", "../", "~")):
        if path.is_file() and lower.endswith(".onnx"):
            rule = f"{model!r} is a file of ONNX, served with its folder"
            return _route("onnx", str(path.parent), rule, 3)
        raise RuntimeNotInferred(
            f"deployment {deployment.name!r}: there is no model at {model!r}; write the path of a "
            "folder with model.onnx, config.json, tokenizer.json and chat_template.jinja"
        )
    return None


def _server(model: str, base_url: str) -> Route:
    """Rule 4: a server is named; most speak OpenAI's wire."""
    try:
        host = urlsplit(base_url).hostname or ""
    except ValueError:
        host = ""  # the runner says what is wrong with it
    for known, runtime in HOSTS:
        if known.search(host):
            return _route(runtime, model, f"base_url is at {host}", 4)
    return _route("openai", model, "base_url is set", 4)


def _family(deployment: Deployment, family: Family, environ: Mapping[str, str]) -> Route:
    """Rule 5: a name of a provider's API, with what it needs to be used."""
    model = deployment.model
    name = f"a name of {family.provider}'s API"
    has_key = deployment.credentials is not None or any(map(environ.get, family.keys))
    if family.runtime == "gemini":
        if environ.get("GOOGLE_GENAI_USE_VERTEXAI", "").lower() in ("true", "1"):
            return _route("vertex", model, f"{name} and GOOGLE_GENAI_USE_VERTEXAI is set", 5)
        if not has_key and environ.get("GOOGLE_CLOUD_PROJECT"):
            return _route("vertex", model, f"{name}, no key and GOOGLE_CLOUD_PROJECT is set", 5)
    azure = environ.get("AZURE_OPENAI_ENDPOINT") and not environ.get("OPENAI_API_KEY")
    if family.runtime == "openai" and azure:
        return _route("azure", model, f"{name} and only AZURE_OPENAI_ENDPOINT is set", 5)
    if has_key:
        return _route(family.runtime, model, name, 5)
    if environ.get(_PROXY):
        return _route("litellm_proxy", model, f"{name}, no key and {_PROXY} is set", 5)
    keys = family.keys
    lacking = f"{keys[0]} is not set"
    if len(keys) > 1:
        lacking = f"neither {' nor '.join(keys)} is set"
    raise MissingCredentials(
        f"deployment {deployment.name!r}: {model!r} is {name} and {lacking}; export "
        f"{keys[0]}=... or set credentials, or set base_url for another server"
        + {
            "gemini": ", or GOOGLE_CLOUD_PROJECT for Vertex",
            "openai": ", or AZURE_OPENAI_ENDPOINT for Azure",
        }.get(family.runtime, "")
    )


def _engine(deployment: Deployment, engine: str, model: str) -> NoReturn:
    """An engine that this version does not hold within itself."""
    command = SERVERS[engine].format(model=model or "MODEL")
    raise RuntimeNotInferred(
        f"deployment {deployment.name!r}: {deployment.model!r} is a model for {engine}, which is "
        f"used through its own server: start `{command}`, then set runtime = 'openai' and base_url "
        "to its address, such as 'http://127.0.0.1:8000/v1'"
    )


def _not_inferred(deployment: Deployment) -> RuntimeNotInferred:
    model = deployment.model
    families = "".join(f"  {f.provider} names ({f.shown}): no match\n" for f in FAMILIES)
    prefixes = ", ".join(f"'{prefix}/'" for prefix in PREFIXES)
    return RuntimeNotInferred(
        f"deployment {deployment.name!r}: no runner can be chosen for model {model!r}:\n"
        "  runtime: not set\n"
        "  'embedded': it is another name\n"
        f"  prefix {prefixes}: the name has none\n"
        "  folder: there is no folder of this path\n"
        f"  base_url: not set\n{families}{elsewhere(model)}."
    )


def _route(runtime: str, model: str, rule: str, number: int) -> Route:
    return Route(runtime=runtime, model=model, rule=rule, number=number)


def _bare(model: str, runtime: str) -> str:
    """The upstream's name without our own prefix; another's belongs to the upstream."""
    return model.removeprefix(f"{runtime}/") or model
