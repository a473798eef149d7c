"""The whole runner on the embedded model; texts are compared with each other, never fixed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx_support import Collected, ask, folder, tokenizer
from test_onnx_prompt import TOOLS

from actinium.errors import (
    BadRequest,
    ConfigError,
    ContextLengthExceeded,
    ModelNotReady,
    RequestDeadline,
    Unsupported,
)
from actinium.inference.chunk import Chunk
from actinium.inference.deployment import Deployment
from actinium.inference.request import EmbedRequest, Message, Request, Sampling
from actinium.inference.runners.onnx import OnnxRunner

SLOTS = 6
NEVER_END = {str(token): -100.0 for token in folder().config.stop_ids}


@asynccontextmanager
async def _loaded(**options: Any) -> AsyncIterator[OnnxRunner]:
    runner = OnnxRunner(Deployment(name="x", options={"slots": SLOTS, "threads": 1} | options))
    await runner.load()
    try:
        yield runner
    finally:
        await runner.close()


async def _collect(runner: OnnxRunner, request: Request) -> Collected:
    chunks: list[Chunk] = []
    async for burst in runner.generate(request):
        chunks += burst
    return Collected(chunks)


def _run(body: Callable[[OnnxRunner], Awaitable[None]], **options: Any) -> None:
    async def main() -> None:
        async with _loaded(**options) as runner:
            await body(runner)
            await _idle(runner)

    asyncio.run(main())


async def _until(runner: OnnxRunner, **expected: int) -> None:
    """Waits until the statistics say so; a runner has no event for them."""
    while True:
        stats = runner.statistics()
        if all(stats[name] == value for name, value in expected.items()):
            return
        await asyncio.sleep(0.001)


async def _idle(runner: OnnxRunner) -> None:
    """Every test ends with all slots free (inf_RQ-2)."""
    await _until(runner, active=0, waiting=0, free=SLOTS)


def _same(a: Collected, b: Collected, n: int) -> bool:
    return all(
        (a.text(i), a.finish(i), a.logprobs(i)) == (b.text(i), b.finish(i), b.logprobs(i))
        for i in range(n)
    )


REQUESTS = st.lists(
    st.builds(
        lambda text, n, **sampling: msgspec.structs.replace(ask(text, **sampling), n=n),
        st.sampled_from(["Hello!", "Tell me a story about a dog.", "Count to five. " * 12]),
        st.integers(1, 2),
        temperature=st.sampled_from([0.0, 0.3, 1.5, None]),
        top_p=st.sampled_from([None, 0.8]),
        top_k=st.sampled_from([None, 20]),
        seed=st.integers(0, 2**62),
        max_tokens=st.integers(1, 24),
        logprobs=st.sampled_from([None, 0, 3]),
        frequency_penalty=st.sampled_from([0.0, 0.5]),
        stop=st.sampled_from([(), ("e",), (" the", "dog")]),
    ),
    min_size=2,
    max_size=9,
)


def test_inf_rq_6_a_seeded_request_is_answered_alike_alone_twice_and_in_a_batch() -> None:
    async def body(runner: OnnxRunner) -> None:
        loop = asyncio.get_running_loop()

        async def compare(requests: list[Request]) -> None:
            together = await asyncio.gather(*(_collect(runner, r) for r in requests))
            for request, expected in zip(requests, together, strict=True):
                alone = await _collect(runner, request)
                assert _same(alone, expected, request.n)
                assert alone.usage == expected.usage
                assert alone.usage.input == runner.count_tokens(request)

        @settings(deadline=None, max_examples=12)
        @given(REQUESTS)
        def law(requests: list[Request]) -> None:
            asyncio.run_coroutine_threadsafe(compare(requests), loop).result(60)

        await asyncio.to_thread(law)

    _run(body)


def test_threads_do_not_change_the_text() -> None:
    texts: list[str] = []
    request = ask("Tell me a story.", seed=3, temperature=1.0, max_tokens=40)

    async def body(runner: OnnxRunner) -> None:
        texts.append((await _collect(runner, request)).text())

    _run(body, threads=1)
    _run(body, threads=2)
    assert texts[0] == texts[1]


def test_requests_join_a_running_batch_and_leave_it() -> None:
    async def body(runner: OnnxRunner) -> None:
        long = runner.generate(ask("Tell me a story.", max_tokens=900, logit_bias=NEVER_END))
        first = await anext(long)
        short = await _collect(runner, ask("Hello!", max_tokens=3))
        assert short.finish() is not None
        assert runner.statistics()["active"] == 1
        rest = [chunk for burst in [first, *[b async for b in long]] for chunk in burst]
        assert Collected(rest).usage.output == 900

    _run(body)


def test_more_requests_than_slots_wait_their_turn() -> None:
    async def body(runner: OnnxRunner) -> None:
        asked = [ask(f"Hello {n}", max_tokens=8, logit_bias=NEVER_END) for n in range(3 * SLOTS)]
        answers = await asyncio.gather(*(_collect(runner, r) for r in asked))
        assert [a.usage.output for a in answers] == [8] * len(asked)
        assert runner.statistics()["finished"] == len(asked)

    _run(body)


def test_inf_rq_2_closing_the_generator_frees_the_slot() -> None:
    async def body(runner: OnnxRunner) -> None:
        request = msgspec.structs.replace(ask("Tell me a story.", logit_bias=NEVER_END), n=SLOTS)
        running = runner.generate(request)
        await anext(running)
        queued = runner.generate(request)
        waiting = asyncio.ensure_future(anext(queued))
        await _until(runner, waiting=1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await queued.aclose()
        await running.aclose()
        await _idle(runner)
        assert runner.statistics()["cancelled"] == 2
        assert (await _collect(runner, ask("Hello!", max_tokens=2))).finish() is not None

    _run(body)


def test_max_tokens_and_the_context_end_an_answer_with_length() -> None:
    async def body(runner: OnnxRunner) -> None:
        got = await _collect(runner, ask("Hello!", max_tokens=5, logit_bias=NEVER_END))
        assert (got.finish(), got.usage.output) == ("length", 5)
        request = ask("Hello!", logit_bias=NEVER_END)
        got = await _collect(runner, request)
        assert got.finish() == "length"
        assert got.usage.input + got.usage.output == 64

    _run(body, context=64)


def test_what_cannot_fit_is_refused_before_anything_runs() -> None:
    async def body(runner: OnnxRunner) -> None:
        request = ask("Hello!", max_tokens=60)
        with pytest.raises(ContextLengthExceeded) as caught:
            await anext(runner.generate(request))
        count = runner.count_tokens(request)
        assert (caught.value.tokens, caught.value.limit) == (count + 60, 64)
        with pytest.raises(ContextLengthExceeded):
            await anext(runner.generate(ask("word " * 200)))
        assert runner.statistics()["prefill_tokens"] == 0

    _run(body, context=64)


def test_inf_lr_3_no_stop_string_is_ever_shown() -> None:
    async def body(runner: OnnxRunner) -> None:
        free = await _collect(runner, ask("Tell me a story.", temperature=0.0, max_tokens=40))
        text = free.text()
        assert len(text) > 8
        stop = text[4:7]
        cut = await _collect(
            runner, ask("Tell me a story.", temperature=0.0, max_tokens=40, stop=(stop,))
        )
        assert (cut.text(), cut.finish()) == (text[: text.index(stop)], "stop")
        assert cut.usage.output < free.usage.output

    _run(body)


def test_logprobs_follow_the_text() -> None:
    async def body(runner: OnnxRunner) -> None:
        got = await _collect(
            runner, ask("Hello!", temperature=0.0, max_tokens=12, logprobs=4, logit_bias=NEVER_END)
        )
        entries = got.logprobs()
        assert len(entries) == got.usage.output
        raw = b"".join(bytes(entry.bytes or ()) for entry in entries)
        assert raw.decode("utf-8", "replace") == got.text()
        for entry in entries:
            assert len(entry.top) == 4
            values = [value for _, value in entry.top]
            assert values == sorted(values, reverse=True)
            assert entry.logprob <= values[0] <= 0.0

    _run(body)


def test_n_choices_are_those_of_their_own_draws() -> None:
    async def body(runner: OnnxRunner) -> None:
        request = ask("Tell me a story.", temperature=2.0, seed=5, max_tokens=20)
        three = await _collect(runner, msgspec.structs.replace(request, n=3))
        one = await _collect(runner, request)
        assert three.text(0) == one.text(0)
        assert len({three.text(index) for index in range(3)}) == 3
        assert three.usage.input == one.usage.input

    _run(body)


@pytest.mark.parametrize(
    "choice", ["required", {"type": "function", "function": {"name": "weather"}}]
)
def test_a_forced_call_is_a_call_or_its_text(choice: Any) -> None:
    async def body(runner: OnnxRunner) -> None:
        request = msgspec.structs.replace(
            ask("What is the weather in Oslo?", temperature=0.0, max_tokens=60),
            tools=TOOLS,
            tool_choice=choice,
        )
        got = await _collect(runner, request)
        if got.tools():
            assert got.finish() == "tool_calls"
            assert got.tools()[0].name == "weather"
            assert isinstance(msgspec.json.decode(got.tools()[0].arguments), dict)
        else:
            assert got.finish() in ("stop", "length")
            assert got.text()

    _run(body)


def test_without_tools_no_call_is_opened() -> None:
    async def body(runner: OnnxRunner) -> None:
        bias = {str(folder().config.call_id): 100.0}
        got = await _collect(runner, ask("Weather in Oslo?", max_tokens=10, logit_bias=bias))
        assert got.tools() == []
        assert got.usage.output >= 1

    _run(body)


def test_a_plain_completion() -> None:
    async def body(runner: OnnxRunner) -> None:
        got = await _collect(
            runner,
            Request(id="r", model="m", prompt="One day", sampling=Sampling(max_tokens=4)),
        )
        ids = tokenizer().encode("<|bos|>One day").ids
        assert got.usage.input == len(ids)

    _run(body)


def test_a_deadline_ends_the_answer_and_frees_its_slot() -> None:
    async def body(runner: OnnxRunner) -> None:
        now = asyncio.get_running_loop().time()
        request = ask("Tell me a story.", logit_bias=NEVER_END)
        with pytest.raises(RequestDeadline, match="before it began"):
            await anext(runner.generate(msgspec.structs.replace(request, deadline=now - 1)))
        with pytest.raises(RequestDeadline, match="the deadline of the request passed"):
            soon = msgspec.structs.replace(request, n=SLOTS, deadline=now + 0.2)
            await _collect(runner, soon)

    _run(body)


def test_inf_rq_7_what_the_runner_does_not_do_is_refused_by_name() -> None:
    async def body(runner: OnnxRunner) -> None:
        request = ask("Hello!")
        cases = [
            ({"response_format": {"type": "json_object"}}, Unsupported, "response_format"),
            ({"n": SLOTS + 1}, BadRequest, "n"),
            ({"sampling": Sampling(temperature=-1.0)}, BadRequest, "temperature"),
            ({"prompt": "x"}, BadRequest, "messages"),
        ]
        for changes, kind, param in cases:
            with pytest.raises(kind) as caught:
                await anext(runner.generate(msgspec.structs.replace(request, **changes)))
            assert caught.value.param == param
        with pytest.raises(Unsupported, match="makes no embeddings"):
            await runner.embed(EmbedRequest(id="e", model="m", inputs=("x",)))

    _run(body)


def test_an_empty_message_is_answered() -> None:
    async def body(runner: OnnxRunner) -> None:
        request = Request(
            id="r",
            model="m",
            messages=(Message(role="user", content=""),),
            sampling=Sampling(max_tokens=2),
        )
        assert (await _collect(runner, request)).finish() is not None

    _run(body)


def test_the_life_of_a_runner() -> None:
    async def main() -> None:
        runner = OnnxRunner(Deployment(name="x", options={"slots": 2, "threads": 1}))
        assert not (await runner.health()).ok
        with pytest.raises(ModelNotReady, match="'x' is not loaded"):
            await anext(runner.generate(ask("Hello!")))
        with pytest.raises(ModelNotReady):
            runner.count_tokens(ask("Hello!"))
        seen: list[float] = []
        await asyncio.gather(runner.load(lambda fraction, _: seen.append(fraction)), runner.load())
        assert seen == sorted(seen) and seen[0] == 0.0 and seen[-1] == 1.0
        assert (await runner.health()).ok
        open_answer = runner.generate(ask("Hello!", logit_bias=NEVER_END))
        await anext(open_answer)
        await runner.close()
        with pytest.raises(ModelNotReady, match="closed before the answer was complete"):
            while True:
                await anext(open_answer)
        assert not (await runner.health()).ok
        await runner.close()
        await runner.load()
        assert (await _collect(runner, ask("Hello!", max_tokens=2))).finish() is not None
        await runner.close()

    asyncio.run(main())


def test_a_damaged_model_is_not_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: object) -> None:
        raise ConfigError("damaged")

    async def main() -> None:
        runner = OnnxRunner(Deployment(name="x"))
        monkeypatch.setattr(type(runner.folder), "verify", refuse)
        with pytest.raises(ConfigError, match="damaged"):
            await runner.load()
        assert not (await runner.health()).ok
        assert set(runner.statistics().values()) == {0}

    asyncio.run(main())


def test_capabilities_are_the_models() -> None:
    found = OnnxRunner(Deployment(name="x", options={"slots": 3})).capabilities()
    assert found.context == folder().config.max_context
    assert (found.n, found.batch) == (3, 3)
    assert found.tools and found.seed and found.logprobs and not found.embeddings


def test_a_reader_that_is_behind_gets_everything_in_one_burst() -> None:
    async def body(runner: OnnxRunner) -> None:
        answer = runner.generate(ask("Hello!", max_tokens=30, logit_bias=NEVER_END))
        chunks = list(await anext(answer))
        await _until(runner, finished=1)
        rest = [burst async for burst in answer]
        assert len(rest) <= 2
        assert Collected(chunks + [c for burst in rest for c in burst]).usage.output == 30

    _run(body)
