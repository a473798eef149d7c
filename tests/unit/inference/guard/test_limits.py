"""Rate limits, fair queues and budgets, end to end through the service, in virtual time."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from guard_support import END, Service, Step, Told, now, run, started

from actinium.errors import (
    BudgetExceeded,
    ConfigError,
    EngineOverloaded,
    InferenceError,
    NetworkError,
    ProtocolError,
    RateLimited,
    ServerError,
    UpstreamTimeout,
)
from actinium.inference import (
    Budget,
    Burst,
    Chunk,
    Price,
    RateLimits,
    Request,
    RetryPolicy,
    Usage,
)

PRICE = Price(input=1.0, output=2.0)  # 1,000 and 2,000 nano-USD a token


def test_inf_lm_4_a_request_over_the_limit_waits_instead_of_failing() -> None:
    async def test() -> None:
        a = Told()
        service = await started(
            Service({"a": a}, a={"limits": RateLimits(rpm=60, max_wait=130), "queue_timeout": 130})
        )
        await asyncio.gather(*(service.ask("a") for _ in range(150)))
        for at in a.at:
            assert sum(at <= other < at + 60 for other in a.at) <= 60, "LM-2"
        assert max(a.at) < 125 and service.at_rest()
        assert service.inference.registry is not None

    run(test)


def test_a_wait_that_is_too_long_fails_at_once_and_says_when() -> None:
    async def test() -> None:
        service = await started(Service({"a": Told()}, a={"limits": RateLimits(rpm=2)}))
        await service.ask("a")
        await service.ask("a")
        with pytest.raises(RateLimited) as caught:
            await service.ask("a")
        assert now() == 0 and caught.value.retry_after == pytest.approx(61, abs=1)
        await asyncio.sleep(40)
        with pytest.raises(RateLimited):
            await service.ask("a", deadline=now() + 5)
        assert now() == 40
        await service.ask("a")
        assert now() == pytest.approx(61, abs=1) and service.at_rest()

    run(test)


def test_complaint_9_tokens_are_reserved_before_a_request_is_sent() -> None:
    """Five concurrent requests used 663 tokens of a limit of 100."""

    async def test() -> None:
        big: list[Step] = [1.0, "x", [Chunk(finish="stop", usage=Usage(input=10, output=30))]]
        a = Told(big)
        service = await started(Service({"a": a}, a={"limits": RateLimits(tpm=100)}))
        outcomes = await asyncio.gather(
            *(service.ask("a", max_tokens=40) for _ in range(5)), return_exceptions=True
        )
        assert a.calls == 2, "each reserves 46 of 100 tokens and uses 40"
        assert sum(isinstance(o, RateLimited) for o in outcomes) == 3
        at = now()
        for _ in range(3):
            await asyncio.sleep(62)
            await asyncio.gather(
                *(service.ask("a", max_tokens=40) for _ in range(5)), return_exceptions=True
            )
        assert a.calls == 8 and now() > at and service.at_rest()

    run(test)


def test_what_was_reserved_and_not_used_is_there_for_others() -> None:
    async def test() -> None:
        a = Told()
        service = await started(Service({"a": a}, a={"limits": RateLimits(tpm=1000)}))
        for _ in range(40):  # each reserves 900 and uses 15
            await service.ask("a", max_tokens=890)
            if a.calls == 7:
                break
        assert a.calls == 7 and now() == 0

    run(test)


def test_a_request_larger_than_the_whole_limit_goes_alone() -> None:
    async def test() -> None:
        a = Told(["x", [Chunk(finish="stop", usage=Usage(input=10, output=490))]], [END])
        service = await started(Service({"a": a}, a={"limits": RateLimits(tpm=100)}))
        await service.ask("a", max_tokens=500)
        with pytest.raises(RateLimited):
            await service.ask("a")
        await asyncio.sleep(62)
        await service.ask("a")

    run(test)


def test_over_the_limit_the_fallback_serves_at_once() -> None:
    async def test() -> None:
        fields = {"a": {"limits": RateLimits(rpm=1), "fallback": ("b",)}}
        service = await started(Service({"a": Told(), "b": Told(["b!", END])}, **fields))
        assert [await service.ask("a") for _ in range(3)] == ["hi", "b!", "b!"] and now() == 0

    run(test)


def test_complaint_9_limits_hold_under_concurrency() -> None:
    async def test() -> None:
        a = Told([0.5, "x", END])
        service = await started(Service({"a": a}, a={"limits": RateLimits(concurrent=3)}))
        await asyncio.gather(*(service.ask("a") for _ in range(50)))
        assert a.peak == 3 and a.calls == 50 and service.at_rest()

    run(test)


def test_a_full_queue_and_a_late_place_are_said() -> None:
    async def test() -> None:
        fields: dict[str, Any] = {"limits": RateLimits(concurrent=1, max_wait=2), "queue": 3}
        service = await started(Service({"a": Told([60.0, "x", END])}, a=fields))
        tasks = [asyncio.create_task(service.ask("a")) for _ in range(6)]
        await asyncio.sleep(0.1)
        assert sum(task.done() for task in tasks) == 2
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(o) for o in outcomes] == [str, *[EngineOverloaded] * 5]
        assert service.at_rest()

    run(test)


def test_who_leaves_the_queue_leaves_nothing_behind() -> None:
    async def test() -> None:
        service = await started(
            Service({"a": Told([1.0, "x", END])}, a={"limits": RateLimits(concurrent=1)})
        )
        chance = random.Random(4)
        tasks = [asyncio.create_task(service.ask("a")) for _ in range(30)]
        for task in chance.sample(tasks, 20):
            await asyncio.sleep(chance.choice([0.0, 0.3, 1.0]))
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert service.at_rest()

    run(test)


def test_inf_fq_1_tenants_share_places_in_tokens_and_a_flood_hurts_nobody_else() -> None:
    async def test() -> None:
        long: list[Step] = [
            1.0,
            [Chunk(text="x", finish="stop", usage=Usage(input=400, output=100))],
        ]
        a = Told(long)
        limits = RateLimits(concurrent=2, max_wait=500)
        fields: dict[str, Any] = {"limits": limits, "queue": 5000, "queue_timeout": 500}
        service = await started(Service({"a": a}, a=fields))

        async def caller(tenant: str, count: int) -> None:
            await asyncio.gather(
                *(service.ask("a", tenant=tenant) for _ in range(count)), return_exceptions=True
            )

        flood = asyncio.create_task(caller("loud", 400))
        await asyncio.sleep(0.5)
        calm = asyncio.create_task(caller("calm", 40))
        await calm
        seen = Counter(r.tenant for r in a.asked)
        assert seen["calm"] == 40 and 36 <= seen["loud"] <= 46, "1:1 while both wait"
        flood.cancel()
        await asyncio.gather(flood, return_exceptions=True)
        assert service.at_rest()

    run(test)


def test_inf_fq_1_priorities_and_weights_are_shares() -> None:
    async def test() -> None:
        a = Told([1.0, "x", END])
        limits = RateLimits(concurrent=1, max_wait=500, weights={"gold": 3.0})
        fields: dict[str, Any] = {"limits": limits, "queue_timeout": 500}
        service = await started(Service({"a": a}, a=fields))
        tasks = [
            asyncio.create_task(service.ask("a", tenant=tenant, priority=priority))
            for _ in range(60)
            for tenant, priority in (("gold", "normal"), ("tin", "normal"), ("tin", "low"))
        ]
        await asyncio.sleep(61)
        seen = Counter((r.tenant, r.priority) for r in a.asked)
        assert abs(seen["gold", "normal"] - 30) <= 2
        assert abs(seen["tin", "normal"] - 10) <= 2
        assert abs(seen["tin", "low"] - 20) <= 2, "low has half the share of normal"
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert service.at_rest()

    run(test)


# -- what the upstream teaches


def test_inf_lm_5_a_429_without_a_wait_lowers_the_limit_which_recovers() -> None:
    async def test() -> None:
        a = Told([RateLimited("429")], [END])
        service = await started(Service({"a": a}, a={"limits": RateLimits(rpm=100)}))
        with pytest.raises(RateLimited):
            await service.ask("a")
        guard = service.inference.guard("a")
        assert guard is not None
        meter = guard.gate.limiter.meters["rpm"]
        assert meter.limit(now()) == 50
        seen = []
        for _ in range(15):
            await asyncio.sleep(60)
            seen.append(meter.limit(now()) or 0)
        assert seen == sorted(seen) and seen[0] == 55 and seen[-1] == 100, "LM-5"

    run(test)


class Limited(Told):
    """An upstream that takes 60 requests a minute, and says so where ``tells``."""

    def __init__(self, tells: bool) -> None:
        super().__init__([END])
        self.tells = tells
        self.taken: list[float] = []
        self.refused: list[float] = []

    async def generate(self, request: Request) -> AsyncGenerator[Burst]:
        recent = [at for at in self.taken if at > now() - 60]
        if self.tells and self.on_headers is not None:
            self.on_headers({
                b"x-ratelimit-limit-requests": b"60",
                b"x-ratelimit-remaining-requests": b"%d" % max(0, 59 - len(recent)),
            })  # fmt: skip
        if len(recent) >= 60:
            self.refused.append(now())
            raise RateLimited("429")
        self.taken.append(now())
        yield [Chunk(text="x", finish="stop", usage=Usage(input=1, output=1))]


@pytest.mark.parametrize(("tells", "least"), [(True, 0.95), (False, 0.7)], ids=["told", "by 429"])
def test_inf_lm_5_a_limit_that_nobody_configured_is_found(tells: bool, least: float) -> None:
    """After three minutes at most 2 % are refused upstream, and most of the limit is used."""

    async def test() -> None:
        a = Limited(tells)
        service = await started(Service({"a": a}, a={"limits": RateLimits(rpm=100)}))
        tasks = []
        for _ in range(1200):
            tasks.append(asyncio.create_task(service.ask("a")))
            await asyncio.sleep(0.5)
        taken = sum(at > 180 for at in a.taken)
        refused = sum(at > 180 for at in a.refused)
        assert refused <= 0.02 * taken, "LM-5"
        assert taken / 7 >= least * 60
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert service.at_rest()

    run(test)


def test_headers_of_answers_lower_the_limit_and_book_what_others_used() -> None:
    async def test() -> None:
        a = Told()
        service = await started(Service({"a": a}, a={"limits": RateLimits(rpm=100)}))
        assert a.on_headers is not None
        a.on_headers({
            b"x-ratelimit-limit-requests": b"10", b"x-ratelimit-remaining-requests": b"4",
            b"x-ratelimit-reset-requests": b"6s",
        })  # fmt: skip
        for _ in range(4):
            await service.ask("a")
        with pytest.raises(RateLimited):
            await service.ask("a")
        guard = service.inference.guard("a")
        assert guard is not None and guard.gate.limiter.used_elsewhere == 6

    run(test)


def test_nothing_remaining_is_a_rest_until_the_reset() -> None:
    async def test() -> None:
        a = Told()
        fields = {"a": {"limits": RateLimits(), "fallback": ("b",)}}
        service = await started(Service({"a": a, "b": Told(["b!", END])}, **fields))
        assert a.on_headers is not None
        a.on_headers({
            b"anthropic-ratelimit-tokens-limit": b"1000",
            b"anthropic-ratelimit-tokens-remaining": b"0",
            b"anthropic-ratelimit-tokens-reset": b"2999-01-01T00:00:00Z",
        })  # fmt: skip
        assert await service.ask("a") == "b!" and a.calls == 0

    run(test)


# -- money


def test_complaint_4_every_end_settles_or_gives_back_once() -> None:
    """Whether an abandoned request was billed was a coin flip."""

    async def test() -> None:
        a = Told(
            ["x", END],  # 10 in, 5 out: 20,000 nano-USD
            ["0123", "4567", 9.0, END],  # the client leaves after two chunks
            [NetworkError("refused")],  # nothing used
            [ServerError("no")],
            ["abcd", ProtocolError("cut")],  # one chunk came
            [UpstreamTimeout("first_byte", 1)],  # it may have worked on the input
        )
        fields: dict[str, Any] = {"price": PRICE, "budget": Budget(per_day=1.0)}
        service = await started(Service({"a": a}, a=fields))
        guard = service.inference.guard("a")
        assert guard is not None and guard.purse is not None
        purse, text = guard.purse, "x" * 40  # 15 tokens in, as estimated
        costs = []
        for _ in range(6):
            before = purse.settled
            if a.calls == 1:
                source = service.stream("a", text)
                await anext(source)
                await anext(source)
                await source.aclose()
            elif a.calls == 0:
                await service.ask("a", text)
            else:
                with pytest.raises(InferenceError):
                    await service.ask("a", text)
            costs.append(purse.settled - before)
        assert costs == [20_000, 15_000 + 4_000, 0, 0, 15_000 + 2_000, 15_000]
        assert purse.reserved == 0, "BG-1"
        assert service.count("usage_estimated", "a") == 3
        assert service.count("cost_usd", "a") == pytest.approx(71_000e-9)

    run(test)


def test_inf_bg_1_a_budget_is_reserved_before_and_never_overspent() -> None:
    async def test() -> None:
        # Each reserves 6 in and 20 out: 46,000; and uses 20,000.
        a = Told([1.0, "x", END])
        fields: dict[str, Any] = {"price": PRICE, "budget": Budget(per_day=0.001)}
        service = await started(Service({"a": a}, a=fields))
        for _ in range(20):
            await asyncio.gather(*(service.ask("a") for _ in range(20)), return_exceptions=True)
        guard = service.inference.guard("a")
        assert guard is not None and guard.purse is not None
        assert 0.95e6 <= guard.purse.settled <= 1e6 and guard.purse.reserved == 0
        with pytest.raises(BudgetExceeded) as caught:
            await service.ask("a")
        assert caught.value.http == 402 and (caught.value.retry_after or 0) <= 86400

    run(test)


def test_tenants_and_keys_have_purses_of_their_own() -> None:
    async def test() -> None:
        budgets = {"tenant:acme": Budget(per_hour=50e-6), "key:k1": Budget(per_month=50e-6)}
        service = await started(
            Service({"a": Told(), "b": Told()}, budgets, a={"price": PRICE}, b={"price": PRICE})
        )
        await service.ask("a", tenant="acme")
        with pytest.raises(BudgetExceeded, match="tenant:acme"):
            await service.ask("b", tenant="acme")
        await service.ask("a", tenant="other")
        await service.ask("a", key="k1")
        with pytest.raises(BudgetExceeded, match="key:k1"):
            await service.ask("b", key="k1", tenant="other")
        assert service.at_rest()

    run(test)


@pytest.mark.parametrize(("what", "answers"), [("fallback", ["hi", "b!"]), ("warn", ["hi", "hi"])])
def test_what_an_empty_purse_leads_to(what: Any, answers: list[str]) -> None:
    async def test() -> None:
        budget = Budget(per_day=50e-6, on_exceeded=what)
        fields: dict[str, Any] = {
            "a": {"price": PRICE, "budget": budget, "fallback": ("b",)}, "b": {"price": "free"},
        }  # fmt: skip
        service = await started(Service({"a": Told(), "b": Told(["b!", END])}, **fields))
        assert [await service.ask("a") for _ in range(2)] == answers

    run(test)


def test_inf_co_1_an_unknown_price_is_no_price_of_zero() -> None:
    with pytest.raises(ConfigError, match="the price of 'secret-model' is not known"):
        Service({"a": Told()}, a={"model": "secret-model", "budget": Budget(per_day=1)})

    async def test() -> None:
        service = await started(
            Service({"a": Told()}, a={"model": "secret-model", "limits": RateLimits(rpm=9)})
        )
        await service.ask("a")
        assert service.count("cost_unknown", "a") == 1 and service.count("cost_usd", "a") == 0

    run(test)


# -- everything at once


@pytest.mark.parametrize("seed", range(4))
def test_inf_rq_1_rq_2_rq_3_chaos_ends_every_request_once_and_leaves_nothing(seed: int) -> None:
    async def test() -> None:
        chance = random.Random(seed)

        def script(name: str) -> list[Step]:
            steps: list[Step] = [chance.choice([0.0, 0.01, 0.5])]
            for n in range(chance.randint(0, 3)):
                steps.append(f"{name}{n} ")
                steps.append(chance.choice([0.0, 0.2]))
            end = chance.choice([*["ok"] * 20, "net", "5xx", "429", "429+", "bad", "bug"])
            late = RateLimited("429")
            late.retry_after = chance.choice([0.1, 0.2, 1.0])
            match end:
                case "net":
                    steps.append(NetworkError("reset"))
                case "5xx":
                    steps.append(ServerError("500"))
                case "429":
                    steps.append(RateLimited("429"))
                case "429+":
                    steps.append(late)
                case "bad":
                    steps.append(ProtocolError("bad event"))
                case "bug":
                    steps.append(ValueError("bug"))
            return [*steps, END]

        runners = {n: Told(*(script(n) for _ in range(2000))) for n in "abc"}
        common: dict[str, Any] = {
            "retry": RetryPolicy(base=0.1, budget=0.5), "price": PRICE, "queue": 100,
            "budget": Budget(per_hour=0.5),
        }  # fmt: skip
        fields = {
            "a": {**common, "fallback": ("b", "c"), "limits": RateLimits(concurrent=5, tpm=9000)},
            "b": {**common, "fallback": ("a",), "limits": RateLimits(rpm=300, max_wait=5)},
            "c": common,
        }
        service = await started(Service(runners, **fields))
        ends: Counter[str] = Counter()

        async def one(n: int) -> None:
            await asyncio.sleep(chance.uniform(0, 60))
            got: list[str] = []
            try:
                async for text in service.stream(chance.choice("abc"), tenant=f"t{n % 3}"):
                    got.append(text)
                    if chance.random() < 0.05:
                        ends["left"] += 1
                        return
                ends["ok"] += 1
            except (InferenceError, ValueError) as error:
                ends[type(error).__name__] += 1
            finally:
                words = "".join(got).split()
                assert len({word[0] for word in words}) <= 1, "RQ-3: text of two attempts"
                assert words == [f"{words[0][0]}{i}" for i in range(len(words))] if words else True

        tasks = [asyncio.create_task(one(n)) for n in range(1000)]
        for task in chance.sample(tasks, 100):
            asyncio.get_running_loop().call_later(chance.uniform(0, 70), task.cancel)
        await asyncio.gather(*tasks, return_exceptions=True)
        assert all(not t.exception() for t in tasks if not t.cancelled())
        assert sum(ends.values()) + sum(t.cancelled() for t in tasks) == 1000
        assert ends["ok"] > 100
        assert service.at_rest(), "RQ-2"
        await service.inference.close(0)
        assert len(asyncio.all_tasks()) == 1

    run(test)
