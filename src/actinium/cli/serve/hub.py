"""What the workers of one gateway know together."""

from __future__ import annotations

import asyncio

from actinium.base.snapshot import Shot
from actinium.core import Actor, Message, Ref, on
from actinium.inference.limits.mirror import Mirror
from actinium.inference.limits.sharing import Part

_SECONDS = 2.0
"""How long one worker may take to say what it measured; others are not kept waiting by it."""


class Members(Message, frozen=True):
    """Who they are."""

    refs: tuple[Ref, ...]


class Measured(Message, frozen=True):
    """What one of them measured: asked for by the hub."""


class Shots(Message, frozen=True):
    """The answer to :class:`Measured`."""

    shots: tuple[Shot, ...]


class Join(Message, frozen=True):
    """A worker begins: what do the others know of the limits that it has together with them?"""


class Joined(Message, frozen=True):
    """The answer to :class:`Join`."""

    parts: tuple[Part, ...]


class Said(Message, frozen=True):
    """What a worker tells all others of these limits."""

    node: str
    parts: tuple[Part, ...]


class Gather(Message, frozen=True):
    """What all of them measured: asked for by one who shows it."""


class Gathered(Message, frozen=True):
    """The answer to :class:`Gather`, by the workers' numbers. One that does not answer is left
    out."""

    shots: dict[str, tuple[Shot, ...]]


class Hub(Actor, concurrent=8):
    """Lives in the first process, and outlives the workers."""

    def __init__(self) -> None:
        self._members: tuple[Ref, ...] = ()
        self._mirror = Mirror()

    @on
    def meet(self, m: Members) -> None:
        self._members = m.refs

    @on
    def join(self, m: Join) -> Joined:
        return Joined(self._mirror.parts())

    @on
    def said(self, m: Said) -> None:
        # Whoever hears of it hears of it here: what this process knows is never less.
        self._mirror.hear(m.parts)
        for number, member in enumerate(self._members, 1):
            if str(number) != m.node:
                member.tell(m)

    @on
    async def gather(self, m: Gather) -> Gathered:
        asks = [member.ask(Measured(), _SECONDS) for member in self._members]
        answers = await asyncio.gather(*asks, return_exceptions=True)
        return Gathered(
            {
                str(number): answer.shots
                for number, answer in enumerate(answers, 1)
                if isinstance(answer, Shots)
            }
        )
