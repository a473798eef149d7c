"""Several processes with limits together, as objects in one virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any, Literal

from actinium.errors import InferenceError
from actinium.inference import (
    Burst,
    Capabilities,
    Chunk,
    Deployment,
    Embedding,
    EmbedRequest,
    Health,
    Inference,
    Message,
    Request,
    Sampling,
    Usage,
)
from actinium.inference.limits import Accounts
from actinium.inference.limits.mirror import Mirror
from actinium.inference.limits.sharing import Part, Sharing
from actinium.inference.runner import Progress

DELAY = 0.001
"""Seconds from one process to another."""


class Upstream:
    """Answers what it was asked for, and knows when, how much and how many at once."""

    transport: Literal["cpu", "gpu", "remote"] = "remote"

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.at: list[tuple[float, int]] = []
        self.live = 0
        self.peak = 0

    def capabilities(self) -> Capabilities:
        return Capabilities()

    async def load(self, progress: Progress | None = None) -> None:
        """Nothing to load."""

    async def generate(self, request: Request) -> AsyncGenerator[Burst]:
        tokens = request.sampling.max_tokens or 1
        self.at.append((asyncio.get_running_loop().time(), tokens))
        self.live += 1
        self.peak = max(self.peak, self.live)
        try:
            if self.seconds:
                await asyncio.sleep(self.seconds)
            yield [Chunk(text="x", finish="stop", usage=Usage(input=0, output=tokens))]
        finally:
            self.live -= 1

    async def embed(self, request: EmbedRequest) -> Embedding:
        raise NotImplementedError

    def count_tokens(self, request: Request) -> int | None:
        return 0

    async def health(self) -> Health:
        return Health(ok=True)

    async def close(self) -> None:
        """Nothing to close."""

    def most(self, tokens: bool = False) -> int:
        """The most in any 60 seconds: requests, or tokens."""
        most = start = inside = 0
        for at, amount in self.at:
            inside += amount if tokens else 1
            while self.at[start][0] <= at - 60:
                inside -= self.at[start][1] if tokens else 1
                start += 1
            most = max(most, inside)
        return most


class Site:
    """Processes that share the limits of the deployment ``m``, and what carries their words."""

    def __init__(
        self, number: int, deployment: Deployment, upstream: Upstream | None = None, *,
        keyed: bool = False,
    ) -> None:  # fmt: skip
        self.upstream = upstream or Upstream()
        self.deployment = deployment
        self.keyed = keyed
        self.names = [str(n) for n in range(1, number + 1)]
        self.mirror = Mirror(self.names, monotonic=lambda: asyncio.get_running_loop().time())
        self.sharing: dict[str, Sharing] = {}
        self.inference: dict[str, Inference] = {}
        self.words = 0

    async def __aenter__(self) -> Site:
        for name in self.names:
            await self.begin(name)
        return self

    async def __aexit__(self, *_: object) -> None:
        for name in self.names:
            if name in self.sharing:
                await self.sharing[name].close()
            await self.inference[name].close(drain=0)

    async def begin(self, name: str) -> None:
        """A process starts, perhaps again."""
        sharing = Sharing(name, self.names, lambda parts: self._carry(name, sharing, parts))
        self.sharing[name] = sharing
        sharing.hear("", self.mirror.parts())
        self.inference[name] = Inference(
            [self.deployment], runner_factory=lambda d: self.upstream, sharing=sharing,
            accounts=Accounts() if self.keyed else None,
        )  # fmt: skip
        await self.inference[name].start()
        sharing.start()

    def kill(self, name: str) -> None:
        """A process is gone, with all that it has not told."""
        sharing = self.sharing.pop(name)
        assert sharing._ticker is not None
        sharing._ticker.cancel()

    def _carry(self, name: str, sharing: Sharing, parts: tuple[Part, ...]) -> None:
        if self.sharing.get(name) is not sharing:
            return  # a dead process says nothing
        self.words += 1
        self.mirror.hear(parts)
        for other in self.names:
            if other != name:
                asyncio.get_running_loop().call_later(DELAY, self._deliver, name, other, parts)

    def _deliver(self, name: str, other: str, parts: tuple[Part, ...]) -> None:
        if other in self.sharing:
            self.sharing[other].hear(name, parts)

    async def ask(self, name: str, tokens: int = 1, **fields: Any) -> bool:
        """Whether a request to this process was let through."""
        hello = (Message(role="user", content="x"),)
        named = {"id": "r", "sampling": Sampling(max_tokens=tokens), **fields}
        try:
            await self.inference[name].complete(Request(model="m", messages=hello, **named))
        except InferenceError:
            return False
        return True

    async def load(self, name: str, seconds: float, every: float, tokens: int = 1) -> int:
        """Asks again and again; how many were let through."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        asks = []
        while loop.time() < until:
            asks.append(asyncio.ensure_future(self.ask(name, tokens)))
            await asyncio.sleep(every)
        return sum(await asyncio.gather(*asks))


async def together(*work: Any) -> Sequence[Any]:
    """All of it side by side."""
    return await asyncio.gather(*work)
