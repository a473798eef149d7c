"""Streams that break off at a real provider and are gone on with by another, over each wire."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anthropic
import openai
import pytest

from actinium.inference import Deployment, Hedge, Inference, Message, Request, Sampling, Timeouts
from actinium.serve import Gateway
from actinium.testkit.anthropic import AnthropicProvider
from actinium.testkit.provider import Fault, Provider
from actinium.testkit.rawhttp import Client, ask, chat, post

WORDS = tuple(f" w{i}" for i in range(12))
TEXT = "".join(WORDS)
USER: Any = [{"role": "user", "content": "hello there"}]


class Both:
    """A gateway whose deployment ``m`` breaks and whose ``n`` goes on."""

    def __init__(self, gateway: Gateway, inference: Inference, m: Provider, n: Provider) -> None:
        self.url = gateway.url
        self.port = int(gateway.url.rsplit(":", 1)[1])
        self.inference = inference
        self.m = m
        self.n = n


@asynccontextmanager
async def both(wire: str, **fields: Any) -> AsyncIterator[Both]:
    second = AnthropicProvider(words=WORDS) if wire == "anthropic" else Provider(words=WORDS)
    runtime: Any = "anthropic" if wire == "anthropic" else "openai"
    options = {} if wire == "anthropic" else {"prefill": wire}
    async with Provider(words=WORDS) as first, second:
        m = Deployment(
            name="m", model="up", runtime="openai", base_url=first.base_url, price="free",
            **{"fallback": ("n",), "continuation": True, **fields},
        )  # fmt: skip
        n = Deployment(
            name="n", model="up", runtime=runtime, base_url=second.base_url, options=options,
            price="free",
        )  # fmt: skip
        inference = Inference([m, n])
        await inference.start()
        try:
            async with Gateway(inference, port=0) as gateway:
                yield Both(gateway, inference, first, second)
                for provider in (first, second):
                    await provider.until(lambda p: p.live == 0)
                assert not any(s["running"] for s in inference.statistics().values())
        finally:
            await inference.close(drain=0)


@pytest.mark.parametrize("wire", ["continue_final_message", "prefix", "anthropic"])
@pytest.mark.parametrize("kind", ["cut_at", "reset_at", "garbage_at", "error_at", "stall_at"])
def test_complaint_1_a_break_in_mid_stream_is_gone_on_with(wire: str, kind: str) -> None:
    """A stream that breaks after some tokens (cut, stall or one bad event) tried no fallback."""

    async def main() -> None:
        limits = Timeouts(inter_chunk=0.1)
        async with both(wire, timeouts=limits) as s:
            for at in (2, 7) if kind != "stall_at" else (5,):
                s.m.faults.append(Fault(**{kind: at}))
                got = await ask(s.port, post(chat(stream=True)))
                assert got.text == TEXT and got.events[-1] == "[DONE]"
                seams = [e["actinium"]["continued"] for e in got.events[:-1] if "actinium" in e]
                assert len(seams) == 1 and (seams[0]["source"], seams[0]["target"]) == ("m", "n")
                assert TEXT[: seams[0]["after"]] == "".join(WORDS[: at - 1])
            assert len(s.m.seen) == len(s.n.seen), "each was asked once"

    asyncio.run(main())


def test_the_official_clients_read_on_over_the_seam() -> None:
    async def main() -> None:
        async with both("anthropic") as s:
            s.m.faults += [Fault(cut_at=6), Fault(cut_at=6)]
            async with openai.AsyncOpenAI(
                base_url=f"{s.url}/v1", api_key="k", max_retries=0
            ) as client:
                text, usage = "", None
                async for event in await client.chat.completions.create(
                    model="m", messages=USER, stream=True, stream_options={"include_usage": True}
                ):
                    usage = event.usage or usage
                    text += "".join(c.delta.content or "" for c in event.choices)
                assert text == TEXT and usage is not None
                assert usage.completion_tokens == 5 + 7, "what both have said"
            async with anthropic.AsyncAnthropic(
                base_url=s.url, api_key="k", max_retries=0
            ) as claude:
                async with claude.messages.stream(
                    model="m", max_tokens=100, messages=USER
                ) as stream:
                    final = await stream.get_final_message()
                assert final.content[0].text == TEXT  # type: ignore[union-attr]
                assert final.stop_reason == "end_turn"

    asyncio.run(main())


def test_a_break_that_nobody_goes_on_with_stays_one() -> None:
    async def main() -> None:
        async with both("anthropic") as s:
            s.m.faults.append(Fault(cut_at=6))
            s.n.faults.append(Fault(status=500))
            got = await ask(s.port, post(chat(stream=True)))
            assert got.events[-1]["error"]["code"] == "stream_interrupted"
            assert got.text == "".join(WORDS[:5])

    asyncio.run(main())


def test_the_embedded_model_goes_on_with_what_another_began() -> None:
    async def main() -> None:
        local = Deployment(name="n", options={"threads": 1})
        async with Provider() as first:
            m = Deployment(
                name="m", model="up", runtime="openai", base_url=first.base_url,
                fallback=("n",), continuation=True, price="free",
            )  # fmt: skip
            inference = Inference([m, local])
            await inference.start()
            messages = (Message(role="user", content="Hello! Who are you?"),)
            greedy = Sampling(temperature=0.0, max_tokens=24)
            asked = Request(id="r", model="n", messages=messages, sampling=greedy)
            whole = "".join(c.text for c in await inference.complete(asked))
            words = [w if not i else " " + w for i, w in enumerate(whole.split(" "))]
            first.words = tuple(words)
            first.faults.append(Fault(cut_at=4))
            async with Gateway(inference, port=0) as gateway:
                body = chat("Hello! Who are you?", stream=True, temperature=0, max_tokens=24)
                got = await ask(int(gateway.url.rsplit(":", 1)[1]), post(body))
            assert got.events[-1] == "[DONE]"
            assert got.text == whole, "greedy, it goes on as it would have by itself"
            await inference.close(drain=1)

    asyncio.run(main())


@pytest.mark.parametrize("stream", [True, False])
def test_the_loser_of_a_hedge_is_cancelled_at_its_provider(stream: bool) -> None:
    async def main() -> None:
        hedge = {"hedge": Hedge(after=0.02, budget=1.0), "continuation": False}
        async with both("anthropic", **hedge) as s:
            s.m.faults.append(Fault(hold=True))
            got = await ask(s.port, post(chat(stream=stream)))
            assert got.status == 200
            text = got.text if stream else got.json["choices"][0]["message"]["content"]
            assert text == TEXT and len(s.n.seen) == 1
            await s.m.until(lambda p: p.aborted == 1)
            assert (await ask(s.port, post(chat()))).status == 200, "the first is well again"

    asyncio.run(main())


def test_inf_cx_1_a_client_that_leaves_a_hedge_stops_both_providers() -> None:
    async def main() -> None:
        async with both("anthropic", hedge=Hedge(after=0.02, budget=1.0)) as s:
            s.m.faults.append(Fault(hold=True))
            s.n.faults.append(Fault(hold=True))
            client = await Client.to(s.port)
            client.send(post(chat(stream=True)))
            await s.n.until(lambda p: p.live == 1)
            client.leave()
            await s.m.until(lambda p: p.aborted == 1)
            await s.n.until(lambda p: p.aborted == 1)

    asyncio.run(main())


def test_a_seam_is_an_event_without_content() -> None:
    async def main() -> None:
        async with both("anthropic") as s:
            s.m.faults.append(Fault(cut_at=4))
            got = await ask(s.port, post(chat(stream=True)))
            (seam,) = [e for e in got.events[:-1] if "actinium" in e]
            assert seam["choices"] == [
                {"index": 0, "delta": {"content": ""}, "logprobs": None, "finish_reason": None}
            ]
            s.m.faults.append(Fault(cut_at=4))
            body = {"model": "m", "max_tokens": 50, "messages": USER, "stream": True}
            raw = (await ask(s.port, post(body, "/v1/messages"))).body.decode()
            pings = [b for b in raw.split("\n\n") if b.startswith("event: ping")]
            told = [json.loads(b.partition("data: ")[2]) for b in pings]
            assert any("actinium" in event for event in told)

    asyncio.run(main())
