"""Tokens of a request before, or where, nobody counts them."""

from __future__ import annotations

from typing import Final

import msgspec

from .chunk import Burst, Usage
from .limits.limiter import Need
from .request import EmbedRequest, Request, TextPart
from .runner import ModelRunner

CHARS: Final = 4
"""Characters of a token, about, in most European languages."""

PART: Final = 1000
"""Tokens of a part that is no text, such as an image."""

_STEP: Final = 0.05
_START: Final = 512


def estimated_input(request: Request) -> int:
    """The input tokens of a request by its characters."""
    count = 1 + len(request.prompt or "") // CHARS
    for message in request.messages:
        content = message.content
        if isinstance(content, str):
            count += 4 + len(content) // CHARS
        elif content is not None:
            for part in content:
                count += len(part.text) // CHARS if isinstance(part, TextPart) else PART
    return count


class Expected:
    """The output that nine of ten answers of a deployment do not exceed, in tokens.

    A stochastic quantile: up by 0.9 of a step at each longer answer, down by 0.1 at each other
    (Robbins and Monro, 1951).
    """

    __slots__ = ("tokens",)

    def __init__(self) -> None:
        self.tokens = float(_START)

    def saw(self, output: int) -> None:
        tokens = self.tokens
        step = _STEP * tokens
        if step < 1.0:
            step = 1.0
        tokens += step * (0.9 if output > tokens else -0.1)
        self.tokens = tokens if tokens > 1.0 else 1.0


def need_of(request: Request | EmbedRequest, runner: ModelRunner, expected: Expected) -> Need:
    """What to reserve: the input as the runner counts it, else by its characters; the output as
    allowed by ``max_tokens``, else as expected."""
    if isinstance(request, EmbedRequest):
        return Need(sum(1 + len(text) // CHARS for text in request.inputs), 0)
    count = runner.count_tokens(request)
    if count is None:
        count = request.estimate
        if count is None:
            count = estimated_input(request)
    output = request.sampling.max_tokens
    if output is None:
        output = int(expected.tokens)
    return Need(count, output * request.n)


class Tally:
    """What an answer has used so far: by its usage, else counted from what came."""

    __slots__ = ("_chars", "_chunks", "usage")

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self._chunks = 0
        self._chars = 0

    def add(self, burst: Burst) -> None:
        for chunk in burst:
            if chunk.usage is not None:
                self.usage = chunk.usage
            size = len(chunk.text)
            if not size:  # most chunks are text alone
                size = len(chunk.reasoning) + len(chunk.refusal)
                if chunk.tool is not None:
                    size += len(chunk.tool.arguments) + len(chunk.tool.name or "")
            if size:
                self._chunks += 1
                self._chars += size

    def of(self, need: Need) -> Usage:
        """The usage; where the wire gave none, or only that of the prompt, the output is counted
        from what came, and the usage marked as estimated."""
        usage = self.usage
        if usage is not None and usage.source == "wire":
            return usage
        output = max(self._chunks, self._chars // CHARS)
        if usage is None:
            return Usage(input=need.input, output=output, source="estimated")
        return msgspec.structs.replace(usage, output=max(usage.output, output))
