"""Several keys for one deployment, as one runner."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any, Final, Literal, TypeVar

from actinium.errors import (
    InferenceError,
    QuotaExhausted,
    RateLimited,
    Unsupported,
    UpstreamAuth,
)
from actinium.inference.chunk import Burst
from actinium.inference.deployment import Deployment
from actinium.inference.request import EmbedRequest, Request
from actinium.inference.runner import (
    Capabilities,
    CountingRunner,
    DeclaringRunner,
    Embedding,
    Health,
    ModelRunner,
    Progress,
    WholeRunner,
)

_OF_THE_KEY: Final = (RateLimited, QuotaExhausted, UpstreamAuth)
"""Refusals that say nothing of another key."""

_RESTS: Final = {RateLimited: 1.0, UpstreamAuth: 30.0, QuotaExhausted: 300.0}
"""Seconds that a refused key rests where the server names none."""

T = TypeVar("T")


class _Key:
    """One key's runner, how much it does, and until when it rests."""

    __slots__ = ("inflight", "refusal", "runner", "until")

    def __init__(self, runner: ModelRunner) -> None:
        self.runner = runner
        self.inflight = 0
        self.until = 0.0
        self.refusal: InferenceError | None = None


class KeyPool:
    """A runner per key behind one: the least loaded key that does not rest serves.

    A key that is refused (its rate, its quota, or it itself) rests as long as the server says,
    and the request goes to the next one at once: a refused call was not done. Where the
    deployment is not idempotent the refusal is raised instead. Where all keys rest, it is raised
    with the time until the first of them is back.
    """

    transport: Literal["cpu", "gpu", "remote"] = "remote"

    def __init__(self, deployment: Deployment, runners: Sequence[ModelRunner]) -> None:
        self._again = deployment.idempotent
        self._name = deployment.name
        self._keys = [_Key(runner) for runner in runners]
        self._first = runners[0]

    def __repr__(self) -> str:
        return f"KeyPool({self._name!r}, {len(self._keys)} keys of {self._first!r})"

    def capabilities(self) -> Capabilities:
        return self._first.capabilities()

    async def load(self, progress: Progress | None = None) -> None:
        for key in self._keys:
            await key.runner.load(progress)

    async def generate(self, request: Request) -> AsyncGenerator[Burst]:
        """The answer by one key, or by the next one where that is refused before any content."""
        tried: set[_Key] = set()
        while True:
            key = self._choose(tried)
            began = False
            key.inflight += 1
            try:
                async with aclosing(key.runner.generate(request)) as source:
                    async for burst in source:
                        began = began or bool(burst)
                        yield burst
                return
            except _OF_THE_KEY as error:
                self._refused(key, error)
                tried.add(key)
                if began or not self._again:
                    raise
            finally:
                key.inflight -= 1

    async def complete(self, request: Request) -> Burst:
        """The whole answer."""

        async def whole(runner: ModelRunner) -> Burst:
            if isinstance(runner, WholeRunner):
                return await runner.complete(request)
            return [chunk async for burst in runner.generate(request) for chunk in burst]

        return await self._once(whole)

    async def embed(self, request: EmbedRequest) -> Embedding:
        return await self._once(lambda runner: runner.embed(request))

    async def count(self, request: Request) -> int:
        """Input tokens of a request. Raises Unsupported where the server has no call for it."""

        async def count(runner: ModelRunner) -> int:
            if isinstance(runner, CountingRunner):
                return await runner.count(request)
            raise Unsupported(
                f"deployment {self._name!r}: only its server knows how many tokens a prompt has, "
                "and has no call that tells",
                "model",
            )

        return await self._once(count)

    def count_tokens(self, request: Request) -> int | None:
        return self._first.count_tokens(request)

    def ignored(self, request: Request) -> tuple[str, ...]:
        """The fields that have no effect."""
        first = self._first
        return first.ignored(request) if isinstance(first, DeclaringRunner) else ()

    async def health(self) -> Health:
        """Well where one key is; else what the first one says."""
        found = await asyncio.gather(*(key.runner.health() for key in self._keys))
        return next((health for health in found if health.ok), found[0])

    def statistics(self) -> dict[str, Any]:
        """What each key does now."""
        now = asyncio.get_running_loop().time()
        return {
            f"key{at}": {"inflight": key.inflight, "rest": max(0.0, key.until - now)}
            for at, key in enumerate(self._keys, 1)
        }

    async def close(self) -> None:
        await asyncio.gather(*(key.runner.close() for key in self._keys))

    async def _once(self, call: Callable[[ModelRunner], Awaitable[T]]) -> T:
        tried: set[_Key] = set()
        while True:
            key = self._choose(tried)
            key.inflight += 1
            try:
                return await call(key.runner)
            except _OF_THE_KEY as error:
                self._refused(key, error)
                tried.add(key)
                if not self._again:
                    raise
            finally:
                key.inflight -= 1

    def _choose(self, tried: set[_Key]) -> _Key:
        """The least loaded key that is free for it; equal ones by turns. Raises the refusal that
        is over the soonest."""
        now = asyncio.get_running_loop().time()
        free = [key for key in self._keys if key.until <= now and key not in tried]
        if free:
            best = min(free, key=lambda key: key.inflight)
            self._keys.remove(best)
            self._keys.append(best)
            return best
        soonest = min(self._keys, key=lambda key: key.until)
        error = soonest.refusal
        assert error is not None, "a key rests or was tried because it was refused"
        error.retry_after = max(0.0, soonest.until - now)
        raise error

    def _refused(self, key: _Key, error: InferenceError) -> None:
        rest = error.retry_after
        if rest is None:
            rest = next(seconds for kind, seconds in _RESTS.items() if isinstance(error, kind))
        key.refusal = error
        key.until = asyncio.get_running_loop().time() + rest
