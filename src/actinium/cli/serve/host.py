"""Everything a server process consists of, started and ended in the right order."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec

from actinium.base.secret import Secret
from actinium.core import Report, System
from actinium.errors import ConfigError, Unavailable
from actinium.inference import Inference
from actinium.inference.limits import Accounts
from actinium.inference.limits.sharing import Sharing
from actinium.inference.session import SessionActors
from actinium.inference.tenants import Keyring
from actinium.inference.tenants.book import Keeper
from actinium.inference.tenants.keyring import Announce
from actinium.ops import RequestLog, Tracing, TracingSettings, watch_system
from actinium.serve import Gateway
from actinium.serve.admin.crew import Crew
from actinium.serve.context import Gather
from actinium.store import Store
from actinium.topology import Plan

from ..failures import CANNOT_BIND, CommandFailed
from ..logs import log_writer
from ..places import open_store
from .options import admin_of
from .signals import until

_log = logging.getLogger("actinium.cli.serve")

_LAST_WORDS_SECONDS = 1.0
"""How long answers that were cut off may take to tell their clients so."""


class Together(msgspec.Struct, frozen=True):
    """What one of several processes has together with the others."""

    sharing: Sharing
    gather: Gather
    crew: Crew
    keeper: Keeper
    announce: Announce


class Host:
    """The gateway of a plan, and what stands behind it in a system that runs.

    Models are loaded by ``inference``; ``together`` makes it one of several on its port.
    """

    def __init__(
        self, plan: Plan, key: Secret | None, system: System, together: Together | None = None
    ) -> None:
        self.where = where = plan.gateway
        self.system = system
        self.sessions = SessionActors(system) if system.store is not None else None
        self.inference = Inference(
            plan.deployments,
            runner_factory=plan.runner,
            sessions=self.sessions,
            accounts=Accounts() if plan.keyed else None,
            sharing=together.sharing if together is not None else None,
        )
        watch_system(self.inference.registry, system)
        self.tracing = _tracing(plan)
        self.keys = _keyring(plan, self.inference, system.store, together) if plan.keyed else None
        self.gateway = Gateway(
            self.inference,
            where.host,
            where.port,
            api_key=key,
            keys=self.keys,
            admin=admin_of(plan, os.environ),
            insecure=where.insecure,
            tls=where.tls,
            shared=together is not None,
            gather=together.gather if together is not None else None,
            crew=together.crew if together is not None else None,
            tracing=self.tracing,
            request_log=_request_log(plan, self.inference),
        )

    @property
    def unfinished(self) -> int:
        """Requests that were accepted and have not ended."""
        deployments = self.inference.statistics().values()
        return sum(d["running"] + d["waiting"] for d in deployments)

    @property
    def turns(self) -> int | None:
        """Session turns so far; None where no sessions are kept."""
        return self.sessions.turns if self.sessions is not None else None

    def reload(self) -> None:
        """A certificate that was renewed is used from now on; one that is no good is not."""
        try:
            self.gateway.reload()
        except ConfigError as error:
            _log.error("not reloaded, what was there before stays: %s", error)
        else:
            _log.info("reloaded")

    async def end(self, drain: float, force: asyncio.Event) -> tuple[int, Report]:
        """Drains for ``drain`` seconds or until ``force``, then stops everything.

        Returns how many answers were cut off, and the actor system's report.
        """
        await until(force, self.gateway.drain(drain))
        cut_off = await self.cut_off()
        return cut_off, await self.system.shutdown(drain_timeout=0 if force.is_set() else None)

    async def cut_off(self) -> int:
        """Ends what has not ended, with an error in band; how many answers that were."""
        cut_off = self.unfinished
        await self.inference.close(drain=0)
        if cut_off:
            await self.gateway.drain(_LAST_WORDS_SECONDS)
        return cut_off


@asynccontextmanager
async def hosting(plan: Plan, key: Secret | None) -> AsyncIterator[Host]:
    """Binds the gateway of a plan. Nothing is loaded yet: ``/readyz`` says so.

    Raises CommandFailed where the address is taken or the store cannot be opened, ConfigError
    for what only a runner can find wrong.
    """
    async with AsyncExitStack() as stack:
        store = await open_store(plan.system.store)
        if store is not None:
            stack.push_async_callback(store.close)
        system = System(plan.system.name, settings=plan.system.settings(), store=store)
        await stack.enter_async_context(system)
        yield await stack.enter_async_context(bound(Host(plan, key, system)))


@asynccontextmanager
async def bound(host: Host) -> AsyncIterator[Host]:
    """Listens while the block runs, and ends what stands behind it at its end."""
    async with AsyncExitStack() as stack:
        if host.tracing is not None:
            stack.callback(host.tracing.close)
        try:
            await stack.enter_async_context(host.gateway)
        except Unavailable as error:
            where = host.where
            raise cannot_bind(where.host, where.port, error.__cause__ or error) from error
        stack.push_async_callback(host.inference.close, drain=0)
        yield host


def _tracing(plan: Plan) -> Tracing | None:
    return Tracing(plan.tracing) if plan.tracing != TracingSettings() else None


def _request_log(plan: Plan, inference: Inference) -> RequestLog | None:
    if not plan.log.requests:
        return None
    writer = log_writer(plan.log)
    writer.watch(inference.registry)
    return RequestLog(writer, plan.log)


def _keyring(
    plan: Plan, inference: Inference, store: Store | None, together: Together | None
) -> Keyring:
    try:
        return Keyring(
            inference, tenants=plan.tenants, keys=plan.keys, store=store,
            keeper=together.keeper if together is not None else None,
            announce=together.announce if together is not None else None,
        )  # fmt: skip
    except ConfigError as error:
        raise type(error)(f"{plan.file}: {error}") from error


def cannot_bind(host: str, port: int, error: BaseException) -> CommandFailed:
    """What the command says of an address that could not be bound."""
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        free = f"--port {port + 1}" if port < 65535 else "--port 0"
        return CommandFailed(
            f"port {port} on {host} is taken by another program",
            f"choose another one with {free}, or any free one with --port 0",
            CANNOT_BIND,
        )
    text = str(error)
    if isinstance(error, OSError):
        text = f"cannot listen on {host}:{port}: {error.strerror or error}"
    return CommandFailed(text, "see --host and --port", CANNOT_BIND)
