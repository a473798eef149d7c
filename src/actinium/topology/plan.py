"""The checked plan of one process: what is served, where, and by which runner."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path as FilePath
from typing import Any, TypeVar

import msgspec

from actinium.base.tls import Tls
from actinium.errors import ConfigError
from actinium.inference import Deployment, ModelRunner
from actinium.inference.choice import Route, choose
from actinium.inference.deployment import wrong_fallback
from actinium.inference.route import make_runner
from actinium.inference.tenants.policy import DeclaredKey, Tenant
from actinium.ops.logs import LogSettings
from actinium.ops.tracing import TracingSettings

from .positions import Path
from .sections import GatewaySection, SystemSection
from .shape import decode, toml_type
from .source import Source

_SECTIONS = ("system", "gateway", "tracing", "log", "deployment", "tenant", "key")
_STORE_WORDS = ("memory", "none")
_EMBEDDED = Deployment(name="embedded")

N = TypeVar("N", Tenant, DeclaredKey)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A valid configuration. Names are unique and each deployment has its ``Route``.

    ``places`` says in which file and line a deployment stands, where it came from a file.
    """

    system: SystemSection = SystemSection()
    gateway: GatewaySection = GatewaySection()
    tracing: TracingSettings = TracingSettings()
    log: LogSettings = LogSettings()
    deployments: tuple[Deployment, ...]
    routes: tuple[Route, ...]
    tenants: tuple[Tenant, ...] = ()
    keys: tuple[DeclaredKey, ...] = ()
    file: str | None = None
    places: dict[str, str] = {}

    @property
    def keyed(self) -> bool:
        """Whether only holders of virtual keys may use the gateway."""
        told = self.gateway.keys
        if told is not None:
            return told
        return bool(self.tenants or self.keys or self.gateway.admin is not None)

    def runner(self, deployment: Deployment) -> ModelRunner:
        """Makes a deployment's runner, not loaded: the runner factory for ``Inference``.

        Raises ConfigError with the place in the file: a wrong option, no such model folder, a
        key that is not set.
        """
        try:
            return make_runner(deployment)
        except ConfigError as error:
            place = self.places.get(deployment.name)
            if place is None:
                raise
            raise type(error)(f"{place}: {error}") from error


def read_plan(path: str | os.PathLike[str], environ: Mapping[str, str] | None = None) -> Plan:
    """The plan in a file. Raises ConfigError with file, line, and what to write instead.

    Relative paths in the file (a model's folder, the store) are relative to the file.
    """
    file = FilePath(path)
    return _plan(Source.read(file), file.parent, os.environ if environ is None else environ)


def parse_plan(text: str, name: str, environ: Mapping[str, str]) -> Plan:
    """The plan in a text; ``name`` stands for the file in errors. Raises ConfigError."""
    return _plan(Source(text, name), FilePath(), environ)


def plan_of(
    deployments: Sequence[Deployment],
    environ: Mapping[str, str],
    *,
    system: SystemSection | None = None,
    gateway: GatewaySection | None = None,
) -> Plan:
    """A plan without a file. Raises ConfigError for a name used twice or no runner."""
    _check_names(deployments, {})
    return Plan(
        system=system or SystemSection(),
        gateway=gateway or GatewaySection(),
        deployments=tuple(deployments),
        routes=tuple(choose(deployment, environ) for deployment in deployments),
    )


def _plan(source: Source, folder: FilePath, environ: Mapping[str, str]) -> Plan:
    table = source.table
    for key in table:
        if key not in _SECTIONS:
            raise source.unknown((key,), _SECTIONS, "section")
    system = decode(source, ("system",), table.get("system", {}), SystemSection)
    gateway = decode(source, ("gateway",), table.get("gateway", {}), GatewaySection)
    tracing = decode(source, ("tracing",), table.get("tracing", {}), TracingSettings)
    log = decode(source, ("log",), table.get("log", {}), LogSettings)
    if system.store is not None and system.store not in _STORE_WORDS:
        path = str(_expanded(source, ("system", "store"), folder, system.store))
        system = msgspec.structs.replace(system, store=path)
    if gateway.tls is not None:
        gateway = msgspec.structs.replace(gateway, tls=_with_files(source, folder, gateway.tls))
    deployments = _deployments(source, folder)
    places = {d.name: source.where(("deployment", i)) for i, d in enumerate(deployments)}
    routes = [_route(source, i, d, environ) for i, d in enumerate(deployments)]
    if not deployments:
        deployments, routes = [_EMBEDDED], [choose(_EMBEDDED, environ)]
    return Plan(
        system=system,
        gateway=gateway,
        tracing=tracing,
        log=log,
        deployments=tuple(deployments),
        routes=tuple(routes),
        tenants=tuple(_named(source, "tenant", Tenant)),
        keys=tuple(_named(source, "key", DeclaredKey)),
        file=source.name,
        places=places,
    )


def _tables(source: Source, section: str) -> list[Any]:
    tables = source.table.get(section, [])
    if not isinstance(tables, list):
        raise source.error(
            (section,),
            f"{section}: expected an array of tables, got {toml_type(tables)}; "
            f"write [[{section}]] with two brackets on each side",
        )
    return tables


def _named(source: Source, section: str, kind: type[N]) -> list[N]:
    """Tenants or keys, each with a name of its own."""
    found: list[N] = []
    for index, table in enumerate(_tables(source, section)):
        path: Path = (section, index)
        one = decode(source, path, table, kind)
        if any(other.name == one.name for other in found):
            raise source.error(path, f"{section} {one.name!r} is declared twice")
        found.append(one)
    return found


def _deployments(source: Source, folder: FilePath) -> list[Deployment]:
    tables = _tables(source, "deployment")
    found: list[Deployment] = []
    owners: dict[str, int] = {}
    for index, table in enumerate(tables):
        path: Path = ("deployment", index)
        deployment = decode(source, path, table, Deployment)
        _check_timeouts(source, path, deployment)
        for name in (deployment.name, *deployment.aliases):
            if name in owners:
                line = source.line(("deployment", owners[name]))
                owner = found[owners[name]].name if owners[name] < index else deployment.name
                raise source.error(
                    path,
                    f"deployment {deployment.name!r}: the name {name!r} belongs to deployment "
                    f"{owner!r} (line {line}) already; each name and alias must be unique",
                )
            owners[name] = index
        found.append(_with_folder(source, path, folder, deployment))
    if (wrong := wrong_fallback(found)) is not None:
        raise source.error(("deployment", wrong[0], "fallback"), wrong[1])
    return found


def _check_names(deployments: Sequence[Deployment], seen: dict[str, str]) -> None:
    for deployment in deployments:
        for name in (deployment.name, *deployment.aliases):
            if name in seen:
                raise ConfigError(
                    f"the name {name!r} is used twice, by the models {seen[name]!r} and "
                    f"{deployment.model!r}; each deployment needs a name of its own"
                )
            seen[name] = deployment.model


def _check_timeouts(source: Source, path: Path, deployment: Deployment) -> None:
    for field in deployment.timeouts.__struct_fields__:
        seconds = getattr(deployment.timeouts, field)
        if seconds <= 0:
            raise source.error(
                (*path, "timeouts", field),
                f"deployment {deployment.name!r}: timeouts.{field} must be above 0 seconds, "
                f"got {seconds!r}",
            )


def _with_folder(
    source: Source, path: Path, folder: FilePath, deployment: Deployment
) -> Deployment:
    """The deployment with its model's folder as an absolute path, if it is a folder."""
    if not deployment.model:
        raise source.error((*path, "model"), 'model: expected a name, got ""; write "embedded"')
    if deployment.model == "embedded" or deployment.runtime not in (None, "onnx"):
        return deployment
    bare = deployment.model.removeprefix("onnx/")
    model = _expanded(source, (*path, "model"), folder, bare)
    try:
        is_folder = bare != "" and model.is_dir()
    except OSError as error:
        raise source.error((*path, "model"), f"model: {error.strerror}: {bare[:60]!r}") from error
    return msgspec.structs.replace(deployment, model=str(model)) if is_folder else deployment


def _with_files(source: Source, folder: FilePath, tls: Tls) -> Tls:
    """The files as absolute paths. They are read when the server is made."""
    named = {name: value for name in ("cert", "key", "client_ca") if (value := getattr(tls, name))}
    path: Path = ("gateway", "tls")
    found = {n: str(_expanded(source, (*path, n), folder, v)) for n, v in named.items()}
    return msgspec.structs.replace(tls, **found)


def _expanded(source: Source, path: Path, folder: FilePath, text: str) -> FilePath:
    if "\0" in text:
        raise source.error(path, f"{path[-1]}: a path holds no NUL character")
    try:
        return (folder / FilePath(text).expanduser()).absolute()
    except RuntimeError as error:  # ~nobody
        raise source.error(path, f"{path[-1]}: {error}: {text!r}") from None


def _route(source: Source, index: int, deployment: Deployment, environ: Mapping[str, str]) -> Route:
    path: Path = ("deployment", index)
    try:
        route = choose(deployment, environ)
    except ConfigError as error:
        field = "model" if deployment.runtime is None else "runtime"
        raise type(error)(f"{source.where((*path, field))}: {error}") from error
    for field in ("base_url", "credentials"):
        if route.runtime == "onnx" and getattr(deployment, field) is not None:
            raise source.error(
                (*path, field),
                f"deployment {deployment.name!r}: {field} is only for remote runtimes, "
                f"this one is 'onnx' ({route.rule})",
            )
    return route
