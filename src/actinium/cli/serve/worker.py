"""The gateway in one of several processes behind the same port."""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import AsyncExitStack

import msgspec

from actinium.base.measures import Measure
from actinium.base.snapshot import joined, shots_of
from actinium.core import Actor, Message, Ref, on
from actinium.errors import ActiniumError, StoreError
from actinium.inference import ModelInfo
from actinium.inference.limits import Accounts
from actinium.inference.limits.sharing import Part, Sharing
from actinium.inference.tenants import Keyring
from actinium.ops import LogSettings
from actinium.serve import settle
from actinium.serve.admin.crew import Alone
from actinium.serve.admin.shapes import Apply, DrainBody, Force
from actinium.serve.admin.usage import Question
from actinium.topology import Plan

from ..logs import log_writer
from .announce import KEY_VARIABLE
from .crew import Workers
from .host import Host, Together, bound
from .hub import (
    Gather,
    Gathered,
    Join,
    Joined,
    KeyChanged,
    Measured,
    Order,
    Remit,
    Said,
    Shots,
    Used,
)
from .options import gateway_key
from .report import answers

_JOIN_SECONDS = 30.0
"""The first process answers at once, unless it has much to do."""

_AGAIN_SECONDS = 0.5
"""Between two attempts to read a key from a store that fails."""

_log = logging.getLogger("actinium.cli.serve")


class Load(Message, frozen=True):
    """Load the models; a worker tells it to itself."""


class Loaded(Message, frozen=True):
    """What is served where, once the models are loaded."""


class Serving(Message, frozen=True):
    """The answer to :class:`Loaded`."""

    url: str
    models: tuple[ModelInfo, ...]


class Reload(Message, frozen=True):
    """Read the certificates anew."""


class Unfinished(Message, frozen=True):
    """How many requests have not ended."""


class Drain(Message, frozen=True):
    """Take no more requests, and wait for those under way for so many seconds."""

    seconds: float


class Finish(Message, frozen=True):
    """End what is left, and say what was done."""


class Done(Message, frozen=True):
    """What one worker did in all."""

    answered: int
    refused: int
    turns: int | None
    cut_off: int


class Remittance:
    """The accounts of one worker: the first process keeps them."""

    def __init__(self, hub: Ref) -> None:
        self._hub = hub
        self.accounts: Accounts | None = None

    async def load(self) -> None:
        """Nothing: they begin empty."""

    async def save(self) -> None:
        """Tells what was used since the last time. Raises StoreError."""
        taken = self.accounts.take() if self.accounts is not None else []
        if not taken:
            return
        try:
            await self._hub.ask(Used(tuple(taken)), _JOIN_SECONDS)
        except ActiniumError as error:
            assert self.accounts is not None
            for line, totals in taken:
                self.accounts.put(line, totals)
            raise StoreError("the first process does not take the accounts") from error


class GatewayWorker(Actor, concurrent=16):
    """Serves a plan on its port together with the others of its kind.

    It listens once its models are loaded. When its process dies, the system makes it anew in the
    next one from the same plan, which holds no secrets: those come from the environment; what has
    been changed since the hub tells. Limits and budgets are those of all workers together, of
    which it is number ``part``.
    """

    def __init__(self, plan: Plan, part: int, hub: Ref) -> None:
        self._plan = plan
        self._stack = AsyncExitStack()
        self._host: Host | None = None
        self._crew: Alone
        self._failed: ActiniumError | None = None
        self._hub = hub
        self._node = str(part)
        members = [str(number) for number in range(1, plan.gateway.workers + 1)]
        self._sharing = Sharing(self._node, members, self._say)
        self._remittance = Remittance(hub)
        self._missed: list[Order | KeyChanged] = []

    def started(self) -> None:
        if self._plan.log != LogSettings():
            log_writer(self._plan.log)
        self.ctx.self_ref.tell(Load())

    @on
    async def load(self, m: Load) -> None:
        try:
            await self._begin()
        except ActiniumError as error:
            _log.error("the models could not be loaded: %s", error)
            self._failed = error
        else:
            settle()
        self.ctx.unstash_all()
        self.ctx.become("loaded")

    async def _begin(self) -> None:
        joined: Joined = await self._hub.ask(Join(), _JOIN_SECONDS)
        self._sharing.hear("", joined.parts)
        plan = msgspec.structs.replace(self._plan, deployments=joined.deployments)
        key = gateway_key(os.environ.get(KEY_VARIABLE), plan, os.environ)
        together = Together(
            self._sharing, self._gather, Workers(self._hub), self._remittance, self._announce
        )
        host = Host(plan, key, self.ctx.system, together)
        self._remittance.accounts = host.inference.accounts
        self._crew = Alone(host.inference, host.keys)
        await host.inference.start()
        self._sharing.start()
        self._stack.push_async_callback(self._sharing.close)
        for name in joined.drained:
            await host.inference.drain(name, 0)
        for order in joined.forced:
            await self._follow(order)
        await self._stack.enter_async_context(bound(host))
        self._host = host
        for missed in self._missed:
            await self._catch_up(host, missed)

    @on
    def wait(self, m: Loaded) -> None:
        self.ctx.stash()

    @on(state="loaded", raises=(ActiniumError,))
    def loaded(self, m: Loaded) -> Serving:
        if self._failed is not None:
            raise self._failed
        assert self._host is not None, "what has not failed serves"
        return Serving(self._host.gateway.url, self._host.inference.models())

    @on
    def reload(self, m: Reload) -> None:
        if self._host is not None:
            self._host.reload()

    @on
    def unfinished(self, m: Unfinished) -> int:
        return self._host.unfinished if self._host is not None else 0

    @on
    def said(self, m: Said) -> None:
        self._sharing.hear(m.node, m.parts)

    @on
    def measured(self, m: Measured) -> Shots:
        return Shots(shots_of(self._host.inference.registry if self._host is not None else ()))

    @on
    async def drain(self, m: Drain) -> bool:
        return self._host is None or await self._host.gateway.drain(m.seconds)

    @on
    async def finish(self, m: Finish) -> Done:
        if self._host is None:
            return Done(0, 0, None, 0)
        cut_off = await self._host.cut_off()
        if self._host.keys is not None:
            await self._host.keys.save()
        answered, refused = answers(self._host.inference.registry)
        return Done(answered, refused, self._host.turns, cut_off)

    @on(raises=(ActiniumError,))
    async def order(self, m: Order) -> bytes:
        if self._host is None:
            self._missed.append(m)
            return b""
        return await self._follow(m)

    @on
    async def key_changed(self, m: KeyChanged) -> bool:
        if self._host is None:
            self._missed.append(m)
        elif self._host.keys is not None:
            await self._refresh(self._host.keys, m.id)
        return True

    @on
    async def remit(self, m: Remit) -> bool:
        if self._host is not None and self._host.keys is not None:
            await self._host.keys.save()
        return True

    async def _catch_up(self, host: Host, missed: Order | KeyChanged) -> None:
        """What came while the models were loaded."""
        if isinstance(missed, Order):
            await self._follow(missed)
        elif host.keys is not None:
            await self._refresh(host.keys, missed.id)

    async def _follow(self, m: Order) -> bytes:
        """Does what an operator wants of all workers, here."""
        crew = self._crew
        view: object
        match m.what:
            case "deployments":
                view = await crew.deployments()
            case "breakers":
                view = await crew.breakers()
            case "limits":
                view = await crew.limits()
            case "apply":
                await crew.apply(msgspec.json.decode(m.body, type=Apply))
                view = await crew.deployments()
            case "drain":
                view = await crew.drain(m.name, msgspec.json.decode(m.body, type=DrainBody).seconds)
            case "force":
                view = await crew.force(m.name, msgspec.json.decode(m.body, type=Force))
            case "usage":
                view = await crew.usage(msgspec.json.decode(m.body, type=Question))
        return msgspec.json.encode(view)

    def _say(self, parts: tuple[Part, ...]) -> None:
        self._hub.tell(Said(self._node, parts))

    async def _announce(self, id: str, gone: bool) -> None:
        """Returns when all other workers that answer know of a key's change."""
        try:
            await self._hub.ask(KeyChanged(self._node, id, gone), _JOIN_SECONDS)
        except ActiniumError as error:
            _log.error("the other workers could not be told that key %s changed: %s", id, error)

    async def _refresh(self, keys: Keyring, id: str) -> None:
        """Reads a key again, until that works: it may have been revoked."""
        while True:
            try:
                await keys.refresh(id)
            except StoreError as error:
                _log.error("key %s cannot be read again, and is tried again: %s", id, error)
                await asyncio.sleep(_AGAIN_SECONDS)
            else:
                return

    async def _gather(self) -> list[Measure]:
        gathered: Gathered = await self._hub.ask(Gather(), 5.0)
        return joined(gathered.shots)

    async def stopping(self, reason: str) -> None:
        await self._stack.aclose()
