"""The engine's thread: joining and leaving, cancelling, failing, closing.

The decoder is a fake whose logits depend on the tokens of a row and on nothing else, so that
any mistake with rows shows as another text.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx_support import Collected, FakeDecoder, job, read, vocabulary

from actinium.errors import InferenceError, ModelNotReady, ServerError
from actinium.inference.runners.onnx.engine import Engine
from actinium.inference.runners.onnx.job import Job

CHUNK = 16


@contextmanager
def _engine(decoder: FakeDecoder) -> Iterator[Engine]:
    engine = Engine(decoder, vocabulary(), CHUNK)  # type: ignore[arg-type]
    engine.start()
    try:
        yield engine
    finally:
        engine.stop()


def _run(decoder: FakeDecoder, body: Callable[[Engine], Awaitable[None]]) -> Engine:
    async def main() -> None:
        await body(engine)

    with _engine(decoder) as engine:
        asyncio.run(main())
    return engine


async def _all(engine: Engine, jobs: Sequence[Job]) -> list[Collected]:
    for one in jobs:
        engine.submit(one)
    return await asyncio.gather(*(read(one.inbox) for one in jobs))


PROMPTS = st.lists(st.integers(0, 1000), min_size=1, max_size=40)
JOBS = st.lists(
    st.tuples(PROMPTS, st.integers(1, 3), st.integers(1, 20), st.sampled_from([0.0, 0.7, 3.0])),
    min_size=1,
    max_size=9,
)


@settings(deadline=None, max_examples=40)
@given(JOBS, st.integers(3, 6))
def test_inf_rq_1_each_request_gets_alone_and_in_a_batch_the_same_answer(
    requests: list[tuple[list[int], int, int, float]], slots: int
) -> None:
    def make() -> list[Job]:
        loop = asyncio.get_running_loop()
        return [
            job(ids, loop, n=n, limit=limit, temperature=heat, seed=len(ids), logprobs=2)
            for ids, n, limit, heat in requests
        ]

    alone: list[Collected] = []
    together: list[Collected] = []

    async def one_by_one(engine: Engine) -> None:
        for single in make():
            alone.extend(await _all(engine, [single]))

    async def at_once(engine: Engine) -> None:
        together.extend(await _all(engine, make()))

    _run(FakeDecoder(slots), one_by_one)
    engine = _run(FakeDecoder(slots), at_once)
    for (ids, n, limit, _), first, second in zip(requests, alone, together, strict=True):
        assert first.usage == second.usage
        assert first.usage.input == len(ids)
        assert first.usage.output <= n * limit
        for index in range(n):
            assert first.finish(index) is not None
            assert first.text(index) == second.text(index)
            assert first.finish(index) == second.finish(index)
            assert first.logprobs(index) == second.logprobs(index)
    assert engine.scheduler.free == slots
    assert engine.counters.finished == len(requests)


def test_inf_lr_2_as_many_choices_run_at_once_as_there_are_slots() -> None:
    decoder = FakeDecoder(4)

    async def body(engine: Engine) -> None:
        loop = asyncio.get_running_loop()
        await _all(engine, [job([n], loop, limit=20, logit_bias={"2": -100.0}) for n in range(9)])

    _run(decoder, body)
    assert decoder.largest_batch == 4


def test_a_long_prompt_is_fed_in_chunks_between_which_others_decode() -> None:
    decoder = FakeDecoder(4, context=200)
    seen: list[int] = []

    async def body(engine: Engine) -> None:
        loop = asyncio.get_running_loop()
        running = job([1], loop, limit=150, logit_bias={"2": -100.0})
        engine.submit(running)
        await running.inbox.take()
        long = job(range(100), loop, limit=1)
        engine.submit(long)
        task = asyncio.create_task(read(running.inbox))
        await read(long.inbox)
        seen.append(engine.counters.tokens)
        await task

    _run(decoder, body)
    assert [n for n in decoder.fed if n > 1] == [16] * 6 + [4]
    assert seen[0] >= 8, "no token was decoded between the chunks of the prompt"


def test_inf_rq_2_a_cancelled_request_frees_its_slot_for_the_next() -> None:
    async def body(engine: Engine) -> None:
        loop = asyncio.get_running_loop()
        endless = job([1], loop, limit=60, logit_bias={"2": -100.0})
        queued = job([2], loop)
        also_queued = job([3], loop, limit=5)
        for one in (endless, queued, also_queued):
            engine.submit(one)
        await endless.inbox.take()
        engine.cancel(queued)
        engine.cancel(endless)
        engine.cancel(endless)
        assert (await read(also_queued.inbox)).usage.output <= 5

    engine = _run(FakeDecoder(1), body)
    assert engine.counters.cancelled + engine.counters.finished == 3
    assert (engine.scheduler.free, engine.waiting) == (1, 0)


def test_cancelling_while_the_prompt_is_fed() -> None:
    class Slow(FakeDecoder):
        """Lets the test act behind the first piece of a prompt."""

        begun = threading.Event()
        go_on = threading.Event()

        def prefill(self, row: int, ids: Sequence[int], start: int) -> object:  # type: ignore[override]
            logits = super().prefill(row, ids, start)
            if start == 0 and len(ids) == CHUNK:
                self.begun.set()
                assert self.go_on.wait(30)
            return logits

    decoder = Slow(2, context=200)

    async def body(engine: Engine) -> None:
        loop = asyncio.get_running_loop()
        long = job(range(100), loop)
        engine.submit(long)
        await asyncio.to_thread(decoder.begun.wait, 30)
        engine.cancel(long)
        decoder.go_on.set()
        await _all(engine, [job([1], loop)])

    engine = _run(decoder, body)
    assert decoder.fed[0] == CHUNK
    assert sum(decoder.fed) < 100, "the prompt was fed to its end"
    assert engine.counters.cancelled == 1


def test_a_failing_step_fails_who_holds_rows_and_the_engine_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    errors: list[BaseException] = []

    async def body(engine: Engine) -> None:
        loop = asyncio.get_running_loop()
        first = job([1], loop, limit=20, logit_bias={"2": -100.0})
        second = job([2], loop, limit=20)
        answers = await asyncio.gather(
            _all(engine, [first]), _all(engine, [second]), return_exceptions=True
        )
        errors.extend(a for a in answers if isinstance(a, BaseException))

    with caplog.at_level(logging.CRITICAL):
        engine = _run(FakeDecoder(1, fail_at=[5]), body)
    assert len(errors) == 1
    assert isinstance(errors[0], ServerError)
    assert "call 5 fails as told" in str(errors[0])
    assert engine.broken is None
    assert (engine.counters.failed, engine.counters.finished) == (1, 1)


def test_what_came_before_a_failure_is_delivered() -> None:
    chunks: list[object] = []

    async def body(engine: Engine) -> None:
        one = job([1], asyncio.get_running_loop(), limit=20, logit_bias={"2": -100.0})
        engine.submit(one)
        with pytest.raises(ServerError):
            while (burst := await one.inbox.take()) is not None:
                chunks.extend(burst)

    _run(FakeDecoder(1, fail_at=[8]), body)
    assert chunks


def test_an_engine_that_keeps_failing_calls_itself_broken() -> None:
    async def body(engine: Engine) -> None:
        loop = asyncio.get_running_loop()
        jobs = [job([n], loop) for n in range(5)]
        for one in jobs:
            engine.submit(one)
        answers = await asyncio.gather(*(read(j.inbox) for j in jobs), return_exceptions=True)
        kinds = [type(answer) for answer in answers]
        assert kinds == [ServerError] * 3 + [ModelNotReady] * 2
        with pytest.raises(ModelNotReady, match="3 steps of the model failed in a row"):
            engine.submit(job([9], loop))

    assert _run(FakeDecoder(1, fail_at=range(1, 99)), body).broken is not None


def test_inf_rq_1_a_thread_that_ends_leaves_nobody_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def body(engine: Engine) -> None:
        loop = asyncio.get_running_loop()
        running = job([1], loop, limit=4000, logit_bias={"2": -100.0})
        engine.submit(running)
        await running.inbox.take()
        monkeypatch.setattr(engine, "_admit", lambda: 1 / 0)
        with pytest.raises(ModelNotReady, match="the engine ended: division by zero"):
            await read(running.inbox)
        with pytest.raises(ModelNotReady, match="the engine ended"):
            engine.submit(job([2], loop))

    _run(FakeDecoder(1, context=4096), body)


def test_a_request_whose_answer_fails_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from actinium.inference.runners.onnx import engine as module

    real = module.logprob
    monkeypatch.setattr(module, "logprob", lambda *a: real(*a) if a[2] == 1 else 1 / 0)

    async def body(engine: Engine) -> None:
        loop = asyncio.get_running_loop()
        jobs = [job([7], loop, n=2, logprobs=n % 2, limit=6) for n in range(4)]
        for one in jobs:
            engine.submit(one)
        answers = await asyncio.gather(*(read(j.inbox) for j in jobs), return_exceptions=True)
        assert [isinstance(a, ServerError) for a in answers] == [True, False, True, False]

    engine = _run(FakeDecoder(8), body)
    assert (engine.counters.failed, engine.counters.finished) == (2, 2)
    assert engine.scheduler.free == 8


def test_inf_rq_1_closing_fails_everyone_who_still_waits() -> None:
    errors: list[type[BaseException]] = []

    async def main() -> None:
        engine = Engine(FakeDecoder(2, context=4096), vocabulary(), CHUNK)  # type: ignore[arg-type]
        engine.start()
        loop = asyncio.get_running_loop()
        jobs = [job([n], loop, limit=4000, logit_bias={"2": -100.0}) for n in range(6)]
        for one in jobs:
            engine.submit(one)
        await jobs[0].inbox.take()
        await asyncio.to_thread(engine.stop)
        answers = await asyncio.gather(*(read(j.inbox) for j in jobs), return_exceptions=True)
        errors.extend(type(a) for a in answers if isinstance(a, InferenceError))
        with pytest.raises(ModelNotReady):
            engine.submit(job([1], loop))

    asyncio.run(main())
    assert set(errors) <= {ModelNotReady}
    assert len(errors) >= 4


def test_a_closed_event_loop_does_not_hurt_the_others() -> None:
    decoder = FakeDecoder(2, context=4096)
    with _engine(decoder) as engine:

        async def leave_early() -> None:
            gone = job([1], asyncio.get_running_loop(), limit=4000, logit_bias={"2": -100.0})
            engine.submit(gone)
            await gone.inbox.take()

        asyncio.run(leave_early())

        async def stay() -> None:
            [answer] = await _all(engine, [job([2], asyncio.get_running_loop(), limit=5)])
            assert answer.finish() is not None
            while engine.scheduler.busy:
                await _all(engine, [job([2], asyncio.get_running_loop(), limit=5)])
                if not engine.scheduler.active and not engine.waiting:
                    break

        asyncio.run(stay())
        assert engine.counters.tokens < 4000, "the abandoned request ran to its end"
