"""Limits, fallback and money through the gateway, with real providers on loopback."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from actinium.inference import Budget, Deployment, Inference, Price, RateLimits, RetryPolicy
from actinium.serve import Gateway
from actinium.testkit.gateway import until
from actinium.testkit.provider import Fault, Provider
from actinium.testkit.rawhttp import Answer, Client, ask, chat, get, post


class Pair:
    """A gateway before a first and a second provider; ``m`` falls back to ``n``."""

    def __init__(self, port: int, inference: Inference, first: Provider, second: Provider) -> None:
        self.port = port
        self.inference = inference
        self.first = first
        self.second = second

    async def at_rest(self) -> None:
        for provider in (self.first, self.second):
            await provider.until(lambda p: p.live == 0)
        await until(lambda: not any(s["running"] for s in self.inference.statistics().values()))
        for name in ("m", "n"):
            guard = self.inference.guard(name)
            if guard is None:
                continue
            assert guard.gate.limiter.running == guard.gate.waiting == 0, "RQ-2"
            assert guard.purse is None or guard.purse.reserved == 0, "BG-1"


@asynccontextmanager
async def pair(**fields: Any) -> AsyncIterator[Pair]:
    async with Provider(words=("one", " two", " three")) as a, Provider(words=("other",)) as b:
        m = Deployment(
            name="m", model="gpt-4o", runtime="openai", base_url=a.base_url,
            **{"fallback": ("n",), **fields},
        )  # fmt: skip
        n = Deployment(name="n", model="gpt-4o", runtime="openai", base_url=b.base_url)
        inference = Inference([m, n])
        await inference.start()
        try:
            async with Gateway(inference, port=0) as gateway:
                found = Pair(int(gateway.url.rsplit(":", 1)[1]), inference, a, b)
                yield found
                await found.at_rest()
        finally:
            await inference.close(drain=0)


def run(body: Callable[[Pair], Awaitable[None]], **fields: Any) -> None:
    async def main() -> None:
        async with pair(**fields) as both:
            await body(both)

    asyncio.run(main())


def text_of(got: Answer) -> str:
    """The text of an answer, whole or streamed."""
    if "event-stream" in got.headers["content-type"]:
        return got.text
    found: str = got.json["choices"][0]["message"]["content"]
    return found


FAULTS = [
    Fault(status=429, headers={"retry-after": "60"}), Fault(status=500), Fault(status=401),
    Fault(drop=True), Fault(cut_at=0), Fault(garbage_at=0), Fault(error_at=0),
]  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: str(f.status) if f.status != 200 else "cut")
@pytest.mark.parametrize("stream", [True, False])
def test_what_fails_before_the_first_content_is_answered_by_the_fallback(
    fault: Fault, stream: bool
) -> None:
    async def body(both: Pair) -> None:
        both.first.plan = lambda _: fault
        got = await ask(both.port, post(chat(stream=stream)))
        assert got.status == 200
        whole_cut = not stream and fault.status == 200 and not fault.drop
        assert text_of(got) == ("one two three" if whole_cut else "other")
        assert not stream or got.events[-1] == "[DONE]"

    run(body)


def test_a_cut_after_the_first_content_is_told_and_not_repeated() -> None:
    async def body(both: Pair) -> None:
        both.first.faults.append(Fault(cut_at=2))
        got = await ask(both.port, post(chat(stream=True)))
        assert got.events[-1] != "[DONE]" and "error" in got.events[-1]
        assert not both.second.seen

    run(body)


def test_complaint_18_and_20_the_provider_rests_and_its_429_stays_one() -> None:
    async def body(both: Pair) -> None:
        both.first.plan = lambda _: Fault(status=429, headers={"retry-after": "50"})
        both.second.plan = lambda _: Fault(status=429, headers={"retry-after": "20"})
        for _ in range(5):
            got = await ask(both.port, post(chat()))
            assert got.status == 429 and got.error["code"] == "rate_limit_exceeded"
            assert got.headers["retry-after"] in ("19", "20")
        assert len(both.first.seen) == len(both.second.seen) == 1

    run(body)


def test_the_providers_own_limits_are_learned_from_its_headers() -> None:
    async def body(both: Pair) -> None:
        both.first.plan = lambda _: Fault(
            headers={
                "x-ratelimit-limit-requests": "3", "x-ratelimit-remaining-requests": "2",
                "x-ratelimit-reset-requests": "20s",
            }
        )  # fmt: skip
        texts = [text_of(await ask(both.port, post(chat()))) for _ in range(6)]
        assert texts == ["one two three"] * 3 + ["other"] * 3

    run(body, limits=RateLimits(rpm=100))


def test_an_empty_purse_is_402_and_says_when_there_is_money_again() -> None:
    async def body(both: Pair) -> None:
        asked = chat(max_tokens=10)
        assert (await ask(both.port, post(asked))).status == 200
        got = await ask(both.port, post(asked))
        assert got.status == 402 and got.error["code"] == "budget_exceeded"
        assert int(got.headers["retry-after"]) <= 86400
        shown = (await ask(both.port, get("/metrics"))).body.decode()
        assert 'actinium_cost_usd_total{deployment="m"}' in shown
        assert 'actinium_budget_used_ratio{scope="deployment:m"}' in shown
        assert 'actinium_upstream_breaker_state{deployment="m"} 0.0' in shown

    run(body, budget=Budget(per_day=15e-6), price=Price(input=0.5, output=1.0))


def test_inf_cx_1_a_client_that_leaves_the_queue_of_a_limit_frees_everything() -> None:
    async def body(both: Pair) -> None:
        both.first.faults.append(Fault(hold=True))
        both.second.plan = lambda _: Fault(status=500)
        async with await Client.to(both.port) as first:
            first.send(post(chat()))
            await both.first.until(lambda p: p.live == 1)
            second = await Client.to(both.port)
            second.send(post(chat()))
            await until(lambda: both.inference.guard("m").gate.waiting == 1)  # type: ignore[union-attr]
            second.leave()
            await until(lambda: both.inference.guard("m").gate.waiting == 0)  # type: ignore[union-attr]
            both.first.release()
            assert (await first.answer()).status == 200
        assert len(both.first.seen) == 1

    run(body, limits=RateLimits(concurrent=1))


def test_one_fault_is_mended_by_a_retry_where_there_is_no_fallback() -> None:
    async def body(both: Pair) -> None:
        both.first.faults.extend([Fault(status=503), Fault(drop=True)])
        got = await ask(both.port, post(chat(stream=True)))
        assert text_of(got) == "one two three" and len(both.first.seen) == 3

    run(body, fallback=(), retry=RetryPolicy(base=0.01), limits=RateLimits())


def test_inf_rq_2_random_faults_and_leavers_under_limits_leave_nothing() -> None:
    """Two providers that fail anywhere, clients that leave anywhere: all counts end at zero."""
    rng = random.Random(11)

    def plan(_: dict[str, Any]) -> Fault:
        place = rng.randrange(4)
        return rng.choice(
            [
                *[Fault()] * 4, Fault(cut_at=place), Fault(reset_at=place), Fault(status=500),
                Fault(garbage_at=place), Fault(error_at=place), Fault(drop=True),
                Fault(finish=False), Fault(status=429, headers={"retry-after-ms": "20"}),
            ]
        )  # fmt: skip

    async def one(both: Pair, number: int) -> None:
        draw = random.Random(number)
        stream = draw.random() < 0.7
        async with await Client.to(both.port) as client:
            client.send(post(chat(str(number), stream=stream, max_tokens=10)))
            if draw.random() < 0.3:
                for _ in range(draw.randrange(30)):
                    await asyncio.sleep(0)
                client.leave()
                return
            got = await client.answer()
            assert got.status in (200, 402, 429, 502, 503, 504), got.body
            if got.status == 200:
                text = text_of(got)
                assert "one two three".startswith(text) or text == "other", "RQ-3"
                if stream:
                    assert got.events[-1] == "[DONE]" or "error" in got.events[-1], "RQ-5"

    async def body(both: Pair) -> None:
        both.first.plan = both.second.plan = plan
        for start in range(0, 300, 50):
            await asyncio.gather(*(one(both, number) for number in range(start, start + 50)))
        await both.at_rest()

    run(
        body, limits=RateLimits(concurrent=6, rpm=100_000, tpm=10_000_000),
        retry=RetryPolicy(base=0.01, max=0.05, budget=0.5), budget=Budget(per_day=0.01),
    )  # fmt: skip
