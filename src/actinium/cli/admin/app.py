"""The commands for a running gateway. What they do is imported when they are called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from ..arguments import Debug
from ..failures import failures
from ..screen import Screen
from . import arguments as a

if TYPE_CHECKING:
    from .client import Site

_URL = "http://127.0.0.1:8080"
_HELP: dict[str, Any] = {
    "no_args_is_help": True,
    "context_settings": {"help_option_names": ["-h", "--help"]},
}

keys = typer.Typer(
    name="keys",
    help="Keys of tenants: who may use which model of a running gateway, and how much.",
    epilog="Start here:  export ACTINIUM_ADMIN_TOKEN=...   |   actinium keys create web",
    **_HELP,
)
deployments = typer.Typer(
    name="deployments", help="What a running gateway serves: look, change, take out.", **_HELP
)

_CREATE = """Examples:
  actinium keys create web   (every model, no limits)
  actinium keys create web --tenant acme --model chat --rpm 60 --per-day 5 --expires 90d
  KEY=$(actinium keys create ci --expires 24h)   (only the key is on stdout)"""

_APPLY = """Examples:
  actinium deployments apply actinium.toml   (only its [[deployment]] tables count)
  actinium deployments list --json"""

_USAGE = """Examples:
  actinium usage   (by tenant, key and deployment, all days)
  actinium usage --by day,tenant --since 2027-01-01
  actinium usage --by deployment --tenant acme --json"""


def _site(url: str, token_env: str, ca_file: str | None, insecure: bool) -> Site:
    from .client import Site

    return Site(url=url, token_env=token_env, ca_file=ca_file, insecure=insecure)


@keys.command("create", epilog=_CREATE)
def create(
    name: a.KeyName,
    tenant: a.Tenant = "default",
    model: a.Models = None,
    rpm: a.Rpm = None,
    tpm: a.Tpm = None,
    concurrent: a.Concurrent = None,
    per_hour: a.PerHour = None,
    per_day: a.PerDay = None,
    per_month: a.PerMonth = None,
    priority: a.Priority = a.PriorityName.normal,
    expires: a.Expires = None,
    url: a.Url = _URL,
    token_env: a.TokenEnv = a.TOKEN_VARIABLE,
    ca_file: a.CaFile = None,
    insecure: a.PlainHttp = False,
    as_json: a.AsJson = False,
    debug: Debug = False,
) -> None:
    """Make a key and show it, this once."""
    screen = Screen()
    with failures(screen, debug):
        from actinium.inference.tenants import KeyLimits

        from .keys import create_key

        create_key(
            _site(url, token_env, ca_file, insecure), screen, as_json, name, tenant, model or (),
            KeyLimits(rpm=rpm, tpm=tpm, concurrent=concurrent), (per_hour, per_day, per_month),
            priority.value, expires,
        )  # fmt: skip


@keys.command("list")
def list_(
    url: a.Url = _URL,
    token_env: a.TokenEnv = a.TOKEN_VARIABLE,
    ca_file: a.CaFile = None,
    insecure: a.PlainHttp = False,
    as_json: a.AsJson = False,
    debug: Debug = False,
) -> None:
    """Show all keys, without their secrets."""
    screen = Screen()
    with failures(screen, debug):
        from .keys import list_keys

        list_keys(_site(url, token_env, ca_file, insecure), screen, as_json)


@keys.command("rotate")
def rotate(
    id: a.KeyId,
    overlap: a.Overlap = "24h",
    url: a.Url = _URL,
    token_env: a.TokenEnv = a.TOKEN_VARIABLE,
    ca_file: a.CaFile = None,
    insecure: a.PlainHttp = False,
    as_json: a.AsJson = False,
    debug: Debug = False,
) -> None:
    """Give a key a new secret; the old one works on for a while."""
    screen = Screen()
    with failures(screen, debug):
        from .keys import rotate_key

        rotate_key(_site(url, token_env, ca_file, insecure), screen, as_json, id, overlap)


@keys.command("disable")
def disable(
    id: a.KeyId,
    undo: a.Enable = False,
    url: a.Url = _URL,
    token_env: a.TokenEnv = a.TOKEN_VARIABLE,
    ca_file: a.CaFile = None,
    insecure: a.PlainHttp = False,
    as_json: a.AsJson = False,
    debug: Debug = False,
) -> None:
    """Refuse a key from its next request on."""
    screen = Screen()
    with failures(screen, debug):
        from .keys import disable_key

        disable_key(_site(url, token_env, ca_file, insecure), screen, as_json, id, undo)


@keys.command("delete")
def delete(
    id: a.KeyId,
    url: a.Url = _URL,
    token_env: a.TokenEnv = a.TOKEN_VARIABLE,
    ca_file: a.CaFile = None,
    insecure: a.PlainHttp = False,
    debug: Debug = False,
) -> None:
    """Forget a key for good."""
    screen = Screen()
    with failures(screen, debug):
        from .keys import delete_key

        delete_key(_site(url, token_env, ca_file, insecure), screen, id)


@deployments.command("list")
def list_deployments(
    url: a.Url = _URL,
    token_env: a.TokenEnv = a.TOKEN_VARIABLE,
    ca_file: a.CaFile = None,
    insecure: a.PlainHttp = False,
    as_json: a.AsJson = False,
    debug: Debug = False,
) -> None:
    """Show all deployments and how they do."""
    screen = Screen()
    with failures(screen, debug):
        from .deployments import list_deployments as run

        run(_site(url, token_env, ca_file, insecure), screen, as_json)


@deployments.command("apply", epilog=_APPLY)
def apply(
    file: a.PlanFile,
    drain: a.Wait = "30s",
    url: a.Url = _URL,
    token_env: a.TokenEnv = a.TOKEN_VARIABLE,
    ca_file: a.CaFile = None,
    insecure: a.PlainHttp = False,
    as_json: a.AsJson = False,
    debug: Debug = False,
) -> None:
    """Serve the deployments of a file from now on, without losing a request.

    The file is checked first. What stands there of [system], [gateway], tenants and keys is not
    sent. Paths of models are those of the gateway's machine.
    """
    screen = Screen()
    with failures(screen, debug):
        from .deployments import apply_file

        apply_file(_site(url, token_env, ca_file, insecure), screen, as_json, file, drain)


@deployments.command("drain")
def drain(
    name: a.DeploymentName,
    wait: a.Wait = "30s",
    url: a.Url = _URL,
    token_env: a.TokenEnv = a.TOKEN_VARIABLE,
    ca_file: a.CaFile = None,
    insecure: a.PlainHttp = False,
    as_json: a.AsJson = False,
    debug: Debug = False,
) -> None:
    """Take a deployment out of service; `apply` brings it back."""
    screen = Screen()
    with failures(screen, debug):
        from .deployments import drain_deployment

        drain_deployment(_site(url, token_env, ca_file, insecure), screen, as_json, name, wait)


def usage(
    by: a.By = "tenant,key,deployment",
    since: a.Since = None,
    until: a.Until = None,
    tenant: a.OfTenant = None,
    key: a.OfKey = None,
    deployment: a.OfDeployment = None,
    url: a.Url = _URL,
    token_env: a.TokenEnv = a.TOKEN_VARIABLE,
    ca_file: a.CaFile = None,
    insecure: a.PlainHttp = False,
    as_json: a.AsJson = False,
    debug: Debug = False,
) -> None:
    """Show what tenants, keys and deployments of a running gateway used and what it cost."""
    screen = Screen()
    with failures(screen, debug):
        from .usage import show_usage

        asked = {
            "by": by, "since": since, "until": until, "tenant": tenant, "key": key,
            "deployment": deployment,
        }  # fmt: skip
        show_usage(_site(url, token_env, ca_file, insecure), screen, as_json, asked)


def add_to(app: typer.Typer) -> None:
    """Puts these commands beside the others."""
    app.add_typer(keys)
    app.add_typer(deployments)
    app.command(epilog=_USAGE)(usage)
