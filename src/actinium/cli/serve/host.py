"""Everything a server process consists of, started and ended in the right order."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from actinium.base.secret import Secret
from actinium.core import Report, System
from actinium.errors import Unavailable
from actinium.inference import Inference
from actinium.inference.session import SessionActors
from actinium.serve import Gateway
from actinium.topology import Plan

from ..failures import CANNOT_BIND, CommandFailed
from ..places import open_store
from .signals import until

_LAST_WORDS_SECONDS = 1.0
"""How long answers that were cut off may take to tell their clients so."""


class Host:
    """A gateway that is bound, and what stands behind it; models are loaded by ``inference``."""

    def __init__(
        self,
        system: System,
        sessions: SessionActors | None,
        inference: Inference,
        gateway: Gateway,
    ) -> None:
        self.system = system
        self.sessions = sessions
        self.inference = inference
        self.gateway = gateway

    @property
    def unfinished(self) -> int:
        """Requests that were accepted and have not ended."""
        deployments = self.inference.statistics().values()
        return sum(d["running"] + d["waiting"] for d in deployments)

    async def end(self, drain: float, force: asyncio.Event) -> tuple[int, Report]:
        """Drains for ``drain`` seconds or until ``force``, then stops everything.

        Returns how many answers were cut off, and the actor system's report.
        """
        await until(force, self.gateway.drain(drain))
        cut_off = self.unfinished
        await self.inference.close(drain=0)  # what is left ends with an error in band
        if cut_off:
            await self.gateway.drain(_LAST_WORDS_SECONDS)
        return cut_off, await self.system.shutdown(drain_timeout=0 if force.is_set() else None)


@asynccontextmanager
async def hosting(plan: Plan, key: Secret | None) -> AsyncIterator[Host]:
    """Binds the gateway of a plan. Nothing is loaded yet: ``/readyz`` says so.

    Raises CommandFailed where the address is taken or the store cannot be opened, ConfigError
    for what only a runner can find wrong.
    """
    where = plan.gateway
    async with AsyncExitStack() as stack:
        store = await open_store(plan.system.store)
        if store is not None:
            stack.push_async_callback(store.close)
        system = System(plan.system.name, settings=plan.system.settings(), store=store)
        await stack.enter_async_context(system)
        sessions = SessionActors(system) if store is not None else None
        inference = Inference(plan.deployments, runner_factory=plan.runner, sessions=sessions)
        gateway = Gateway(
            inference, where.host, where.port, api_key=key, insecure=where.insecure, tls=where.tls
        )
        try:
            await stack.enter_async_context(gateway)
        except Unavailable as error:
            raise _cannot_bind(plan, error) from error
        stack.push_async_callback(inference.close, drain=0)
        yield Host(system, sessions, inference, gateway)


def _cannot_bind(plan: Plan, error: Unavailable) -> CommandFailed:
    host, port = plan.gateway.host, plan.gateway.port
    cause = error.__cause__
    if isinstance(cause, OSError) and cause.errno == errno.EADDRINUSE:
        free = f"--port {port + 1}" if port < 65535 else "--port 0"
        return CommandFailed(
            f"port {port} on {host} is taken by another program",
            f"choose another one with {free}, or any free one with --port 0",
            CANNOT_BIND,
        )
    return CommandFailed(str(error), "see --host and --port", CANNOT_BIND)
