"""A partner in this process: no server is needed."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from typing import Self

from actinium.core import System
from actinium.errors import SessionNotFound
from actinium.inference import Burst, Deployment, Inference, Message, Progress, Request
from actinium.inference.session import SessionActors

from ..places import open_store


class LocalPartner:
    """The model runs in this process; no server is needed."""

    def __init__(
        self, stack: AsyncExitStack, inference: Inference, sessions: SessionActors | None
    ) -> None:
        self._stack = stack
        self._inference = inference
        self._sessions = sessions

    @classmethod
    async def open(
        cls, deployment: Deployment, store: str | None, progress: Progress | None
    ) -> Self:
        """Loads a deployment. Raises CommandFailed for the store, else what loading raises."""
        async with AsyncExitStack() as stack:
            kept = await open_store(store)
            if kept is not None:
                stack.push_async_callback(kept.close)
            system = await stack.enter_async_context(System("chat", store=kept))
            sessions = SessionActors(system) if kept is not None else None
            inference = Inference([deployment], sessions=sessions)
            stack.push_async_callback(inference.close, drain=0)
            await inference.start(progress)
            return cls(stack.pop_all(), inference, sessions)

    async def models(self) -> list[str]:
        return [model.id for model in self._inference.models()]

    def generate(self, request: Request) -> AsyncGenerator[Burst]:
        return self._inference.generate(request)

    async def history(self, session: str) -> tuple[Message, ...] | None:
        if self._sessions is None:
            return None
        try:
            return await self._sessions.history(session)
        except SessionNotFound:
            return ()

    async def sessions(self) -> list[str] | None:
        return None if self._sessions is None else await self._sessions.names()

    def can_remember(self) -> bool:
        return self._sessions is not None

    async def close(self) -> None:
        await self._stack.aclose()
