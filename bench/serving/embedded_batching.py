"""Continuous batching on the embedded model: one request at a time against all at once.

    python -m bench.serving.embedded_batching [--requests 16] [--tokens 64] [--rounds 5]

Both ways answer the same seeded requests; their texts must be equal. Rounds of the two ways
alternate; each figure is a median over the rounds with the smallest and largest. The floor is
the graph alone, stepped with as many rows and nothing around it. Loading and a warm-up round
are outside the clock. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import time
from dataclasses import dataclass

import onnxruntime

from actinium.inference.deployment import Deployment
from actinium.inference.request import Message, Request, Sampling
from actinium.inference.runners.onnx import ModelFolder, OnnxOptions, OnnxRunner
from actinium.inference.runners.onnx.decoder import Decoder


@dataclass
class Answer:
    """One answer: its text, its tokens, and seconds to its first chunk."""

    text: str
    tokens: int
    first: float


def _requests(count: int, tokens: int) -> list[Request]:
    ends = ModelFolder.of("embedded").config.stop_ids
    return [
        Request(
            id=f"r{n}",
            model="embedded",
            messages=(Message(role="user", content=f"Tell me story number {n}."),),
            # Every answer has the same length, so that both ways do the same work.
            sampling=Sampling(
                max_tokens=tokens, seed=n, logit_bias={str(end): -100.0 for end in ends}
            ),
        )
        for n in range(count)
    ]


async def _answer(runner: OnnxRunner, request: Request) -> Answer:
    began = time.perf_counter()
    first = 0.0
    text = ""
    tokens = 0
    async for burst in runner.generate(request):
        first = first or time.perf_counter() - began
        for chunk in burst:
            text += chunk.text
            if chunk.usage is not None:
                tokens = chunk.usage.output
    return Answer(text, tokens, first)


async def _alone(runner: OnnxRunner, requests: list[Request]) -> tuple[float, list[Answer]]:
    began = time.perf_counter()
    answers = [await _answer(runner, request) for request in requests]
    return time.perf_counter() - began, answers


async def _together(runner: OnnxRunner, requests: list[Request]) -> tuple[float, list[Answer]]:
    began = time.perf_counter()
    answers = await asyncio.gather(*(_answer(runner, request) for request in requests))
    return time.perf_counter() - began, list(answers)


def _floor(rows: int, tokens: int, options: OnnxOptions) -> float:
    """Tokens per second of the graph alone with ``rows`` rows, over the same positions."""
    folder = ModelFolder.of("embedded")
    decoder = Decoder(folder, rows, folder.config.max_context, options.thread_count())
    prompt = list(range(20))
    for row in range(rows):
        decoder.prefill(row, prompt, 0)
    rates = []
    for _ in range(3):
        began = time.perf_counter()
        for step in range(tokens):
            decoder.decode([9] * rows, [len(prompt) + step] * rows)
        rates.append(rows * tokens / (time.perf_counter() - began))
    return statistics.median(rates)


def _spread(values: list[float]) -> dict[str, float]:
    return {
        "median": round(statistics.median(values), 3),
        "min": round(min(values), 3),
        "max": round(max(values), 3),
    }


async def _measure(arguments: argparse.Namespace) -> dict[str, object]:
    options = {"slots": max(16, arguments.requests), "threads": arguments.threads}
    runner = OnnxRunner(Deployment(name="bench", options=options))
    await runner.load()
    requests = _requests(arguments.requests, arguments.tokens)
    alone: list[float] = []
    together: list[float] = []
    first_alone: list[float] = []
    first_together: list[float] = []
    await _together(runner, requests)
    for _ in range(arguments.rounds):
        seconds, one = await _alone(runner, requests)
        alone.append(sum(a.tokens for a in one) / seconds)
        first_alone.append(statistics.median(a.first for a in one) * 1e3)
        seconds, all_ = await _together(runner, requests)
        together.append(sum(a.tokens for a in all_) / seconds)
        first_together.append(statistics.median(a.first for a in all_) * 1e3)
        if [a.text for a in one] != [a.text for a in all_]:
            raise SystemExit("an answer differs between alone and in a batch")
    await runner.close()
    known = OnnxOptions.of(options, "bench")
    return {
        "requests": arguments.requests,
        "tokens_each": arguments.tokens,
        "threads": known.thread_count(),
        "alone_tokens_per_s": _spread(alone),
        "together_tokens_per_s": _spread(together),
        "ratio": _spread([b / a for a, b in zip(alone, together, strict=True)]),
        "first_chunk_alone_ms": _spread(first_alone),
        "first_chunk_together_ms": _spread(first_together),
        "graph_alone_tokens_per_s": round(_floor(1, arguments.tokens, known), 1),
        "graph_together_tokens_per_s": round(
            _floor(arguments.requests, arguments.tokens, known), 1
        ),
        "machine": {
            "cpu": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "load": os.getloadavg()[0],
            "python": platform.python_version(),
            "onnxruntime": onnxruntime.__version__,
        },
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--requests", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--threads", type=int, default=None, help="of one step (default: half the cores)"
    )
    figures = asyncio.run(_measure(parser.parse_args()))
    for name, value in figures.items():
        print(f"{name:30} {value}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
