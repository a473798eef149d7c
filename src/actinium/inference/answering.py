"""What stands behind a public name: one replica, or a chain of deployments around several."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Protocol

from .chunk import Burst
from .deployment import Deployment
from .limits.line import Place
from .request import EmbedRequest, Request
from .runner import Capabilities, Embedding, ModelRunner


class Answering(Protocol):
    """See :class:`Replica`, the shortest way from a request to its answer, and
    :class:`Chain`, with limits, retries and fallback around it."""

    @property
    def deployment(self) -> Deployment: ...

    @property
    def runner(self) -> ModelRunner: ...

    @property
    def capabilities(self) -> Capabilities: ...

    @property
    def versatile(self) -> bool:
        """Whether it does everything a request may ask for."""

    @property
    def state(self) -> str: ...

    def generate(self, request: Request) -> AsyncGenerator[Burst]: ...

    async def complete(self, request: Request) -> Burst: ...

    async def embed(self, request: EmbedRequest) -> Embedding: ...

    async def count(self, request: Request) -> int: ...

    def place(self, id: str) -> Place | None:
        """Where the request of this id stands that waits; None where none does."""

    def ignored(self, request: Request) -> tuple[str, ...]: ...
