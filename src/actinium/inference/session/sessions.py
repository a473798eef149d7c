"""All sessions of one process, behind the seam of the request path."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import msgspec

from actinium.core import System, Unchecked
from actinium.errors import (
    ActorStopped,
    EngineOverloaded,
    MailboxFull,
    ModelNotReady,
    SessionNotFound,
    StreamError,
    Unsupported,
)
from actinium.store import Store

from ..answering import Answering
from ..chunk import Burst
from ..request import Message, Request
from .actor import Session, TakeTurn, store_key
from .window import Turn


class SessionActors:
    """Takes turns of sessions; give it to :class:`Inference` as ``sessions``.

    Sessions live in ``system`` (which needs a store) as entities: in memory while they are
    used, in the store for ever.
    """

    def __init__(self, system: System) -> None:
        self._system = system
        self.turns = 0

    async def turn(self, request: Request, replica: Answering) -> AsyncGenerator[Burst]:
        """The answer to one turn. Raises InferenceError; the history grows at its end only."""
        if request.session is None or request.prompt is not None or request.n != 1:
            raise Unsupported("a session takes chat messages and n=1", "n")
        session = self._system.entity(Session, request.session)
        self.turns += 1
        try:
            async with session.stream(TakeTurn(request, Unchecked(replica)), items=16) as bursts:
                async for burst in bursts:
                    for more in bursts.take_ready():  # one write for what is there already
                        burst = burst + more
                    yield burst
        except MailboxFull as e:
            raise EngineOverloaded(
                f"session {request.session!r} has too many turns waiting; wait for an answer"
            ) from e
        except (ActorStopped, StreamError) as e:
            raise ModelNotReady(f"session {request.session!r} was stopped") from e

    async def history(self, session: str) -> tuple[Message, ...]:
        """All stored messages of a session. Raises SessionNotFound, StoreError."""
        rows = await self._store.read(store_key(session))
        if not rows:
            raise SessionNotFound(f"there is no session {session!r}")
        turns = [msgspec.msgpack.decode(row, type=Turn) for _, row in rows]
        return tuple(message for turn in turns for message in turn.messages)

    async def names(self) -> list[str]:
        """The ids of all stored sessions."""
        prefix = store_key("")
        return [key.removeprefix(prefix) for key in await self._store.keys(prefix)]

    async def forget(self, session: str) -> None:
        """Erases the history of a session; a turn under way ends first."""
        live = self._system.entity(Session, session)
        await live.stop()
        await self._store.delete(store_key(session))

    @property
    def _store(self) -> Store:
        store = self._system.store
        if store is None:
            raise Unsupported("sessions need a store: write ac.System(store=...)")
        return store
