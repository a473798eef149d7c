"""What the workers of one gateway know together, and what their operator wants of all of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Final, Literal

import msgspec

from actinium.base.snapshot import Shot
from actinium.core import Actor, Message, Ref, on
from actinium.errors import ActiniumError, ConfigError, Conflict, InferenceError, ModelNotReady
from actinium.inference import Deployment
from actinium.inference.limits.accounts import Line, Totals
from actinium.inference.limits.sharing import Part
from actinium.serve.admin import usage
from actinium.serve.admin.shapes import Apply, DrainBody, Force, UsageRows

from .ledger import Ledger

_SECONDS: Final = 2.0
"""How long one worker may take to say what it knows; others are not kept waiting by it."""

LOAD_SECONDS: Final = 24 * 3600.0
"""A model may take long to load."""

_CLOSE_SECONDS: Final = 30.0
"""How much longer than asked for a drain may take."""

What = Literal["deployments", "breakers", "limits", "usage", "apply", "drain", "force"]


class Members(Message, frozen=True):
    """Who they are."""

    refs: tuple[Ref, ...]


class Measured(Message, frozen=True):
    """What one of them measured: asked for by the hub."""


class Shots(Message, frozen=True):
    """The answer to :class:`Measured`."""

    shots: tuple[Shot, ...]


class Join(Message, frozen=True):
    """A worker begins: what has happened before it came?"""


class Joined(Message, frozen=True):
    """The answer to :class:`Join`: what the others know of the limits that all have together, what
    is served now, of that what was drained, and the orders for breakers that hold still."""

    parts: tuple[Part, ...]
    deployments: tuple[Deployment, ...]
    drained: tuple[str, ...]
    forced: tuple[Order, ...]


class Said(Message, frozen=True):
    """What a worker tells all others of these limits."""

    node: str
    parts: tuple[Part, ...]


class Order(Message, frozen=True):
    """What an operator wants of all workers, and so of each one; ``body`` is JSON."""

    what: What
    name: str = ""
    body: bytes = b""


class Answers(Message, frozen=True):
    """What the workers answered, as JSON."""

    bodies: tuple[bytes, ...]
    generation: int
    strict: tuple[str, ...] = ()


class KeyChanged(Message, frozen=True):
    """A worker has changed, made or deleted a key in the store: the others read it again."""

    node: str
    id: str
    gone: bool


class Used(Message, frozen=True):
    """What was used of a worker since it told that last."""

    lines: tuple[tuple[Line, Totals], ...]


class Remit(Message, frozen=True):
    """Tell now what was used: asked for by the hub."""


class Gather(Message, frozen=True):
    """What all of them measured: asked for by one who shows it."""


class Gathered(Message, frozen=True):
    """The answer to :class:`Gather`, by the workers' numbers. One that does not answer is left
    out."""

    shots: dict[str, tuple[Shot, ...]]


class Standing:
    """What holds now, for as long as the first process lives: who serves, and what was ordered."""

    def __init__(self, deployments: tuple[Deployment, ...]) -> None:
        self.members: tuple[Ref, ...] = ()
        self.deployments = deployments
        self.generation = 1
        self.drained: set[str] = set()
        self.forced: dict[str, tuple[float, Force]] = {}


class Hub(Actor, concurrent=64):
    """Lives in the first process, and outlives the workers.

    Orders that change something are given one after the other. A worker that dies meanwhile gets
    to know what holds when it joins again.
    """

    def __init__(self, standing: Standing, ledger: Ledger) -> None:
        self._standing = standing
        self._ledger = ledger
        self._changing = asyncio.Lock()

    @on
    def meet(self, m: Members) -> None:
        self._standing.members = m.refs

    @on
    def join(self, m: Join) -> Joined:
        now = time.monotonic()
        forced = tuple(
            Order(
                "force", name, msgspec.json.encode(msgspec.structs.replace(f, seconds=until - now))
            )
            for name, (until, f) in self._standing.forced.items()
            if until > now
        )
        parts = self._ledger.mirror.parts()
        return Joined(parts, self._standing.deployments, tuple(self._standing.drained), forced)

    @on
    def said(self, m: Said) -> None:
        # Whoever hears of it hears of it here: what this process knows is never less.
        self._ledger.mirror.hear(m.parts)
        for number, member in enumerate(self._standing.members, 1):
            if str(number) != m.node:
                member.tell(m)

    @on
    async def gather(self, m: Gather) -> Gathered:
        answers = await self._each(Measured(), _SECONDS)
        return Gathered(
            {
                str(number): answer.shots
                for number, answer in enumerate(answers, 1)
                if isinstance(answer, Shots)
            }
        )

    @on(raises=(ActiniumError,))
    async def order(self, m: Order) -> Answers:
        match m.what:
            case "deployments" | "breakers" | "limits":
                return self._answers(await self._each(m, _SECONDS))
            case "usage":
                return await self._usage(m)
        async with self._changing:
            match m.what:
                case "apply":
                    return await self._apply(msgspec.json.decode(m.body, type=Apply))
                case "drain":
                    return await self._drain(m)
                case _:
                    return await self._force(m)

    @on
    def used(self, m: Used) -> bool:
        for line, totals in m.lines:
            self._ledger.accounts.put(line, totals)
        return True

    @on
    async def key_changed(self, m: KeyChanged) -> bool:
        if m.gone:
            self._ledger.mirror.forget(f"key:{m.id}")
        others = [member for n, member in enumerate(self._standing.members, 1) if str(n) != m.node]
        await asyncio.gather(*(o.ask(m, _SECONDS) for o in others), return_exceptions=True)
        return True

    # -- inside

    async def _usage(self, m: Order) -> Answers:
        await self._each(Remit(), _SECONDS)
        asked = msgspec.json.decode(m.body, type=usage.Question)
        rows = usage.answer(self._ledger.accounts.usage(), asked)
        return Answers((msgspec.json.encode(UsageRows(rows)),), self._standing.generation)

    async def _apply(self, change: Apply) -> Answers:
        if change.generation is not None and change.generation != self._standing.generation:
            raise Conflict(
                f"the deployments are those of generation {self._standing.generation}, and not "
                f"{change.generation}: somebody else has changed them; look at them again"
            )
        change = msgspec.structs.replace(change, generation=None)
        answers = await self._each(Order("apply", "", msgspec.json.encode(change)), LOAD_SECONDS)
        refusal = _refusal(answers)
        if refusal is not None:
            before = msgspec.structs.replace(change, deployments=self._standing.deployments)
            back = Order("apply", "", msgspec.json.encode(before))
            changed = [m for m, a in zip(self._standing.members, answers, strict=True)
                       if not isinstance(a, BaseException)]  # fmt: skip
            now = msgspec.json.encode(DrainBody(seconds=0))
            for order in (back, *(Order("drain", name, now) for name in self._standing.drained)):
                await asyncio.gather(
                    *(member.ask(order, LOAD_SECONDS) for member in changed),
                    return_exceptions=True,
                )
            raise refusal
        self._standing.deployments = change.deployments
        self._standing.generation += 1
        self._standing.drained.clear()
        return self._answers(answers)

    async def _drain(self, m: Order) -> Answers:
        seconds = msgspec.json.decode(m.body, type=DrainBody).seconds
        answers = self._answers(await self._each(m, seconds + _CLOSE_SECONDS))
        names = {name: d.name for d in self._standing.deployments for name in (d.name, *d.aliases)}
        if m.name in names:
            self._standing.drained.add(names[m.name])
        return answers

    async def _force(self, m: Order) -> Answers:
        answers = self._answers(await self._each(m, _SECONDS))
        change = msgspec.json.decode(m.body, type=Force)
        if change.state == "open":
            self._standing.forced[m.name] = time.monotonic() + change.seconds, change
        else:
            self._standing.forced.pop(m.name, None)
        return answers

    async def _each(self, m: Message, seconds: float) -> list[Any]:
        """The answer of each worker, or what went wrong with it."""
        asks = [member.ask(m, seconds) for member in self._standing.members]
        return list(await asyncio.gather(*asks, return_exceptions=True))

    def _answers(self, answers: Sequence[Any]) -> Answers:
        """Those of the workers that live; what one of them refuses is refused."""
        refusal = _refusal(answers)
        if refusal is not None:
            raise refusal
        bodies = tuple(answer for answer in answers if isinstance(answer, bytes) and answer)
        if not bodies:
            raise ModelNotReady("no worker of the gateway answers; try again later")
        strict = tuple(
            f"deployment:{d.name}"
            for d in self._standing.deployments
            if d.limits is not None and d.limits.strict is not None
        )
        return Answers(bodies, self._standing.generation, strict)


def _refusal(answers: Sequence[Any]) -> ActiniumError | None:
    """What a worker said against an order. One that has died says nothing."""
    refused = (a for a in answers if isinstance(a, (InferenceError, ConfigError)))
    return next(refused, None)
