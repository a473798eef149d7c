"""A second attempt beside a slow one: who wins, what the loser costs, and what is left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from guard_support import END, Service, Step, Told, now, request, run, started

from actinium.errors import BadRequest, ConfigError, ServerError
from actinium.inference import Budget, Burst, Deployment, Hedge, Inference, Price, Request
from actinium.inference.replica import collected
from actinium.testkit.gateway import until
from actinium.testkit.provider import Fault, Provider

PRICE = Price(input=1.0, output=2.0)
SLOW: list[Step] = [10.0, "slow", END]


def chain(first: Told, second: Told, **fields: Any) -> Service:
    both = {"hedge": Hedge(after=1.0), "fallback": ("b",), **fields}
    return Service({"a": first, "b": second}, a=both)


@pytest.mark.parametrize("whole", [False, True])
def test_the_second_wins_and_the_first_is_stopped_at_its_backend(whole: bool) -> None:
    async def test() -> None:
        a, b = Told(SLOW), Told([0.5, "fast", END])
        service = await started(chain(a, b))
        ask = service.whole if whole else service.ask
        assert await ask("a") == "fast" and now() == pytest.approx(1.5)
        assert (a.calls, b.calls, a.live) == (1, 1, 0), "the loser's work has stopped"
        assert service.count("hedges", "a", "second") == 1
        assert service.at_rest(), "RQ-2"

    run(test)


@pytest.mark.parametrize("whole", [False, True])
def test_the_first_wins_where_it_is_sooner(whole: bool) -> None:
    async def test() -> None:
        a, b = Told([1.2, "first", END]), Told([0.5, "second", END])
        service = await started(chain(a, b))
        ask = service.whole if whole else service.ask
        assert await ask("a") == "first" and now() == pytest.approx(1.2)
        assert b.calls == 1 and not b.live and service.at_rest()
        assert service.count("hedges", "a", "first") == 1

    run(test)


def test_nobody_is_asked_twice_before_the_delay() -> None:
    async def test() -> None:
        b = Told()
        service = await started(chain(Told([0.9, "in time", 5.0, "more", END]), b))
        assert await service.ask("a") == "in timemore" and not b.calls

    run(test)


def test_both_costs_are_counted() -> None:
    async def test() -> None:
        a, b = Told(SLOW), Told(["fast", END])  # b used 10 in, 5 out
        service = Service(
            {"a": a, "b": b}, {"tenant:t": Budget(per_day=1.0)},
            a={"hedge": Hedge(after=1.0), "fallback": ("b",), "price": PRICE}, b={"price": PRICE},
        )  # fmt: skip
        await started(service)
        await service.ask("a", "x" * 40, tenant="t")
        assert service.count("cost_usd", "b") == pytest.approx(20_000e-9)
        assert service.count("cost_usd", "a") == pytest.approx(15_000e-9), "its input, estimated"
        assert service.count("usage_estimated", "a") == 1 and service.at_rest()

    run(test)


@pytest.mark.parametrize("whole", [False, True])
def test_a_refusal_that_was_begun_costs_nothing(whole: bool) -> None:
    """The first answers while the second's 429 still comes in: its status was enough."""

    async def test() -> None:
        async with Provider() as one, Provider() as two:
            one.faults.append(Fault(hold=True))
            lines = {"x-ratelimit-limit-requests": "60", "x-ratelimit-remaining-requests": "9"}
            two.faults.append(
                Fault(status=429, body=b"x" * 60_000, headers=lines, split=100, each=0.01)
            )
            common = {"model": "m", "runtime": "openai", "price": PRICE}
            inference = Inference(
                [Deployment(name="a", base_url=one.base_url, hedge=Hedge(after=0.01),
                            fallback=("b",), **common),
                 Deployment(name="b", base_url=two.base_url, **common)],
                budgets={"tenant:t": Budget(per_day=1.0)},
            )  # fmt: skip
            await inference.start()
            asked = request("a", "x" * 4000, tenant="t", stream=not whole)
            ask = asyncio.ensure_future(
                inference.complete(asked) if whole else collected(inference.generate(asked))
            )
            spare = inference.guard("b")
            assert spare is not None
            await until(lambda: "rpm" in spare.limiter.meters)  # its head has come
            one.release()
            await ask
            accounts = inference.accounts
            assert accounts is not None
            assert [line.deployment for line, _ in accounts.usage()] == ["a"]
            assert accounts.purses["tenant:t"].reserved == 0
            await inference.close()

    asyncio.run(test())


def test_one_failure_leaves_the_race_to_the_other() -> None:
    async def test() -> None:
        for a, b in (
            (Told([2.0, ServerError("no")]), Told([4.0, "late", END])),
            (Told([5.0, "late", END]), Told([0.1, ServerError("no")])),
        ):
            service = await started(chain(a, b))
            assert await service.ask("a") == "late" and service.at_rest()

    run(test)


def test_a_mistake_of_the_client_ends_the_race() -> None:
    async def test() -> None:
        a, b = Told([2.0, BadRequest("no such field")]), Told(SLOW)
        service = await started(chain(a, b))
        with pytest.raises(BadRequest):
            await service.ask("a")
        assert now() == pytest.approx(2.0) and service.at_rest()

    run(test)


def test_both_fail_and_the_client_hears_of_it_once() -> None:
    async def test() -> None:
        service = await started(chain(Told([2.0, ServerError("a")]), Told([3.0, ServerError("b")])))
        with pytest.raises(ServerError):
            await service.ask("a")
        assert now() == pytest.approx(4.0) and service.at_rest()

    run(test)


@pytest.mark.parametrize("at", [0.5, 1.5, 2.5])
def test_inf_cx_1_a_client_that_leaves_stops_both(at: float) -> None:
    async def test() -> None:
        a, b = Told(SLOW), Told(SLOW)
        service = await started(chain(a, b))
        task = asyncio.create_task(service.ask("a"))
        await asyncio.sleep(at)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert not a.live and not b.live and service.at_rest()

    run(test)


@pytest.mark.parametrize("whole", [False, True])
def test_inf_rq_2_a_client_that_leaves_while_the_loser_is_stopped(whole: bool) -> None:
    class Slow(Told):
        async def generate(self, request: Request) -> AsyncGenerator[Burst]:
            try:
                async for burst in super().generate(request):
                    yield burst
            finally:
                await asyncio.sleep(1.0)  # a backend that takes its time to stop

    async def test() -> None:
        a, b = Slow(SLOW), Told(["fast", END])
        service = await started(chain(a, b, price=PRICE, budget=Budget(per_day=1.0)))
        task = asyncio.create_task(service.whole("a") if whole else service.ask("a"))
        await asyncio.sleep(1.5)
        assert b.calls and not task.done(), "the second has won, the first is being stopped"
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert now() == pytest.approx(2.0) and service.at_rest()

    run(test)


def test_a_single_server_is_asked_again() -> None:
    async def test() -> None:
        a = Told(SLOW, ["quick", END])
        service = await started(Service({"a": a}, a={"hedge": Hedge(after=1.0)}))
        assert await service.ask("a") == "quick" and a.calls == 2 and service.at_rest()

    run(test)


def test_another_server_of_the_deployment_goes_before_a_fallback() -> None:
    async def test() -> None:
        slow, quick, b = Told(SLOW), Told(["quick", END]), Told()
        fields: dict[str, Any] = {
            "hedge": Hedge(after=1.0, budget=1.0), "fallback": ("b",), "base_url": "one",
            "replicas": ("two",),
        }  # fmt: skip
        runners = {"one": slow, "two": quick, "a": Told(), "b": b}
        service = await started(Service(runners, a=fields))
        answers = [await service.ask("a", f"question {n}") for n in range(40)]
        assert set(answers) == {"quick"} and not b.calls and slow.calls

    run(test)


def test_inf_rt_1_hedges_keep_to_their_budget() -> None:
    async def test() -> None:
        a, b = Told(SLOW), Told(["fast", END])
        service = await started(chain(a, b, hedge=Hedge(after=0.01, budget=0.0), max_concurrent=99))
        await asyncio.gather(*(service.ask("a") for _ in range(20)))
        assert b.calls == 3, "three are always allowed"
        assert service.at_rest()

    run(test)


def test_inf_rt_1_what_may_be_made_once_is_not_hedged() -> None:
    with pytest.raises(ConfigError, match="idempotent = false"):
        Deployment(name="a", hedge=Hedge(after=1.0), idempotent=False)
    with pytest.raises(ConfigError, match=r"hedge\.after"):
        Hedge(after=0.0)
