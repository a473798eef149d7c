"""All sessions of one process, behind the seam of the request path."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import msgspec

from actinium.core import System
from actinium.errors import (
    ActorStopped,
    EngineOverloaded,
    MailboxFull,
    ModelNotReady,
    SequenceConflict,
    SessionNotFound,
    StreamError,
    Unsupported,
    WorkerDied,
)
from actinium.store import Store

from ..chunk import Burst
from ..request import Message, Request
from .actor import Find, Session, TakeTurn, answer_with, erased, store_key
from .window import Turn


class SessionActors:
    """Takes turns of sessions; give it to :class:`Inference` as ``sessions``.

    Sessions live in ``system`` (which needs a store) as entities: in memory while they are
    used, in the store for ever. Where the system has workers, a session lives on one of them, and
    that one's models answer.
    """

    def __init__(self, system: System) -> None:
        self._system = system
        self.turns = 0

    def serve(self, find: Find) -> None:
        """Says who answers in this process; :class:`Inference` does."""
        answer_with(self._system, find)

    async def turn(self, request: Request) -> AsyncGenerator[Burst]:
        """The answer to one turn. Raises InferenceError; the history grows at its end only."""
        if request.session is None or request.prompt is not None or request.n != 1:
            raise Unsupported("a session takes chat messages and n=1", "n")
        session = self._system.entity(Session, request.session)
        self.turns += 1
        try:
            async with session.stream(TakeTurn(request), items=16) as bursts:
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
        except WorkerDied as e:
            raise ModelNotReady(
                f"the process of session {request.session!r} has died and is started again"
            ) from e

    async def history(self, session: str) -> tuple[Message, ...]:
        """All stored messages of a session. Raises SessionNotFound, StoreError."""
        rows = await self._store.read(store_key(session))
        if not rows:
            raise SessionNotFound(f"there is no session {session!r}")
        turns = [msgspec.msgpack.decode(row, type=Turn) for _, row in rows]
        return tuple(message for turn in turns for message in turn.messages)

    async def kept(self, session: str) -> tuple[Turn | None, ...]:
        """The turns of a session, None in place of those whose answers were erased; none at all
        where there is no session. Raises StoreError."""
        rows = await self._store.read(store_key(session))
        if not rows:
            return ()
        gone, _ = await erased(self._store, session)
        return tuple(
            None if at in gone else msgspec.msgpack.decode(row, type=Turn) for at, row in rows
        )

    async def erase(self, session: str, turn: int) -> None:
        """Erases the answer of a turn, from 1 on: nobody is shown it or goes on after it.

        What later answers stand on stays until the last of them is erased; then all of it goes.
        Raises SessionNotFound where there is no such answer, StoreError.
        """
        while True:
            held = await self._store.last(store_key(session))
            gone, revision = await erased(self._store, session)
            if turn in gone or not 0 < turn <= held:
                raise SessionNotFound(f"session {session!r} has no answer {turn}")
            gone |= {turn}
            live = self._system.entity(Session, session)
            if len(gone) < held:
                record = msgspec.msgpack.encode(sorted(gone))
                try:
                    await self._store.save(store_key(session), record, revision)
                except SequenceConflict:
                    continue  # another one was erased meanwhile
                await live.stop()  # it knows when it is back
                return
            await live.stop()
            if await self._store.last(store_key(session)) == held:  # no turn ended meanwhile
                await self._store.delete(store_key(session))
                return

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
