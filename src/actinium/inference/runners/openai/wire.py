"""What a server of OpenAI's wire answers, as far as it is read.

Source: https://platform.openai.com/docs/api-reference/chat (object, streaming),
/completions and /embeddings; ``reasoning_content`` (vLLM, DeepSeek) and ``reasoning``
(OpenRouter, newer vLLM) by their documents. Fields that are not here are skipped.
"""

from __future__ import annotations

from typing import Any

import msgspec


class TokenDetails(msgspec.Struct, frozen=True):
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    cache_write_tokens: int | None = None


class WireUsage(msgspec.Struct, frozen=True):
    prompt_tokens: int = 0
    completion_tokens: int | None = None
    prompt_tokens_details: TokenDetails | None = None
    completion_tokens_details: TokenDetails | None = None


class WireFunction(msgspec.Struct, frozen=True):
    name: str | None = None
    arguments: str | None = None


class WireToolCall(msgspec.Struct, frozen=True):
    """A whole call (``index`` absent) or a piece of one."""

    index: int | None = None
    id: str | None = None
    function: WireFunction | None = None
    extra_content: dict[str, Any] | None = None


class WireAlternative(msgspec.Struct, frozen=True):
    token: str
    logprob: float


class WireToken(msgspec.Struct, frozen=True):
    token: str
    logprob: float
    bytes: tuple[int, ...] | None = None
    top_logprobs: tuple[WireAlternative, ...] | None = None


class WireLogprobs(msgspec.Struct, frozen=True):
    """Chat's shape in ``content``; the legacy shape of /completions in the others."""

    content: tuple[WireToken, ...] | None = None
    tokens: tuple[str, ...] | None = None
    token_logprobs: tuple[float | None, ...] | None = None
    top_logprobs: tuple[dict[str, float] | None, ...] | None = None


class WireText(msgspec.Struct, frozen=True):
    """``delta`` of a stream or ``message`` of a whole answer.

    Mistral's reasoning models give ``content`` as a list of parts of the types ``text`` and
    ``thinking``.
    """

    content: str | tuple[dict[str, Any], ...] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: tuple[WireToolCall, ...] | None = None


class WireChoice(msgspec.Struct, frozen=True):
    """One choice: ``delta`` (stream), ``message`` (whole) or ``text`` (/completions)."""

    index: int = 0
    delta: WireText | None = None
    message: WireText | None = None
    text: str | None = None
    finish_reason: str | None = None
    logprobs: WireLogprobs | None = None


class Answer(msgspec.Struct, frozen=True):
    """A whole answer or one event of a stream; ``error`` may stand in either.

    Older vLLM and SGLang put the error's own fields at the top.
    """

    choices: tuple[WireChoice, ...] | None = None
    usage: WireUsage | None = None
    error: Any = None
    message: Any = None
    type: Any = None
    code: Any = None


class WireVector(msgspec.Struct, frozen=True):
    embedding: tuple[float, ...]
    index: int


class Vectors(msgspec.Struct, frozen=True):
    data: tuple[WireVector, ...]
    usage: WireUsage | None = None
    error: Any = None


decode_answer = msgspec.json.Decoder(Answer).decode
decode_vectors = msgspec.json.Decoder(Vectors).decode
