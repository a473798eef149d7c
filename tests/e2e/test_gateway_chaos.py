"""Thousands of requests, clients that leave, three providers that fail at random: what is left.

RQ-1: every request ends exactly once, as success or with a typed error. RQ-3: no text comes twice.
RQ-2: no slot, permit, reservation, task, socket or object stays.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any

import pytest

from actinium.base.measures import Count, Family
from actinium.inference import (
    BreakerPolicy,
    Budget,
    Deployment,
    Hedge,
    Inference,
    Price,
    RateLimits,
    RetryPolicy,
    Timeouts,
)
from actinium.serve import Gateway
from actinium.testkit.anthropic import AnthropicProvider
from actinium.testkit.gateway import until
from actinium.testkit.gemini import GeminiProvider
from actinium.testkit.provider import Fault, Provider
from actinium.testkit.rawhttp import Answer, Client, chat, post

WORDS = tuple(f" w{n}" for n in range(24))
TEXT = "".join(WORDS)
TYPED = {402, 429, 502, 503, 504, 529}
CODES = {
    "budget_exceeded", "deadline_exceeded", "insufficient_quota", "model_not_ready", "overloaded",
    "rate_limit_exceeded", "stream_interrupted", "upstream_error", "upstream_overloaded",
    "upstream_protocol", "upstream_timeout", "upstream_unavailable", "upstream_unreachable",
}  # fmt: skip
CALLERS = 40


def faults(rng: random.Random, share: float) -> Fault:
    """A fault in so many of all answers."""
    if rng.random() > share:
        return Fault(split=rng.choice([None, None, None, 61]))
    at = rng.randrange(len(WORDS) + 3)
    return rng.choice([
        Fault(stall_at=at), Fault(cut_at=at), Fault(reset_at=at), Fault(garbage_at=at),
        Fault(error_at=at), Fault(finish=False), Fault(usage=False), Fault(usage="wrong"),
        Fault(status=500), Fault(status=503, headers={"retry-after": "0.1"}), Fault(status=503),
        Fault(status=429, headers={"retry-after": "0.02"}), Fault(drop=True), Fault(wait=0.03),
        Fault(each=0.002), Fault(status=200, body=b"<html>"),
    ])  # fmt: skip


def deployments(openai: Provider, claude: Provider, gemini: Provider) -> list[Deployment]:
    """One with everything, one with a plain fallback, and those behind them."""
    never = BreakerPolicy(failures=1_000_000)
    shared: dict[str, Any] = {
        "timeouts": Timeouts(first_byte=0.4, inter_chunk=0.2, total=4.0), "max_concurrent": 16,
        "price": Price(input=1.0, output=2.0),
    }  # fmt: skip
    return [
        Deployment(
            name="m", model="any", runtime="openai", base_url=openai.base_url,
            fallback=("claude", "gemini"), continuation=True,
            hedge=Hedge(after=0.02, budget=0.5), retry=RetryPolicy(base=0.01, max=0.05),
            limits=RateLimits(concurrent=12, max_wait=1.0), breaker=never,
            budget=Budget(per_day=1000.0), queue=64, **shared,
        ),
        Deployment(
            name="n", model="any", runtime="openai", base_url=openai.base_url,
            fallback=("gemini",), breaker=never, **shared,
        ),
        Deployment(
            name="claude", model="any", runtime="anthropic", base_url=claude.base_url,
            breaker=never, **shared,
        ),
        Deployment(
            name="gemini", model="any", runtime="gemini", base_url=gemini.base_url,
            credentials="env:PATH", **shared,
        ),
    ]  # fmt: skip


class Caller:
    """Clients one after the other, and what became of their requests."""

    def __init__(self, port: int, seed: int) -> None:
        self.port = port
        self.rng = random.Random(seed)
        self.ends: Counter[str] = Counter()
        self.sent = 0

    async def ask(self) -> None:
        rng = self.rng
        stream = rng.random() < 0.7
        model = rng.choice(["m", "m", "m", "n"])
        claude = rng.random() < 0.25
        body = {**chat(str(rng.random()), stream=stream), "model": model}
        more = f"x-request-timeout-ms: {rng.choice([100, 2000, 3000, 5000])}\r\n"
        if claude:
            raw = post({**body, "max_tokens": 60}, "/v1/messages", more)
        else:
            raw = post(body, headers=more)
        async with await Client.to(self.port) as client:
            client.send(raw)
            self.sent += 1
            if rng.random() < 0.15:
                for _ in range(rng.randrange(60)):
                    await asyncio.sleep(0)
                client.leave()
                self.ends["left"] += 1
                return
            answer = await client.answer()
        self.ends[judged(answer, stream=stream, claude=claude)] += 1


def judged(answer: Answer, *, stream: bool, claude: bool) -> str:
    """How an answer ended; fails where it is not one of the ways there are."""
    if answer.status != 200:
        assert answer.status in TYPED, (answer.status, answer.body)
        if not claude:
            assert answer.error["code"] in CODES, answer.error
        return str(answer.status)
    if not stream:
        found = answer.json["content"] if claude else answer.json["choices"]
        text = found[0]["text"] if claude else found[0]["message"]["content"]
        assert text == TEXT, "an answer that is whole"
        return "whole"
    text, ends = messages_text(answer) if claude else (answer.text, chat_ends(answer))
    assert TEXT.startswith(text), f"RQ-3: text that comes twice or is left out: {text!r}"
    assert len(ends) == 1, f"RQ-1: {ends}"
    if ends == ["done"]:
        assert text == TEXT, "RQ-5: half an answer that looks whole"
    return f"stream {ends[0]}"


def chat_ends(answer: Answer) -> list[str]:
    ends = ["done" for event in answer.events if event == "[DONE]"]
    for event in answer.events:
        if isinstance(event, dict) and "error" in event:
            assert event["error"]["code"] in CODES, event
            ends.append("error")
    return ends


def messages_text(answer: Answer) -> tuple[str, list[str]]:
    import json

    text, ends = "", []
    for block in answer.body.decode().split("\n\n"):
        name, _, data = block.partition("\ndata: ")
        if name.endswith("event: content_block_delta"):
            text += json.loads(data)["delta"].get("text", "")
        elif name.endswith("event: message_stop"):
            ends.append("done")
        elif name.endswith("event: error"):
            ends.append("error")
    return text, ends


def ours() -> Counter[str]:
    """Live objects of this package, by class."""
    gc.collect()
    kinds = Counter(type(o) for o in gc.get_objects())
    found: Counter[str] = Counter()
    for kind, number in kinds.items():
        if str(kind.__module__).startswith("actinium."):
            found[f"{kind.__module__}.{kind.__qualname__}"] += number
    return found


def total(inference: Inference, name: str) -> float:
    """The sum of a counter over all labels."""
    for family in inference.registry:
        if family.name == name and isinstance(family, Family):
            return sum(child.value for _, child in family if isinstance(child, Count))
    raise LookupError(name)


LONG = (pytest.mark.slow, pytest.mark.timeout(900))


@pytest.mark.parametrize("requests", [300, pytest.param(10_000, marks=LONG)], ids=["few", "10k"])
def test_complaint_11_inf_rq_1_rq_2_rq_3_chaos_at_the_gateway(requests: int) -> None:
    async def main() -> None:
        files = len(os.listdir("/proc/self/fd"))
        tasks = len(asyncio.all_tasks())
        rng = random.Random(11)
        async with AsyncExitStack() as stack:
            enter = stack.enter_async_context
            providers = [
                await enter(kind(words=WORDS))
                for kind in (Provider, AnthropicProvider, GeminiProvider)
            ]
            for provider, share in zip(providers, (0.35, 0.15, 0.08), strict=True):
                provider.plan = lambda _, share=share: faults(rng, share)  # type: ignore[misc]
            inference = Inference(deployments(*providers))
            await inference.start()
            gateway = await enter(Gateway(inference, port=0))
            port = int(gateway.url.rsplit(":", 1)[1])
            callers = [Caller(port, seed) for seed in range(CALLERS)]

            async def some(number: int) -> None:
                left = iter(range(number))

                async def one(caller: Caller) -> None:
                    for _ in left:
                        await caller.ask()

                await asyncio.gather(*map(one, callers))
                for provider in providers:
                    await provider.until(lambda p: p.live == 0)
                    provider.seen.clear()
                await until(lambda: at_rest(inference))

            await some(requests // 3)
            before = ours()
            await some(requests - requests // 3)
            grown = ours() - before
            ends = sum((caller.ends for caller in callers), Counter[str]())
            sent = sum(caller.sent for caller in callers)
            assert sum(ends.values()) == sent == requests, "RQ-1: each ends once"
            assert total(inference, "http_answers") == requests
            assert ends["whole"] and ends["stream done"] and ends["left"], ends
            assert total(inference, "hedges")
            assert total(inference, "continued") or requests < 1000
            few = {kind: number for kind, number in grown.items() if number > 60}
            assert few == {}, "RQ-2: objects that stay"
            await inference.close(drain=1)
        await until(lambda: len(asyncio.all_tasks()) <= tasks)
        gc.collect()
        assert len(os.listdir("/proc/self/fd")) <= files, "RQ-2: a socket stays open"

    asyncio.run(main())


def at_rest(inference: Inference) -> bool:
    for name, statistics in inference.statistics().items():
        if statistics["running"] or statistics["waiting"]:
            return False
        guard = inference.guard(name)
        assert guard is not None
        if guard.gate.limiter.running or guard.gate.waiting:
            return False
        if guard.breaker.statistics()["under_way"]:
            return False
        if guard.purse is not None and guard.purse.reserved:
            return False
    return True
