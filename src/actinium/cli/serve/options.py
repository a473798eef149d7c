"""From the options of ``actinium serve`` to a plan."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from actinium.base.address import is_loopback
from actinium.base.secret import Secret, read_secret
from actinium.errors import ConfigError, RuntimeNotInferred
from actinium.inference import Deployment
from actinium.serve import Admin
from actinium.topology import GatewaySection, Plan, SystemSection, plan_of, read_plan

from ..failures import USAGE, CommandFailed

S = TypeVar("S", GatewaySection, SystemSection)

_FOREIGN = re.compile(r"[^a-z0-9._-]+")


class ServeOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What was said on the command line; None and empty: nothing was."""

    config: Path | None = None
    models: tuple[str, ...] = ()
    base_url: str | None = None
    api_key_env: str | None = None
    host: str | None = None
    port: int | None = None
    store: str | None = None
    drain: float | None = None
    workers: int | None = None
    insecure: bool = False


def plan_from(options: ServeOptions, environ: Mapping[str, str]) -> Plan:
    """The file's plan with the options over it, or a plan of the options alone.

    Raises ConfigError for options that exclude each other and whatever the plan raises.
    """
    if options.config is None:
        plan = _plan_of_options(options, environ)
    else:
        for option, value in (
            ("--model", options.models),
            ("--base-url", options.base_url),
            ("--api-key-env", options.api_key_env),
        ):
            if value:
                raise ConfigError(
                    f"{option} and the file {str(options.config)!r} both say what is served; "
                    "write the model into the file as a [[deployment]], or leave the file out"
                )
        plan = read_plan(options.config, environ)
    gateway = _over(
        plan.gateway,
        host=options.host,
        port=options.port,
        drain=options.drain,
        workers=options.workers,
        insecure=options.insecure or None,
    )
    system = _over(plan.system, store=options.store)
    return msgspec.structs.replace(plan, gateway=gateway, system=system)


def _plan_of_options(options: ServeOptions, environ: Mapping[str, str]) -> Plan:
    models = options.models or ("embedded",)
    try:
        return plan_of(deployments(models, options.base_url, options.api_key_env), environ)
    except RuntimeNotInferred as error:
        raise CommandFailed(
            str(error),
            "say which server has it with --base-url URL, or write --model openai/NAME or "
            "--model onnx/FOLDER",
            USAGE,
        ) from error


def _over(section: S, **said: object) -> S:
    """The section with what was said on the command line over it."""
    return msgspec.structs.replace(section, **{k: v for k, v in said.items() if v is not None})


def deployments(
    models: Sequence[str], base_url: str | None, api_key_env: str | None
) -> list[Deployment]:
    """A deployment per model; the URL and the key belong to all that are not embedded."""
    if (base_url or api_key_env) and all(model == "embedded" for model in models):
        option = "--base-url" if base_url else "--api-key-env"
        raise ConfigError(
            f"{option} is for a model of another server; name that model: --model NAME"
        )
    credentials = f"env:{api_key_env}" if api_key_env else None
    return [
        Deployment(name="embedded")
        if model == "embedded"
        else Deployment(
            name=public_name(model), model=model, base_url=base_url, credentials=credentials
        )
        for model in models
    ]


def public_name(model: str) -> str:
    """The name clients use: ``meta-llama/Llama-3.1-8B`` is served as ``llama-3.1-8b``."""
    last = model.rstrip("/").rpartition("/")[2].lower()
    return _FOREIGN.sub("-", last).strip("-._")[:63] or "model"


def gateway_key(given: str | None, plan: Plan, environ: Mapping[str, str]) -> Secret | None:
    """The key clients must send: the option's (or its variable's), else the file's, else none.

    Raises ConfigError where the option is empty, MissingCredentials where the file's is not set,
    and CommandFailed where other machines could use the models without one.
    """
    if given is not None:
        if not given:
            raise ConfigError("--api-key is empty; give a key, or unset ACTINIUM_API_KEY")
        return Secret(given, "--api-key")
    where = plan.gateway
    if where.api_key is not None:
        try:
            return read_secret(where.api_key, environ)
        except ConfigError as error:
            raise type(error)(f"{plan.file}: gateway.api_key: {error}") from error
    if not plan.keyed and not where.insecure and not is_loopback(where.host):
        raise CommandFailed(
            f"{where.host} can be reached from other machines, and no API key is set: anybody "
            "there could use the models",
            "set ACTINIUM_API_KEY, or say --insecure if the network itself keeps others out",
            USAGE,
        )
    return None


def admin_of(plan: Plan, environ: Mapping[str, str]) -> Admin | None:
    """The admin API of a plan. Raises MissingCredentials where its token is not set."""
    section = plan.gateway.admin
    if section is None:
        return None
    try:
        token = read_secret(section.token, environ)
    except ConfigError as error:
        raise type(error)(f"{plan.file}: gateway.admin.token: {error}") from error
    return Admin(token=token, host=section.host, port=section.port)
