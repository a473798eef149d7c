"""A decoder without a graph, and what the tests of this folder share."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from tokenizers import Tokenizer

from actinium.inference.chunk import Chunk, Finish, TokenLogprob, ToolDelta, Usage
from actinium.inference.request import Message, Request, Sampling
from actinium.inference.runners.onnx import ModelFolder
from actinium.inference.runners.onnx.inbox import Inbox
from actinium.inference.runners.onnx.job import Job
from actinium.inference.runners.onnx.plan import plan
from actinium.inference.runners.onnx.prompt import Prompt
from actinium.inference.runners.onnx.vocabulary import Vocabulary

UNWRITTEN = -1


@cache
def folder() -> ModelFolder:
    return ModelFolder.of("embedded")


@cache
def tokenizer() -> Tokenizer:
    return Tokenizer.from_file(str(folder().file("tokenizer.json")))


@cache
def vocabulary() -> Vocabulary:
    return Vocabulary(tokenizer(), folder().config.vocab_size, "tokenizer.json")


def ask(text: str, **sampling: object) -> Request:
    """A chat request of one user message."""
    return Request(
        id=f"r-{text}",
        model="m",
        messages=(Message(role="user", content=text),),
        sampling=Sampling(**sampling),  # type: ignore[arg-type]
    )


class FakeDecoder:
    """Keeps the tokens of every row; the logits are a function of the row's tokens alone.

    So a wrong row, length, copy or order changes what is generated. ``fail_at`` names the
    calls (counted from 1) that raise.
    """

    def __init__(self, slots: int = 4, context: int = 64, fail_at: Sequence[int] = ()) -> None:
        self.config = folder().config
        self.slots = slots
        self.context = context
        self.rows = np.full((slots, context), UNWRITTEN, np.int64)
        self.calls = 0
        self.largest_batch = 0
        self.fed: list[int] = []
        self._fail_at = set(fail_at)

    def prefill(self, row: int, ids: Sequence[int], start: int) -> np.ndarray:
        self._count()
        self.fed.append(len(ids))
        self.rows[row, start : start + len(ids)] = ids
        return self._logits(row, start + len(ids))[None].copy()

    def decode(self, tokens: Sequence[int], lengths: Sequence[int], behind: int = 0) -> np.ndarray:
        self._count()
        self.largest_batch = max(self.largest_batch, len(tokens))
        if len(tokens) < self.slots:
            self.rows[len(tokens), behind] = UNWRITTEN  # as a row that fills the batch does
        for row, (token, length) in enumerate(zip(tokens, lengths, strict=True)):
            self.rows[row, length] = token
        return np.stack([self._logits(r, n + 1) for r, n in enumerate(lengths)])

    def copy(self, source: int, target: int, length: int) -> None:
        self.rows[target] = UNWRITTEN
        self.rows[target, :length] = self.rows[source, :length]

    def _count(self) -> None:
        self.calls += 1
        if self.calls in self._fail_at:
            raise RuntimeError(f"call {self.calls} fails as told")

    def _logits(self, row: int, length: int) -> np.ndarray:
        tokens = self.rows[row, :length]
        assert (tokens != UNWRITTEN).all(), f"row {row} has holes: {tokens}"
        generator = np.random.Generator(np.random.PCG64(zlib.crc32(tokens.tobytes())))
        logits = generator.standard_normal(self.config.vocab_size).astype(np.float32) * 4
        logits[list(self.config.stop_ids)] = 8.0
        return logits


def job(
    ids: Sequence[int],
    loop: asyncio.AbstractEventLoop,
    *,
    n: int = 1,
    limit: int = 12,
    **sampling: object,
) -> Job:
    """A job for the engine, past all checks."""
    chosen = plan(Sampling(**sampling), folder().config.vocab_size)  # type: ignore[arg-type]
    return Job(Prompt(ids=list(ids)), chosen, n, limit, False, Inbox(loop))


@dataclass
class Collected:
    """A stream put together, per choice."""

    chunks: list[Chunk]

    def text(self, index: int = 0) -> str:
        return "".join(c.text for c in self.chunks if c.index == index)

    def finish(self, index: int = 0) -> Finish | None:
        found = [c.finish for c in self.chunks if c.index == index and c.finish]
        assert len(found) <= 1, f"choice {index} ended {len(found)} times"
        return found[0] if found else None

    def tools(self, index: int = 0) -> list[ToolDelta]:
        return [c.tool for c in self.chunks if c.index == index and c.tool]

    def logprobs(self, index: int = 0) -> list[TokenLogprob]:
        return [entry for c in self.chunks if c.index == index for entry in c.logprobs]

    @property
    def usage(self) -> Usage:
        found = [c.usage for c in self.chunks if c.usage]
        assert len(found) == 1, f"expected one usage, got {found}"
        assert self.chunks[-1].usage is not None, "the usage comes with the last chunk"
        return found[0]


async def read(inbox: Inbox) -> Collected:
    """Everything that comes to an inbox."""
    chunks: list[Chunk] = []
    while (burst := await inbox.take()) is not None:
        chunks += burst
    return Collected(chunks)
