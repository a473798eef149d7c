"""Bursts -> one whole answer (RQ-6: the same text, calls, usage and finish as the stream)."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import UNSET

from actinium.errors import ProtocolError
from actinium.inference.chunk import Burst, Chunk, Finish, TokenLogprob, Usage, total_of

from .shapes import (
    Answered,
    Choice,
    Completed,
    Function,
    TextChoice,
    TextCompleted,
    ToolCall,
    encode,
    logprobs_of,
    text_logprobs_of,
    usage_of,
)


class _Part:
    """What has come of one choice."""

    # Most choices are text alone: the rest is made where it comes.
    reasoning = ""
    thinking: tuple[dict[str, str], ...] = ()
    thought = 0  # how much of the reasoning the thinking blocks hold
    refusal = ""
    logprobs: tuple[TokenLogprob, ...] = ()
    tools: dict[int, ToolCall] | None = None
    finish: Finish | None = None

    def __init__(self) -> None:
        self.text: list[str] = []

    def add(self, chunk: Chunk) -> None:
        if chunk.text:
            self.text.append(chunk.text)
        if chunk.reasoning:
            self.reasoning += chunk.reasoning
        if chunk.refusal:
            self.refusal += chunk.refusal
        if chunk.logprobs:
            self.logprobs += chunk.logprobs
        if chunk.tool is not None:
            self._add_tool(chunk)
        if chunk.detail is not None:
            block = chunk.detail.thinking(self.reasoning[self.thought :])
            if block is not None:
                self.thinking += (block,)
                self.thought = len(self.reasoning)
        if chunk.finish is not None:
            self.finish = chunk.finish

    def _add_tool(self, chunk: Chunk) -> None:
        delta = chunk.tool
        assert delta is not None
        if self.tools is None:
            self.tools = {}
        call = self.tools.get(delta.index)
        if call is None:
            call = self.tools[delta.index] = ToolCall(
                id="", type="function", function=Function("", "")
            )
        function = call.function
        assert isinstance(function, Function)
        if delta.id is not None:
            call.id = delta.id
        if delta.name is not None:
            function.name = delta.name
        function.arguments += delta.arguments
        if delta.extra_content is not None:
            call.extra_content = delta.extra_content


class Collector:
    """Takes bursts and gives the body of the answer.

    :meth:`chat` and :meth:`text` raise ProtocolError where a choice has no finish (RQ-5).
    """

    __slots__ = ("_parts", "usage")

    def __init__(self, choices: int) -> None:
        self._parts = [_Part() for _ in range(choices)]
        self.usage: Usage | None = None

    def add(self, burst: Burst) -> None:
        for chunk in burst:
            if chunk.usage is not None:
                self.usage = chunk.usage
            if 0 <= chunk.index < len(self._parts):
                self._parts[chunk.index].add(chunk)

    def chat(self, id: str, model: str, created: int, fingerprint: str) -> bytes:
        choices = []
        for index, part in enumerate(self._parts):
            finish = self._finish(index)
            text = "".join(part.text)
            tools = part.tools
            message = Answered(
                "assistant",
                text if text or not (tools or part.refusal) else None,
                part.refusal or None,
                part.reasoning or UNSET,
                tuple(tools[i] for i in sorted(tools)) if tools else UNSET,
                part.thinking or UNSET,
            )
            choices.append(Choice(index, message, logprobs_of(part.logprobs), finish))
        usage = usage_of(self.usage) if self.usage is not None else None
        return encode(Completed(id, "chat.completion", created, model, choices, usage, fingerprint))

    def text(self, first: int) -> list[TextChoice]:
        """The choices of a plain completion, numbered from ``first`` on."""
        return [
            TextChoice(
                "".join(part.text),
                first + index,
                text_logprobs_of(part.logprobs, 0),
                self._finish(index),
            )
            for index, part in enumerate(self._parts)
        ]

    def _finish(self, index: int) -> str:
        finish = self._parts[index].finish
        if finish is None:
            raise ProtocolError(f"the answer ended without a finish for choice {index}")
        return finish


def text_body(
    id: str, model: str, created: int, fingerprint: str, parts: Iterable[tuple[int, Collector]]
) -> bytes:
    """The body of /v1/completions for several prompts, each with its own collector."""
    choices: list[TextChoice] = []
    total: Usage | None = None
    for first, part in parts:
        choices += part.text(first)
        if part.usage is not None:
            total = total_of(total, part.usage)
    usage = usage_of(total) if total is not None else None
    return encode(TextCompleted(id, "text_completion", created, model, choices, usage, fingerprint))
