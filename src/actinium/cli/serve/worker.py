"""The gateway in one of several processes behind the same port."""

from __future__ import annotations

import logging
import os
from contextlib import AsyncExitStack

from actinium.base.measures import Measure
from actinium.base.snapshot import joined, shots_of
from actinium.core import Actor, Message, Ref, on
from actinium.errors import ActiniumError
from actinium.inference import ModelInfo
from actinium.inference.limits.sharing import Part, Sharing
from actinium.ops import LogSettings
from actinium.serve import settle
from actinium.topology import Plan

from ..logs import log_writer
from .announce import KEY_VARIABLE
from .host import Host, bound
from .hub import Gather, Gathered, Join, Joined, Measured, Said, Shots
from .options import gateway_key
from .report import answers

_JOIN_SECONDS = 30.0
"""The first process answers at once, unless it has much to do."""

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


class GatewayWorker(Actor, concurrent=16):
    """Serves a plan on its port together with the others of its kind.

    It listens once its models are loaded. When its process dies, the system makes it anew in the
    next one from the same plan, which holds no secrets: those come from the environment. Limits
    and budgets are those of all workers together, of which it is number ``part``.
    """

    def __init__(self, plan: Plan, part: int, hub: Ref) -> None:
        self._plan = plan
        self._stack = AsyncExitStack()
        self._host: Host | None = None
        self._failed: ActiniumError | None = None
        self._hub = hub
        node = str(part)
        members = [str(number) for number in range(1, plan.gateway.workers + 1)]
        self._sharing = Sharing(node, members, lambda parts: self._tell(node, parts))

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
        key = gateway_key(os.environ.get(KEY_VARIABLE), self._plan, os.environ)
        system = self.ctx.system
        host = Host(self._plan, key, system, gather=self._gather, sharing=self._sharing)
        await host.inference.start()
        self._sharing.start()
        self._stack.push_async_callback(self._sharing.close)
        await self._stack.enter_async_context(bound(host))
        self._host = host

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
        answered, refused = answers(self._host.inference.registry)
        return Done(answered, refused, self._host.turns, cut_off)

    def _tell(self, node: str, parts: tuple[Part, ...]) -> None:
        self._hub.tell(Said(node, parts))

    async def _gather(self) -> list[Measure]:
        gathered: Gathered = await self._hub.ask(Gather(), 5.0)
        return joined(gathered.shots)

    async def stopping(self, reason: str) -> None:
        await self._stack.aclose()
