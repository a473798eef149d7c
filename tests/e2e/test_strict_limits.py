"""Strict limits through two gateways' services that share one real Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from actinium.errors import LimitStoreDown, RateLimited
from actinium.inference import Deployment, Inference, Message, RateLimits, Request
from actinium.testkit.gateway import until
from actinium.testkit.provider import Provider
from actinium.testkit.redis import INSTALLED, RedisServer

needs_redis = pytest.mark.skipif(
    not INSTALLED, reason="redis-server is not installed; on Debian: apt-get install redis-server"
)


def request(model: str = "m", **fields: Any) -> Request:
    hello = (Message(role="user", content="hello"),)
    return Request(id="1", model=model, messages=hello, **fields)


@asynccontextmanager
async def services(number: int, url: str, **limits: Any) -> AsyncIterator[list[Inference]]:
    """So many processes' services, with a deployment ``m`` and one it falls back to."""
    asked = RateLimits(strict="redis", store=url, **limits)
    async with Provider() as provider:
        base = {"model": "x", "runtime": "openai", "base_url": provider.base_url}
        made = [
            Inference([
                Deployment(name="m", limits=asked, **base),  # type: ignore[arg-type]
                Deployment(name="n", limits=asked, fallback=("free",), **base),  # type: ignore[arg-type]
                Deployment(name="free", **base),  # type: ignore[arg-type]
            ])
            for _ in range(number)
        ]  # fmt: skip
        for one in made:
            await one.start()
        try:
            yield made
        finally:
            for one in made:
                await one.close(drain=0)


@needs_redis
def test_inf_LM_3_two_services_together_keep_to_one_limit(tmp_path: Path) -> None:
    async def main(url: str) -> None:
        async with services(2, url, rpm=5, max_wait=1.0) as (first, second):
            asks = [one.complete(request()) for one in (first, second) for _ in range(6)]
            ends = await asyncio.gather(*asks, return_exceptions=True)
            refused = [end for end in ends if isinstance(end, RateLimited)]
            assert len(refused) == 7 and all(50 < (e.retry_after or 0) <= 61 for e in refused)
            for one in (first, second):
                shared = one.guard("m").shared  # type: ignore[union-attr]
                assert shared is not None and shared.running == 0 and not shared._grants

    server = RedisServer(tmp_path)
    try:
        asyncio.run(main(server.url))
    finally:
        server.kill()


@needs_redis
def test_a_limit_of_all_leads_to_the_next_deployment_at_once(tmp_path: Path) -> None:
    async def main(url: str) -> None:
        async with services(2, url, rpm=1, key="both") as (first, second):
            await first.complete(request("m"))
            async for _ in second.generate(request("n")):
                pass
            assert second.statistics()["n"]["used"] == {"rpm": 1.0}
            counts = {m.name: m for m in second.registry}
            assert [values for values, _ in counts["fallbacks"]] == [("n", "free")]  # type: ignore[union-attr]

    server = RedisServer(tmp_path)
    try:
        asyncio.run(main(server.url))
    finally:
        server.kill()


@needs_redis
@pytest.mark.parametrize("policy", ["local", "refuse"])
def test_inf_LM_3_without_its_store_a_service_does_as_it_was_told(
    tmp_path: Path, policy: Any
) -> None:
    async def main() -> None:
        async with services(1, server.url, rpm=50, on_store_error=policy) as (one,):
            await one.complete(request())
            server.kill()
            if policy == "local":
                await one.complete(request())
            else:
                with pytest.raises(LimitStoreDown):
                    await one.complete(request())
            view = next(m for m in one.registry if m.name == "limiter_store_up")
            assert (("m",), 0.0) in view.readings()  # type: ignore[union-attr]

    server = RedisServer(tmp_path)
    try:
        asyncio.run(main())
    finally:
        server.kill()


def test_the_store_is_kept_until_the_last_request_of_a_change_has_ended(tmp_path: Path) -> None:
    """Its place there is given back at its end, and would be taken for minutes otherwise."""

    async def main() -> None:
        url = f"unix://{tmp_path}/nobody.sock"
        async with services(1, url, rpm=5) as (one,):
            guard = one.guard("m")
            assert guard is not None and guard.shared is not None
            answer = one.generate(request())
            await anext(answer)
            changed = [msgspec.structs.replace(d, aliases=(f"{d.name}2",)) for d in one.deployments]
            await one.apply(changed)
            await asyncio.sleep(0)
            assert not guard.shared._closed
            await answer.aclose()
            shared = guard.shared
            await until(lambda: shared._closed)

    asyncio.run(main())
