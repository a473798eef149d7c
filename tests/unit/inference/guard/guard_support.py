"""Deployments with runners that answer as told, in virtual time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from typing import Any, Literal, TypeVar

from actinium.base.measures import Count, Family
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
from actinium.inference.runner import Progress
from actinium.testkit import VirtualLoop

T = TypeVar("T")
Step = float | str | Exception | Burst
"""Seconds to wait, a text to deliver, an error to raise, or chunks as they are."""

END: Step = [Chunk(finish="stop", usage=Usage(input=10, output=5))]


class Told:
    """A runner whose answers are scripts: one for each request, the last one for all further."""

    transport: Literal["cpu", "gpu", "remote"] = "remote"

    def __init__(self, *scripts: list[Step], can: Capabilities | None = None) -> None:
        self.scripts = deque(scripts or ([["hi", END]]))
        self.can = can or Capabilities(tools=True, logprobs=True, seed=True, json_schema=True)
        self.on_headers: Callable[[Mapping[bytes, bytes]], None] | None = None
        self.at: list[float] = []
        self.asked: list[Request] = []
        self.live = 0
        self.peak = 0

    @property
    def calls(self) -> int:
        return len(self.at)

    def capabilities(self) -> Capabilities:
        return self.can

    async def load(self, progress: Progress | None = None) -> None:
        """Nothing to load."""

    async def generate(self, request: Request) -> AsyncGenerator[Burst]:
        self.at.append(asyncio.get_running_loop().time())
        self.asked.append(request)
        script = self.scripts.popleft() if len(self.scripts) > 1 else self.scripts[0]
        self.live += 1
        self.peak = max(self.peak, self.live)
        try:
            for step in script:
                if isinstance(step, Exception):
                    raise step
                if isinstance(step, str):
                    yield [Chunk(text=step)]
                elif isinstance(step, list):
                    yield step
                else:
                    await asyncio.sleep(step)
        finally:
            self.live -= 1

    async def embed(self, request: EmbedRequest) -> Embedding:
        self.at.append(asyncio.get_running_loop().time())
        return Embedding(vectors=((1.0,),) * len(request.inputs), input_tokens=4)

    def count_tokens(self, request: Request) -> int | None:
        return None

    async def health(self) -> Health:
        return Health(ok=True)

    async def close(self) -> None:
        """Nothing to close."""


class Service:
    """An Inference over such runners, by the names of their deployments."""

    def __init__(
        self, runners: dict[str, Told], budgets: dict[str, Any] | None = None,
        **fields: dict[str, Any],
    ) -> None:  # fmt: skip
        self.runners = runners
        described = [
            Deployment(name=name, **{"model": "gpt-4o", **fields.get(name, {})}) for name in runners
        ]
        self.inference = Inference(
            described,
            runner_factory=lambda d: (
                runners[d.name if d.base_url is None else d.base_url]
                if d.base_url in runners or d.base_url is None
                else runners[d.name]
            ),
            budgets=budgets,
        )

    async def ask(self, model: str, text: str = "hello", **fields: Any) -> str:
        """The text of an answer, read as a stream."""
        return "".join([c async for c in self.stream(model, text, **fields)])

    async def stream(self, model: str, text: str = "hello", **fields: Any) -> AsyncGenerator[str]:
        source = self.inference.generate(request(model, text, **fields))
        try:
            async for burst in source:
                for chunk in burst:
                    yield chunk.text
        finally:
            await source.aclose()

    async def whole(self, model: str, text: str = "hello", **fields: Any) -> str:
        burst = await self.inference.complete(request(model, text, **fields))
        return "".join(chunk.text for chunk in burst)

    def count(self, measure: str, *labels: str) -> float:
        for family in self.inference.registry:
            if family.name == measure and isinstance(family, Family):
                for values, child in family:
                    if values == labels and isinstance(child, Count):
                        return child.value
        return 0.0

    def at_rest(self) -> bool:
        """No place, permit, reservation or runner is held by anybody (RQ-2)."""
        for name in self.runners:
            if name not in self.inference.statistics():
                continue
            statistics = self.inference.statistics()[name]
            if statistics["running"] or statistics["waiting"]:
                return False
            guard = self.inference.guard(name)
            if guard is not None and (
                guard.gate.limiter.running
                or guard.gate.waiting
                or (guard.purse is not None and guard.purse.reserved)
                or guard.breaker.statistics()["under_way"]
            ):
                return False
        return not any(runner.live for runner in self.runners.values())


def request(model: str, text: str = "hello", **fields: Any) -> Request:
    sampling = Sampling(max_tokens=fields.pop("max_tokens", 20))
    messages = (Message(role="user", content=text),)
    named = {"id": "r", **fields}
    return Request(model=model, messages=messages, sampling=sampling, **named)


def run(test: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Runs a test in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(test())


async def started(service: Service) -> Service:
    await service.inference.start()
    return service


def now() -> float:
    return asyncio.get_running_loop().time()
