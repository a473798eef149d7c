"""What the workers of one gateway know together."""

from __future__ import annotations

import asyncio

from actinium.base.snapshot import Shot
from actinium.core import Actor, Message, Ref, on

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

    @on
    def meet(self, m: Members) -> None:
        self._members = m.refs

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
