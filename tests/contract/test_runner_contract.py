"""What every ModelRunner keeps, local or remote: one body over all of them.

To put another runner under it, add a :class:`Case` to ``CASES``: how to make a loaded runner,
and what it promises beyond the seam.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from actinium.errors import ActiniumError, InferenceError, Unsupported
from actinium.inference.chunk import Burst, Chunk
from actinium.inference.deployment import Deployment
from actinium.inference.request import EmbedRequest, ImagePart, Message, Request, Sampling
from actinium.inference.route import make_runner
from actinium.inference.runner import ModelRunner
from actinium.inference.runners.onnx import OnnxRunner
from actinium.testkit.anthropic import AnthropicProvider
from actinium.testkit.gemini import GeminiProvider
from actinium.testkit.provider import Fault, Provider

Opened = AbstractAsyncContextManager[ModelRunner]


@dataclass(frozen=True)
class Case:
    """A runner under test.

    ``make`` opens a loaded runner and closes it. ``running`` says how many generations are at
    work behind it. ``repeats``: equal seeded requests give equal text. ``text_only``: a part
    that is an image is refused. ``hottest`` is the highest temperature it takes; ``seeds`` says
    whether it takes a seed.
    """

    name: str
    make: Callable[[], Opened]
    running: Callable[[ModelRunner], int]
    repeats: bool = True
    text_only: bool = True
    hottest: float = 5.0
    seeds: bool = True


@asynccontextmanager
async def _onnx() -> AsyncIterator[ModelRunner]:
    runner = OnnxRunner(Deployment(name="local", options={"slots": 8, "threads": 1}))
    await runner.load()
    try:
        yield runner
    finally:
        await runner.close()


def _onnx_running(runner: ModelRunner) -> int:
    assert isinstance(runner, OnnxRunner)
    statistics = runner.statistics()
    return 8 - statistics["free"] + statistics["waiting"]


_providers: dict[int, Provider] = {}
Plan = Callable[[dict[str, Any]], Fault]


def _remote(
    runtime: str, provider: type[Provider], model: str, plan: Plan, **options: Any
) -> Callable[[], Opened]:
    """A runner in front of a server of its wire on loopback."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[ModelRunner]:
        async with provider(words=tuple(f" w{n}" for n in range(12))) as upstream:
            upstream.plan = plan
            deployment = Deployment(
                name="remote",
                model=model,
                runtime=runtime,
                base_url=upstream.base_url,
                options=options,
            )
            runner = make_runner(deployment, {})
            await runner.load()
            _providers[id(runner)] = upstream
            try:
                yield runner
            finally:
                await runner.close()
                del _providers[id(runner)]

    return opened


def _slow_if_long(body: dict[str, Any]) -> Fault:
    """Long answers are under way until their reader leaves."""
    most = body.get("generationConfig", {}).get("maxOutputTokens", 0)
    return Fault(stall_at=3) if most >= 200 else Fault()


def _endless_if_long(body: dict[str, Any]) -> Fault:
    """Long answers are under way until their reader leaves."""
    most = body.get("max_tokens") or body.get("max_completion_tokens") or 0
    return Fault(stall_at=4) if most >= 200 else Fault()


def _remote_running(runner: ModelRunner) -> int:
    return _providers[id(runner)].live


CASES = [
    Case("onnx", _onnx, _onnx_running),
    *(
        Case(runtime, opened, _remote_running, text_only=False)
        for runtime, opened in (
            ("openai", _remote("openai", Provider, "m", _endless_if_long)),
            ("azure", _remote("azure", Provider, "m", _endless_if_long)),
            ("litellm_proxy", _remote("litellm_proxy", Provider, "m", _endless_if_long)),
            ("gemini", _remote("gemini", GeminiProvider, "gemini-2.5-flash", _slow_if_long)),
            (
                "vertex",
                _remote("vertex", GeminiProvider, "gemini-2.5-flash", _slow_if_long, project="p"),
            ),
        )
    ),
    Case(
        "anthropic",
        _remote("anthropic", AnthropicProvider, "claude-x", _endless_if_long),
        _remote_running,
        repeats=False,
        text_only=False,
        hottest=1.0,
        seeds=False,
    ),
]
if os.environ.get("AC_CLIENTS"):  # scripts/clients.sh: where the library is installed
    opened = _remote("litellm", Provider, "openai/gpt-4o", _endless_if_long)
    CASES.append(Case("litellm", opened, _remote_running, text_only=False, hottest=2.0))


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


def _request(text: str = "Tell me a story.", *, n: int = 1, **sampling: object) -> Request:
    return Request(
        id="req-1",
        model="local",
        messages=(Message(role="user", content=text),),
        sampling=Sampling(**sampling),  # type: ignore[arg-type]
        n=n,
    )


async def _collect(runner: ModelRunner, request: Request) -> list[Chunk]:
    chunks: list[Chunk] = []
    async for burst in runner.generate(request):
        assert burst or runner.transport == "remote", "a burst holds at least one chunk"
        chunks += burst
    return chunks


async def _first(runner: ModelRunner, answer: AsyncGenerator[Burst]) -> Burst:
    """The first burst with content: a server's signs of life come as empty ones."""
    while not (burst := await anext(answer)):
        assert runner.transport == "remote"
    return burst


async def _until_idle(case: Case, runner: ModelRunner) -> None:
    while True:
        if case.running(runner) == 0:
            return
        await asyncio.sleep(0.001)


def _run(case: Case, body: Callable[[ModelRunner], Awaitable[None]]) -> None:
    async def main() -> None:
        async with case.make() as runner:
            await body(runner)
            await _until_idle(case, runner)

    asyncio.run(main())


def _text(chunks: list[Chunk], index: int = 0) -> str:
    return "".join(chunk.text for chunk in chunks if chunk.index == index)


def test_a_loaded_runner_is_healthy_and_says_what_it_can(case: Case) -> None:
    async def body(runner: ModelRunner) -> None:
        assert isinstance(runner, ModelRunner)
        assert (await runner.health()).ok
        found = runner.capabilities()
        assert found.chat or found.completion or found.embeddings
        assert found.n >= 1 and found.batch >= 1
        assert runner.transport in ("cpu", "gpu", "remote")

    _run(case, body)


def test_inf_rq_1_every_choice_ends_exactly_once_and_the_usage_comes_last(case: Case) -> None:
    async def body(runner: ModelRunner) -> None:
        n = min(3, runner.capabilities().n)
        chunks = await _collect(runner, _request(n=n, max_tokens=12))
        for index in range(n):
            own = [chunk for chunk in chunks if chunk.index == index]
            ends = [at for at, chunk in enumerate(own) if chunk.finish]
            assert len(ends) == 1, f"choice {index} ended {len(ends)} times"
            for chunk in own[ends[0] + 1 :]:
                assert not chunk.text and chunk.tool is None, "nothing is said after the finish"
        last = max(at for at, chunk in enumerate(chunks) if chunk.finish)
        with_usage = [at for at, chunk in enumerate(chunks) if chunk.usage]
        assert with_usage and with_usage[-1] >= last
        usage = chunks[with_usage[-1]].usage
        assert usage is not None
        assert usage.input > 0 and 0 < usage.output <= 12 * n

    _run(case, body)


def test_inf_lr_2_requests_run_side_by_side(case: Case) -> None:
    async def body(runner: ModelRunner) -> None:
        count = min(4, runner.capabilities().batch)
        answers = [runner.generate(_request(f"Story {n}", max_tokens=30)) for n in range(count)]
        # Each gives its first burst before any of them is read further.
        for answer in answers:
            assert await _first(runner, answer)
        for answer in answers:
            async for _ in answer:
                pass

    _run(case, body)


def test_inf_lr_2_more_requests_than_the_batch_are_all_answered(case: Case) -> None:
    async def body(runner: ModelRunner) -> None:
        asked = [_request(f"Hello {n}", max_tokens=4) for n in range(32)]
        answers = await asyncio.gather(*(_collect(runner, r) for r in asked))
        assert all(any(chunk.finish for chunk in chunks) for chunks in answers)

    _run(case, body)


def test_inf_rq_6_equal_seeded_requests_are_answered_alike_alone_and_together(case: Case) -> None:
    if not case.repeats:
        pytest.skip("this runner does not promise it")

    async def body(runner: ModelRunner) -> None:
        request = _request(seed=7, temperature=0.8, max_tokens=16)
        alone = _text(await _collect(runner, request))
        together = await asyncio.gather(
            *(_collect(runner, request) for _ in range(3)),
            *(_collect(runner, _request(f"Other {n}", max_tokens=16)) for n in range(3)),
        )
        assert [_text(chunks) for chunks in together[:3]] == [alone] * 3

    _run(case, body)


def test_inf_rq_2_closing_a_generator_stops_the_work_behind_it(case: Case) -> None:
    async def body(runner: ModelRunner) -> None:
        answer = runner.generate(_request(max_tokens=200))
        await _first(runner, answer)
        await answer.aclose()
        await _until_idle(case, runner)
        assert await _collect(runner, _request(max_tokens=2))

    _run(case, body)


def test_inf_rq_2_cancelling_a_reader_stops_the_work_behind_it(case: Case) -> None:
    async def body(runner: ModelRunner) -> None:
        tasks = [
            asyncio.create_task(_collect(runner, _request(f"Story {n}", max_tokens=200)))
            for n in range(4)
        ]
        await _collect(runner, _request(max_tokens=2))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await _until_idle(case, runner)

    _run(case, body)


def test_a_generator_that_is_never_started_costs_nothing(case: Case) -> None:
    async def body(runner: ModelRunner) -> None:
        answer = runner.generate(_request())
        await answer.aclose()
        assert case.running(runner) == 0

    _run(case, body)


def test_tokens_are_counted_exactly_or_not_at_all(case: Case) -> None:
    async def body(runner: ModelRunner) -> None:
        request = _request("How many tokens are these?", max_tokens=2)
        chunks = await _collect(runner, request)
        usage = [chunk.usage for chunk in chunks if chunk.usage][-1]
        assert runner.count_tokens(request) in (None, usage.input)

    _run(case, body)


def test_text_never_splits_a_character(case: Case) -> None:
    async def body(runner: ModelRunner) -> None:
        asked = [
            _request(
                "naïve café ☕ 中文 🙂",
                max_tokens=40,
                temperature=case.hottest,
                seed=n if case.seeds else None,
            )
            for n in range(8)
        ]
        for chunks in await asyncio.gather(*(_collect(runner, r) for r in asked)):
            for chunk in chunks:
                chunk.text.encode()  # a lone surrogate would raise

    _run(case, body)


def test_an_image_is_refused_where_only_text_is_read(case: Case) -> None:
    if not case.text_only:
        pytest.skip("this runner passes images on")

    async def body(runner: ModelRunner) -> None:
        part = ImagePart(image_url={"url": "https://example.org/cat.png"})
        message = Message(role="user", content=(part,))
        with pytest.raises(Unsupported) as caught:
            await anext(runner.generate(Request(id="r", model="local", messages=(message,))))
        assert caught.value.param == "messages[0].content[0]"

    _run(case, body)


def test_embeddings_are_made_or_refused(case: Case) -> None:
    async def body(runner: ModelRunner) -> None:
        request = EmbedRequest(id="e", model="local", inputs=("one", "two"))
        if runner.capabilities().embeddings:
            assert len((await runner.embed(request)).vectors) == 2
            return
        with pytest.raises(Unsupported):
            await runner.embed(request)

    _run(case, body)


def test_a_closed_runner_refuses_and_says_so(case: Case) -> None:
    async def main() -> None:
        async with case.make() as runner:
            await runner.close()
            await runner.close()
            assert not (await runner.health()).ok
            with pytest.raises(InferenceError):
                await anext(runner.generate(_request()))

    asyncio.run(main())


def test_inf_rq_1_closing_ends_open_answers_with_a_typed_error(case: Case) -> None:
    async def main() -> None:
        async with case.make() as runner:
            answers = [runner.generate(_request(max_tokens=250)) for _ in range(2)]
            for answer in answers:
                await _first(runner, answer)
            await runner.close()
            for answer in answers:
                ended = False
                try:
                    async for burst in answer:
                        ended = ended or any(chunk.finish for chunk in burst)
                except ActiniumError as error:
                    assert isinstance(error, InferenceError)
                    ended = True
                assert ended, "an answer stopped without a finish and without an error"

    asyncio.run(main())
