"""A deployment that is changed while it serves: what was used and learned goes on."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from guard_support import END, Service, Told, now, run, started

from actinium.errors import RateLimited, ServerError, UpstreamOpen
from actinium.inference import BreakerPolicy, Deployment, RateLimits


def described(**fields: Any) -> Deployment:
    return Deployment(name="a", **{"model": "gpt-4o", **fields})


async def change(service: Service, **fields: Any) -> None:
    await service.inference.apply([described(**fields)])


def limits(**fields: Any) -> RateLimits:
    return RateLimits(**{"max_wait": 0.0, **fields})


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4o-mini"], ids=["same", "other"])
def test_inf_lm_2_a_change_is_no_second_limit(model: str) -> None:
    """Whatever else changes, in 60 s no more than the limit is let through."""

    async def test() -> None:
        service = await started(Service({"a": Told()}, a={"limits": limits(rpm=3)}))
        await service.ask("a")
        await service.ask("a")
        await change(service, model=model, aliases=("b",), limits=limits(rpm=3, concurrent=9))
        await service.ask("b")
        with pytest.raises(RateLimited) as caught:
            await service.ask("b")
        assert caught.value.retry_after == pytest.approx(61, abs=1.1)
        await change(service, model=model, limits=limits(rpm=5))
        await service.ask("a")
        await service.ask("a")
        with pytest.raises(RateLimited):
            await service.ask("a")
        await change(service, model=model)
        await service.ask("a")
        await asyncio.sleep(61)
        assert service.at_rest(), "RQ-2"

    run(test)


def test_places_taken_before_a_change_are_taken_after_it() -> None:
    async def test() -> None:
        a = Told([5.0, "one", END], [1.0, "two", END])
        service = await started(Service({"a": a}, a={"limits": RateLimits(concurrent=1)}))
        first = asyncio.ensure_future(service.ask("a"))
        await asyncio.sleep(1)
        waits = asyncio.ensure_future(service.ask("a"))
        await asyncio.sleep(1)
        await change(service, limits=RateLimits(concurrent=1), aliases=("b",))
        third = asyncio.ensure_future(service.ask("b"))
        assert await asyncio.gather(first, waits, third) == ["one", "two", "two"]
        assert a.peak == 1 and now() == pytest.approx(7), "who waited on either side is woken"
        assert service.at_rest(), "RQ-2"

    run(test)


def test_a_change_that_cannot_be_made_changes_no_limit() -> None:
    async def test() -> None:
        class Broken(Told):
            async def load(self, progress: Any = None) -> None:
                raise ServerError("no")

        service = await started(Service({"a": Told()}, a={"limits": limits(rpm=1)}))
        await service.ask("a")
        service.runners["a"] = Broken()
        with pytest.raises(ServerError):
            await change(service, limits=limits(rpm=9))
        with pytest.raises(RateLimited):
            await service.ask("a")

    run(test)


@pytest.mark.parametrize(
    ("fields", "stays"),
    [({"aliases": ("b",)}, True), ({"breaker": BreakerPolicy(failures=7)}, True),
     ({"model": "gpt-4o-mini"}, False), ({"base_url": "http://127.0.0.1:1/v1"}, False)],
    ids=["alias", "policy", "model", "address"],
)  # fmt: skip
def test_an_open_breaker_stays_open_before_the_same_backend(
    fields: dict[str, Any], stays: bool
) -> None:
    async def test() -> None:
        a = Told([ServerError("down")])
        policy = BreakerPolicy(failures=2)
        service = await started(Service({"a": a}, a={"breaker": policy}))
        for _ in range(2):
            with pytest.raises(ServerError):
                await service.ask("a")
        with pytest.raises(UpstreamOpen):
            await service.ask("a")
        a.scripts[0] = ["hi", END]
        await change(service, **{"breaker": policy, **fields})
        if not stays:
            assert await service.ask("a") == "hi"
            return
        with pytest.raises(UpstreamOpen):
            await service.ask("a")
        await asyncio.sleep(40)
        assert await service.ask("a") == "hi", "and closes as it would have"
        assert await service.ask("a") == "hi"
        guard = service.inference.guard("a")
        assert guard is not None and guard.breaker.state == "closed"

    run(test)


def test_an_attempt_from_before_a_change_is_judged_after_it() -> None:
    async def test() -> None:
        a = Told([2.0, ServerError("down")])
        policy = BreakerPolicy(failures=2)
        service = await started(Service({"a": a}, a={"breaker": policy}))
        asks = [asyncio.ensure_future(service.ask("a")) for _ in range(2)]
        await asyncio.sleep(1)
        await change(service, breaker=policy, aliases=("b",))
        await asyncio.gather(*asks, return_exceptions=True)
        guard = service.inference.guard("a")
        assert guard is not None and guard.breaker.state == "open"

    run(test)


@pytest.mark.parametrize("same", [True, False])
def test_a_rest_holds_for_the_same_backend(same: bool) -> None:
    async def test() -> None:
        late = RateLimited("429")
        late.retry_after = 20.0
        a = Told([late], [END])
        service = await started(Service({"a": a}, a={"limits": limits(rpm=9)}))
        with pytest.raises(RateLimited):
            await service.ask("a")
        model = "gpt-4o" if same else "gpt-4o-mini"
        await change(service, model=model, limits=limits(rpm=8))
        if same:
            with pytest.raises(RateLimited, match="asked for a rest"):
                await service.ask("a")
        else:
            await service.ask("a")

    run(test)
