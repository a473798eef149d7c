"""A runner whose tokens are chosen by the caller's own code."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np
import pytest

from actinium.errors import ActiniumError
from actinium.inference import Deployment, Message, Request, Sampling
from actinium.inference.runners.onnx import OnnxRunner
from actinium.inference.runners.onnx.sampling import Floats, Row, Sampler, adjusted


def answer(sampler: Sampler | None) -> tuple[str, int]:
    """The text and how many tokens were counted."""

    async def run() -> tuple[str, int]:
        runner = OnnxRunner(Deployment(name="embedded"), sampler)
        await runner.load()
        message = Message(role="user", content="Hello!")
        sampling = Sampling(temperature=0.0, max_tokens=6, logit_bias={"5": -100.0})
        request = Request(id="1", model="embedded", messages=(message,), sampling=sampling)
        text, tokens = "", 0
        try:
            async for burst in runner.generate(request):
                for chunk in burst:
                    text += chunk.text
                    tokens = chunk.usage.output if chunk.usage is not None else tokens
        finally:
            await runner.close()
        return text, tokens

    return asyncio.run(run())


def test_the_sampler_sees_every_step_and_decides() -> None:
    steps = []

    def greedy(logits: Floats, rows: Sequence[Row]) -> list[int]:
        adjusted(logits, rows)
        assert float(logits[0, 5]) < -50.0, "bias is applied"
        steps.append(logits.shape)
        return [int(i) for i in np.argmax(logits, axis=1)]

    assert answer(greedy) == answer(None)
    assert len(steps) == 6 and all(shape == (1, 1536) for shape in steps)


def test_a_sampler_that_raises_fails_the_request_alone() -> None:
    def broken(logits: Floats, rows: Sequence[Row]) -> list[int]:
        raise RuntimeError("no tokens today")

    with pytest.raises(ActiniumError, match="no tokens today"):
        answer(broken)
