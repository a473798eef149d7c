"""A whole request path for tests: gateway, service and runner in front of a provider."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

from actinium.base.measures import Count, Distribution, Family
from actinium.inference.deployment import Deployment
from actinium.inference.limits.policy import RateLimits
from actinium.inference.service import Inference, Sessions
from actinium.ops import RequestLog, Tracing
from actinium.serve import Gateway, Limits

from .provider import Provider


async def until(condition: Callable[[], bool]) -> None:
    """Gives the event loop turns until a condition holds."""
    while not condition():  # noqa: ASYNC110 - any object's state, none with an event
        await asyncio.sleep(0)


class Served:
    """A running gateway with what stands behind it."""

    def __init__(self, gateway: Gateway, inference: Inference, provider: Provider) -> None:
        self.gateway = gateway
        self.inference = inference
        self.provider = provider

    @property
    def port(self) -> int:
        return int(self.gateway.url.rsplit(":", 1)[1])

    def running(self) -> int:
        """Places taken on all deployments."""
        return sum(int(s["running"]) for s in self.inference.statistics().values())

    def count(self, measure: str, *labels: str) -> float:
        """The value of a counter."""
        child = self._child(measure, labels)
        return child.value if isinstance(child, Count) else 0.0

    def observed(self, measure: str, *labels: str) -> int:
        """How often a histogram was given a value."""
        child = self._child(measure, labels)
        return child.total if isinstance(child, Distribution) else 0

    def _child(self, name: str, labels: tuple[str, ...]) -> Count | Distribution | None:
        for family in self.inference.registry:
            if family.name == name and isinstance(family, Family):
                return next((c for values, c in family if values == labels), None)
        raise LookupError(f"there is no measure {name!r}")


@asynccontextmanager
async def served(
    *,
    provider: Provider | None = None,
    limits: Limits | None = None,
    sessions: Sessions | None = None,
    api_key: str | None = None,
    tracing: Tracing | None = None,
    request_log: RequestLog | None = None,
    rates: RateLimits | None = None,
    **deployment: Any,
) -> AsyncGenerator[Served]:
    """A gateway for the deployment ``m`` (alias ``alias``) of a provider, on a free port.

    ``limits`` are those of the gateway, ``rates`` those of the deployment.
    """
    async with provider or Provider() as upstream:
        described = Deployment(
            name="m",
            model="upstream-model",
            base_url=upstream.base_url,
            limits=rates,
            **{"aliases": ("alias",), "runtime": "openai", **deployment},
        )
        inference = Inference([described], sessions=sessions)
        await inference.start()
        try:
            async with Gateway(
                inference, port=0, limits=limits, api_key=api_key, tracing=tracing,
                request_log=request_log,
            ) as gateway:  # fmt: skip
                yield Served(gateway, inference, upstream)
        finally:
            await inference.close(drain=0)
