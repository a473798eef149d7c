"""The life of a gateway whose port is served by several worker processes."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, ExitStack
from typing import TypeVar

import msgspec

from actinium.base.secret import Secret
from actinium.core import Message, Ref, Report, System
from actinium.errors import ConfigError
from actinium.inference import Progress
from actinium.topology import AdminSection, GatewaySection, Plan

from ..places import IN_MEMORY, open_store
from ..screen import Screen
from .announce import KEY_VARIABLE
from .host import cannot_bind
from .hub import LOAD_SECONDS, Hub, Members, Standing
from .ledger import Ledger
from .life import announce, say_stopping
from .loading import loading
from .report import Served
from .signals import StopSignals, until
from .worker import Done, Drain, Finish, GatewayWorker, Loaded, Reload, Serving, Unfinished

T = TypeVar("T")

_GRACE_SECONDS = 5.0
"""How much longer than asked for a worker may take to say that it has drained."""


async def serve_many(plan: Plan, key: Secret | None, screen: Screen) -> None:
    """Serves with ``plan.gateway.workers`` processes until SIGINT or SIGTERM.

    Sessions are entities of the system, so each lives in one worker, whichever the request came
    to. A worker that dies is started again.

    Raises SystemFailed when a failure has ended the system, or another ActiniumError.
    """
    began = time.monotonic()
    if plan.system.store == IN_MEMORY:
        raise ConfigError(
            "sessions in memory live in one process, and there are "
            f"{plan.gateway.workers} workers: give --store PATH, or --no-store"
        )
    for deployment in plan.deployments:
        # What is wrong with one is better said before anything starts.
        plan.runner(deployment)
    if key is not None:
        os.environ[KEY_VARIABLE] = key.reveal()  # how the workers get to know it
    with StopSignals() as signals, ExitStack() as sockets:
        gateway = plan.gateway
        kept = sockets.enter_context(_reserved(gateway, gateway.port))
        gateway = msgspec.structs.replace(gateway, port=kept.getsockname()[1])
        admin = gateway.admin
        if admin is not None and admin.port is not None:
            kept = sockets.enter_context(_reserved(admin, admin.port))
            admin = msgspec.structs.replace(admin, port=kept.getsockname()[1])
            gateway = msgspec.structs.replace(gateway, admin=admin)
        plan = msgspec.structs.replace(plan, gateway=gateway)
        async with AsyncExitStack() as stack:
            crew = await _Crew.make(plan, stack)
            signals.on_reload(crew.reload)
            with loading(screen) as progress:
                loaded = await until(signals.stop, crew.load(progress))
            if loaded and crew.system.phase is None:
                seconds = time.monotonic() - began
                serving = crew.serving
                announce(screen, plan, serving.url, serving.models, key is not None, seconds)
                await until(signals.stop, crew.system.ended())
            if screen.live:
                screen.say()
            await _end(screen, plan, crew, signals.force)


class _Crew:
    """The workers of one gateway."""

    def __init__(self, plan: Plan, system: System, ledger: Ledger) -> None:
        self.system = system
        self.serving: Serving
        self._hub = hub = system.spawn(
            Hub, Standing(plan.deployments), ledger, place="local", name="gateway-hub"
        )
        self.members: list[Ref] = [
            system.spawn(GatewayWorker, plan, number, hub, place=number, name=f"gateway-{number}")
            for number in range(1, plan.gateway.workers + 1)
        ]
        hub.tell(Members(tuple(self.members)))

    @classmethod
    async def make(cls, plan: Plan, stack: AsyncExitStack) -> _Crew:
        store = await open_store(plan.system.store)
        if store is not None:
            stack.push_async_callback(store.close)
        system = System(
            plan.system.name,
            settings=plan.system.settings(),
            store=store,
            workers=plan.gateway.workers,
        )
        nodes = [str(number) for number in range(1, plan.gateway.workers + 1)]
        ledger = Ledger(store if plan.keyed else None, nodes)
        await ledger.open()
        stack.push_async_callback(ledger.close)
        await stack.enter_async_context(system)
        return cls(plan, system, ledger)

    async def load(self, progress: Progress) -> None:
        """Waits until all have loaded. Raises the first error of one."""
        asks = [member.ask(Loaded(), LOAD_SECONDS) for member in self.members]
        for number, ask in enumerate(asyncio.as_completed(asks), 1):
            self.serving = await ask
            progress(number / len(asks), f"{number} of {len(asks)} workers: ready")

    def reload(self) -> None:
        for member in self.members:
            member.tell(Reload())

    async def unfinished(self) -> int:
        return sum(await self._each(Unfinished(), _GRACE_SECONDS, int))

    async def drain(self, seconds: float) -> None:
        await self._each(Drain(seconds), seconds + _GRACE_SECONDS, bool)

    async def finish(self) -> list[Done]:
        done = await self._each(Finish(), 2 * _GRACE_SECONDS, Done)
        self._hub.tell(Members(()))  # they stop now, and need not hear of each other
        return done

    async def _each(self, msg: Message, timeout: float, kind: type[T]) -> list[T]:
        """The answers of those that are alive."""
        asks = [member.ask(msg, timeout) for member in self.members]
        answers = await asyncio.gather(*asks, return_exceptions=True)
        return [answer for answer in answers if isinstance(answer, kind)]


async def _end(screen: Screen, plan: Plan, crew: _Crew, force: asyncio.Event) -> None:
    began = time.monotonic()
    say_stopping(screen, plan, await crew.unfinished())
    await until(force, crew.drain(plan.gateway.drain))
    done = await crew.finish()
    report: Report = await crew.system.shutdown(drain_timeout=0 if force.is_set() else None)
    screen.say(_served(done, report, time.monotonic() - began).line())


def _served(done: Sequence[Done], report: Report, seconds: float) -> Served:
    turns = [one.turns for one in done if one.turns is not None]
    return Served(
        answered=sum(one.answered for one in done),
        refused=sum(one.refused for one in done),
        turns=sum(turns) if turns else None,
        cut_off=sum(one.cut_off for one in done),
        forced=report.forced,
        lost=report.lost,
        seconds=seconds,
    )


def _reserved(where: GatewaySection | AdminSection, port: int) -> socket.socket:
    """The port, kept for the workers while the socket is open: bound, but not listened on.

    The kernel shares connections out among the processes that listen (SO_REUSEPORT). Raises
    CommandFailed where another program has the port.
    """
    kept: socket.socket | None = None
    try:
        (family, kind, protocol, _, address), *_ = socket.getaddrinfo(
            where.host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        kept = socket.socket(family, kind, protocol)
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        kept.bind(address)
        return kept
    except OSError as error:
        if kept is not None:
            kept.close()
        raise cannot_bind(where.host, port, error) from error
