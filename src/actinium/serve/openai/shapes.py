"""The objects that clients get back.

Source: https://platform.openai.com/docs/api-reference/chat/object, /chat/streaming,
/completions/object, /embeddings/object and /models/object.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from actinium.inference.chunk import Chunk, TokenLogprob, Usage

encode: Final = msgspec.json.Encoder().encode


class Alternative(msgspec.Struct, frozen=True):
    token: str
    logprob: float
    bytes: tuple[int, ...]


class Token(msgspec.Struct, frozen=True):
    token: str
    logprob: float
    bytes: tuple[int, ...]
    top_logprobs: tuple[Alternative, ...]


class Logprobs(msgspec.Struct, frozen=True):
    content: tuple[Token, ...]
    refusal: None = None


class Function(msgspec.Struct):
    name: str | UnsetType = UNSET
    arguments: str = ""


class ToolCall(msgspec.Struct):
    """A whole call, or with ``index`` a piece of one."""

    index: int | UnsetType = UNSET
    id: str | UnsetType = UNSET
    type: str | UnsetType = UNSET
    function: Function | UnsetType = UNSET
    extra_content: dict[str, Any] | UnsetType = UNSET


class Delta(msgspec.Struct):
    """``thinking_blocks`` carries what a provider wants back beside the reasoning's text."""

    role: str | UnsetType = UNSET
    content: str | UnsetType | None = UNSET
    reasoning_content: str | UnsetType = UNSET
    refusal: str | UnsetType = UNSET
    tool_calls: tuple[ToolCall, ...] | UnsetType = UNSET
    thinking_blocks: tuple[dict[str, str], ...] | UnsetType = UNSET


class StreamChoice(msgspec.Struct):
    index: int
    delta: Delta
    logprobs: Logprobs | None = None
    finish_reason: str | None = None


class TextLogprobs(msgspec.Struct):
    """The shape of /v1/completions; ``text_offset`` counts characters of the answer."""

    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]]
    text_offset: list[int]


class TextChoice(msgspec.Struct):
    text: str
    index: int
    logprobs: TextLogprobs | None = None
    finish_reason: str | None = None


class Answered(msgspec.Struct):
    """``message`` of a whole answer."""

    role: str
    content: str | None
    refusal: str | None = None
    reasoning_content: str | UnsetType = UNSET
    tool_calls: tuple[ToolCall, ...] | UnsetType = UNSET
    thinking_blocks: tuple[dict[str, str], ...] | UnsetType = UNSET


class Choice(msgspec.Struct):
    index: int
    message: Answered
    logprobs: Logprobs | None
    finish_reason: str


class InputDetails(msgspec.Struct):
    cached_tokens: int
    cache_write_tokens: int | UnsetType = UNSET


class OutputDetails(msgspec.Struct):
    reasoning_tokens: int


class Tokens(msgspec.Struct):
    """``usage``; ``estimated`` says that the upstream told none."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: InputDetails
    completion_tokens_details: OutputDetails
    estimated: bool | UnsetType = UNSET


class Completed(msgspec.Struct):
    """A whole chat completion."""

    id: str
    object: str
    created: int
    model: str
    choices: list[Choice]
    usage: Tokens | None
    system_fingerprint: str


class TextCompleted(msgspec.Struct):
    """A whole plain completion."""

    id: str
    object: str
    created: int
    model: str
    choices: list[TextChoice]
    usage: Tokens | None
    system_fingerprint: str


def usage_of(usage: Usage) -> Tokens:
    return Tokens(
        usage.input,
        usage.output,
        usage.input + usage.output,
        InputDetails(usage.cached, usage.cache_write or UNSET),
        OutputDetails(usage.reasoning),
        True if usage.source == "estimated" else UNSET,
    )


def logprobs_of(tokens: tuple[TokenLogprob, ...]) -> Logprobs | None:
    if not tokens:
        return None
    return Logprobs(
        tuple(
            Token(
                t.token,
                t.logprob,
                t.bytes if t.bytes is not None else _bytes(t.token),
                tuple(Alternative(a, p, _bytes(a)) for a, p in t.top),
            )
            for t in tokens
        )
    )


def text_logprobs_of(tokens: tuple[TokenLogprob, ...], offset: int) -> TextLogprobs | None:
    """Chat's logprobs in the older shape; ``offset`` is where the first token begins."""
    if not tokens:
        return None
    offsets = []
    for token in tokens:
        offsets.append(offset)
        offset += len(token.token)
    return TextLogprobs(
        [t.token for t in tokens], [t.logprob for t in tokens], [dict(t.top) for t in tokens],
        offsets,
    )  # fmt: skip


def tool_piece(chunk: Chunk) -> ToolCall:
    """The piece of a tool call in a chunk."""
    delta = chunk.tool
    assert delta is not None
    return ToolCall(
        delta.index,
        delta.id if delta.id is not None else UNSET,
        "function" if delta.id is not None else UNSET,
        Function(delta.name if delta.name is not None else UNSET, delta.arguments),
        delta.extra_content if delta.extra_content is not None else UNSET,
    )


def _bytes(token: str) -> tuple[int, ...]:
    return tuple(token.encode("utf-8", "replace"))
