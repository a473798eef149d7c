"""The testkit's providers: what each fault does; the official clients take their answers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from typing import Any

import anthropic
import openai
import pytest
from google import genai

from actinium.inference import Deployment, Inference, Message, Request, Timeouts
from actinium.testkit import (
    AnthropicProvider,
    Fault,
    GeminiProvider,
    Provider,
    VirtualLoop,
    in_thread,
)

TEXT = "Hello from the test."
USER: Any = [{"role": "user", "content": "hello there"}]
WIRES: dict[str, type[Provider]] = {
    "openai": Provider, "anthropic": AnthropicProvider, "gemini": GeminiProvider,
}  # fmt: skip


@pytest.fixture
def ac_openai() -> Iterator[Provider]:
    with in_thread(Provider()) as provider:
        yield provider


@pytest.fixture
def ac_anthropic() -> Iterator[AnthropicProvider]:
    with in_thread(AnthropicProvider()) as provider:
        yield provider


@pytest.fixture
def ac_gemini() -> Iterator[GeminiProvider]:
    with in_thread(GeminiProvider()) as provider:
        yield provider


def test_the_openai_client_and_a_retry_after(ac_openai: Provider) -> None:
    client = openai.OpenAI(base_url=ac_openai.base_url, api_key="k", max_retries=0)
    got = client.chat.completions.create(model="any", messages=USER)
    assert got.choices[0].message.content == TEXT
    ac_openai.faults.append(Fault(status=429, headers={"retry-after": "7"}))
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model="any", messages=USER)
    assert caught.value.response.headers["retry-after"] == "7"
    ac_openai.faults.append(Fault(cut_at=3))
    with pytest.raises(Exception, match=r"incomplete|closed|peer|Connection"):
        list(client.chat.completions.create(model="any", messages=USER, stream=True))
    assert len(ac_openai.seen) == 3 and ac_openai.seen[0].body["model"] == "any"


def test_the_anthropic_client(ac_anthropic: AnthropicProvider) -> None:
    url = ac_anthropic.base_url.removesuffix("/v1")
    client = anthropic.Anthropic(base_url=url, api_key="k", max_retries=0)
    got = client.messages.create(model="any", max_tokens=9, messages=USER)
    assert got.content[0].text == TEXT  # type: ignore[union-attr]
    ac_anthropic.faults.append(Fault(status=529))
    with pytest.raises(anthropic.InternalServerError):
        client.messages.create(model="any", max_tokens=9, messages=USER)
    begun: Any = [*USER, {"role": "assistant", "content": "Hello from"}]
    got = client.messages.create(model="any", max_tokens=9, messages=begun)
    assert got.content[0].text == " the test."  # type: ignore[union-attr]
    begun[-1]["content"] += " "
    with pytest.raises(anthropic.BadRequestError, match="trailing whitespace"):
        client.messages.create(model="any", max_tokens=9, messages=begun)


def test_the_google_client(ac_gemini: GeminiProvider) -> None:
    client = genai.Client(api_key="k", http_options={"base_url": ac_gemini.base_url})
    got = client.models.generate_content(model="any", contents="hello")
    assert got.text == TEXT


async def _ask(inference: Inference, *, stream: bool) -> tuple[str, Any]:
    request = Request(
        id="r", model="m", messages=(Message(role="user", content="hello there"),), stream=stream
    )
    text, usage = "", None
    if not stream:
        for chunk in await inference.complete(request):
            text, usage = text + chunk.text, chunk.usage or usage
        return text, usage
    async for burst in inference.generate(request):
        for chunk in burst:
            text, usage = text + chunk.text, chunk.usage or usage
    return text, usage


FAULTS: list[tuple[Fault, str | None]] = [
    (Fault(), None),
    (Fault(wait=0.01), None),
    (Fault(each=0.002), None),
    (Fault(split=11, each=0.0), None),
    (Fault(usage=False), None),
    (Fault(usage="wrong"), None),
    (Fault(usage="repeated"), None),
    (Fault(done=False), None),
    (Fault(wait=60.0), "UpstreamTimeout"),
    (Fault(stall_at=0), "UpstreamTimeout"),
    (Fault(stall_at=4), "StreamInterrupted"),
    (Fault(cut_at=4), "StreamInterrupted"),
    (Fault(reset_at=4), "StreamInterrupted"),
    (Fault(garbage_at=4), "StreamInterrupted"),
    (Fault(error_at=4), "StreamInterrupted"),
    (Fault(finish=False), "StreamInterrupted"),
    (Fault(status=429), "RateLimited"),
    (Fault(status=429, headers={"retry-after": "3"}), "RateLimited"),
    (Fault(status=500), "ServerError"),
    (Fault(status=503), "UpstreamOverloaded"),
    (Fault(drop=True), "NetworkError"),
]


@pytest.mark.parametrize("wire", WIRES)
def test_every_fault_is_what_it_says_on_every_wire(wire: Any) -> None:
    async def main() -> None:
        async with WIRES[wire](words=("Hello", " from", " the", " test", ".")) as provider:
            one = Deployment(
                name="m", model="any", runtime=wire, base_url=provider.base_url,
                timeouts=Timeouts(first_byte=0.15, inter_chunk=0.15),
                credentials=None if wire != "gemini" else "env:PATH",
            )  # fmt: skip
            inference = Inference([one])
            await inference.start()
            for fault, expected in FAULTS:
                if wire == "anthropic" and not fault.done:
                    continue  # on that wire an end mark is needed
                provider.faults.append(fault)
                got: str | None = None
                try:
                    text, usage = await _ask(inference, stream=True)
                    assert text == TEXT, fault
                    if fault.usage == "wrong":
                        assert usage.output == 5000
                    elif fault.usage in (True, "repeated"):
                        assert usage.output == 5, fault
                except Exception as error:  # noqa: BLE001 - its class is what is tested
                    got = type(error).__name__
                    if fault.headers:
                        assert error.retry_after == 3.0  # type: ignore[attr-defined]
                assert got == expected, (wire, fault)
                await provider.until(lambda p: p.live == 0)
            text, _ = await _ask(inference, stream=False)
            assert text == TEXT
            await inference.close(drain=0)

    asyncio.run(main())


def test_a_slow_body_is_slow() -> None:
    async def main() -> None:
        async with Provider() as provider:
            one = Deployment(name="m", runtime="openai", base_url=provider.base_url)
            inference = Inference([one])
            await inference.start()
            provider.faults.append(Fault(split=100, each=0.01))
            loop = asyncio.get_running_loop()
            began = loop.time()
            text, _ = await _ask(inference, stream=False)
            assert text == TEXT and loop.time() - began >= 0.03, "three pauses at least"
            await inference.close(drain=0)

    with asyncio.Runner(loop_factory=partial(VirtualLoop, outside=True)) as runner:
        runner.run(main())


def test_a_provider_that_cannot_start_says_so_in_the_thread_that_wants_it() -> None:
    class Broken(Provider):
        async def __aenter__(self) -> Provider:
            raise OSError("no port")

    with pytest.raises(OSError, match="no port"), in_thread(Broken()):
        pass
