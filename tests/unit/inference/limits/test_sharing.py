"""Limits and budgets that several processes have together, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import msgspec
import pytest
from sharing_support import Site, Upstream, together

from actinium.errors import TenantLimited
from actinium.inference import Budget, Deployment, Message, Price, RateLimits, Request, Sampling
from actinium.inference.tenants import DeclaredKey, KeyLimits, Keyring
from actinium.testkit import VirtualLoop


def run(test: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(test)


def limited(**limits: Any) -> Deployment:
    fields = {"max_wait": 0.0, **limits}
    return Deployment(name="m", model="x", limits=RateLimits(**fields), queue_timeout=100.0)


@pytest.mark.parametrize("number", [2, 4, 8])
def test_inf_lm_2_complaint_10_one_process_alone_uses_the_whole_limit(number: int) -> None:
    """And all of it at once: nobody is refused before the limit is used up, wherever it lies."""

    async def test() -> None:
        async with Site(number, limited(rpm=100)) as site:
            assert [await site.ask("1") for _ in range(101)] == [True] * 100 + [False]
            assert not any([await site.ask(name) for name in site.names])
            await asyncio.sleep(62)
            assert [await site.ask("2") for _ in range(101)] == [True] * 100 + [False]
            assert site.upstream.most() == 100, "LM-2"

    run(test())


@pytest.mark.parametrize("tokens", [0, 300], ids=["requests", "tokens"])
@pytest.mark.parametrize("number", [2, 8])
def test_inf_lm_2_load_that_moves_wastes_little(number: int, tokens: int) -> None:
    """Offered is twice the limit, at one process and then at another: at most 5 % unused."""

    async def test() -> None:
        kinds = {"tpm": 30_000} if tokens else {"rpm": 100}
        async with Site(number, limited(**kinds, max_wait=5.0)) as site:
            for turn in range(3):
                name = site.names[turn % number]
                await site.load(name, 60.0, 0.3, tokens or 1)
            used = [n if tokens else 1 for at, n in site.upstream.at if at < 180]
            limit = 30_000 if tokens else 100
            assert site.upstream.most(bool(tokens)) <= limit, "LM-2"
            assert sum(used) >= 0.95 * 3 * limit

    run(test())


def test_inf_fq_1_two_processes_that_both_want_all_get_half_each() -> None:
    """The first one has all of it when the second one begins."""

    async def test() -> None:
        async with Site(2, limited(rpm=120, max_wait=3.0)) as site:
            await site.load("1", 70.0, 0.3)
            await together(site.load("1", 60.0, 0.3), site.load("2", 60.0, 0.3))
            one, two = await together(site.load("1", 120.0, 0.3), site.load("2", 120.0, 0.3))
            assert abs(one / two - 1) < 0.1, (one, two)
            assert one + two >= 0.95 * 240 and site.upstream.most() <= 120

    run(test())


def test_a_request_that_needs_most_of_the_limit_gets_it_while_others_want_it_too() -> None:
    async def test() -> None:
        async with Site(2, limited(tpm=1000, max_wait=100.0)) as site:
            small = asyncio.ensure_future(site.load("1", 200.0, 0.5, 20))
            await asyncio.sleep(70)
            assert await site.ask("2", 900), "it starved"
            small.cancel()
            await asyncio.wait([small])
            assert site.upstream.most(tokens=True) <= 1000, "LM-2"

    run(test())


def test_limits_that_are_smaller_than_the_number_of_processes() -> None:
    async def test() -> None:
        async with Site(4, limited(rpm=1)) as site:
            assert [await site.ask(name) for name in reversed(site.names)].count(True) == 1
            await asyncio.sleep(62)
            assert await site.ask("4") and not await site.ask("1")

    run(test())


def test_inf_lm_2_places_at_once_are_those_of_all_together() -> None:
    async def test() -> None:
        upstream = Upstream(1.0)
        async with Site(3, limited(concurrent=4, max_wait=60.0), upstream) as site:
            got = await together(*(site.ask("2") for _ in range(40)))
            assert all(got) and upstream.peak == 4
            got = await together(*(site.ask(name) for name in site.names * 10))
            assert all(got) and upstream.peak == 4, "LM-2"
            assert all(i.guard("m").gate.limiter.running == 0  # type: ignore[union-attr]
                       for i in site.inference.values()), "RQ-2"  # fmt: skip

    run(test())


def test_inf_bg_1_a_budget_is_one_for_all_processes() -> None:
    """20 USD a day at 1 USD a request: 20 requests, wherever they come."""

    async def test() -> None:
        priced = Deployment(
            name="m", model="x", budget=Budget(per_day=20.0), price=Price(input=0, output=1000)
        )
        async with Site(4, priced) as site:
            assert [await site.ask("1", 1000) for _ in range(15)] == [True] * 15
            got = [await site.ask(name, 1000) for name in site.names * 4]
            assert got.count(True) == 5, "BG-1"

    run(test())


def test_inf_lm_2_who_is_killed_and_comes_back_has_used_what_it_used() -> None:
    """But for what it let through in its last second, which it had told nobody."""

    async def test() -> None:
        async with Site(2, limited(rpm=100)) as site:
            assert [await site.ask("1") for _ in range(80)] == [True] * 80
            await asyncio.sleep(1.1)
            site.kill("1")
            left = [await site.ask("2") for _ in range(21)].count(True)
            assert 0 < left <= 20, "what 1 holds waits for its return"
            await site.begin("1")
            assert [await site.ask("2") for _ in range(21)].count(True) == 20 - left
            assert not await site.ask("1")
            assert site.upstream.most() == 100

    run(test())


def test_a_process_that_is_dead_holds_nobody_up_for_long() -> None:
    async def test() -> None:
        async with Site(3, limited(rpm=90)) as site:
            site.kill("3")
            assert [await site.ask("1") for _ in range(60)] == [True] * 60
            before = asyncio.get_running_loop().time()
            assert not await site.ask("1")
            assert asyncio.get_running_loop().time() - before < 0.2
            await site.begin("3")
            assert [await site.ask("1") for _ in range(31)].count(True) == 30

    run(test())


def test_other_limits_hold_for_all_once_they_are_applied() -> None:
    async def test() -> None:
        async with Site(2, limited(rpm=10)) as site:
            assert [await site.ask("1") for _ in range(10)] == [True] * 10
            for rpm in (14, 10, 14):
                limits = RateLimits(rpm=rpm, max_wait=0.0)
                changed = msgspec.structs.replace(site.deployment, limits=limits)
                for inference in site.inference.values():
                    await inference.apply([changed])
            assert [await site.ask("2") for _ in range(8)].count(True) <= 7
            await asyncio.sleep(62)
            assert [await site.ask("2") for _ in range(15)] == [True] * 14 + [False]

    run(test())


def test_a_key_has_its_limits_once_whichever_process_it_meets() -> None:
    async def test() -> None:
        free = Deployment(name="m", model="x", price="free")
        async with Site(3, free, keyed=True) as site:
            secret = "a-secret-of-sixteen"
            spec = DeclaredKey(name="web", secret="env:K", limits=KeyLimits(rpm=7, tpm=1000))
            rings = {
                name: Keyring(inference, keys=[spec], environ={"K": secret})
                for name, inference in site.inference.items()
            }
            hello = (Message(role="user", content="x"),)
            asked = Request(id="r", model="m", messages=hello, sampling=Sampling(max_tokens=1))
            seen = []
            for at in range(12):
                grant = rings[site.names[at % 3]].find(secret.encode())
                try:
                    await grant.inference.complete(asked)
                except TenantLimited as error:
                    assert "7 requests per minute" in str(error) and 50 < error.retry_after <= 61
                else:
                    seen.append(at)
            assert seen == list(range(7))
            await asyncio.sleep(1.1)
            left = rings["2"].find(secret.encode()).headers()
            assert b"x-ratelimit-remaining-requests: 0\r\n" in left, "of all processes"

    run(test())


def test_who_shares_nothing_says_nothing() -> None:
    async def test() -> None:
        async with Site(3, Deployment(name="m", model="x")) as site:
            assert await site.ask("1")
            await asyncio.sleep(60)
            assert site.words == 0
        async with Site(3, limited(rpm=10)) as site:
            assert await site.ask("1")
            await asyncio.sleep(5)
            words = site.words
            await asyncio.sleep(600)
            assert site.words == words, "and who is idle as little"

    run(test())
