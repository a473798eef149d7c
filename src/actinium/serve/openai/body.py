"""The bodies clients send, as the decoder checks them.

Source: https://platform.openai.com/docs/api-reference/chat/create, /completions/create and
/embeddings/create; ``top_k`` and ``repetition_penalty`` are vLLM's, by the same names.

Each body exists twice: the strict one refuses unknown fields, which is how they are noticed
without a second look at the usual body that has none; see ``read.py``.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from actinium.inference.request import Message, Sampling

_Temperature = Annotated[float, Meta(ge=0, le=2)]
_Share = Annotated[float, Meta(ge=0, le=1)]
_Penalty = Annotated[float, Meta(ge=-2, le=2)]
_Count = Annotated[int, Meta(ge=1, le=2**31 - 1)]
_Choices = Annotated[int, Meta(ge=1, le=128)]
_Top = Annotated[int, Meta(ge=0, le=20)]
_Seed = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
_Stop = Annotated[tuple[str, ...], Meta(max_length=16)]
_Tools = Annotated[tuple[dict[str, Any], ...], Meta(max_length=1024)]


class StrictMessage(Message, frozen=True, kw_only=True, omit_defaults=True,
                    forbid_unknown_fields=True):  # fmt: skip
    """A message without unknown fields."""


class StreamOptions(msgspec.Struct, frozen=True):
    include_usage: bool | None = None


class Common(msgspec.Struct, frozen=True, kw_only=True):
    """Fields of chat and plain completions alike."""

    model: str
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: _Temperature | None = None
    top_p: _Share | None = None
    top_k: int | None = None
    max_tokens: _Count | None = None
    n: _Choices | None = None
    stop: str | _Stop | None = None
    presence_penalty: _Penalty | None = None
    frequency_penalty: _Penalty | None = None
    repetition_penalty: Annotated[float, Meta(gt=0)] | None = None
    logit_bias: dict[str, float] | None = None
    seed: _Seed | None = None
    user: str | None = None

    def sampling(self, max_tokens: int | None, logprobs: int | None) -> Sampling:
        """The provider-neutral form."""
        stop = self.stop
        return Sampling(
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            max_tokens=max_tokens,
            stop=() if not stop else (stop,) if isinstance(stop, str) else stop,
            presence_penalty=self.presence_penalty or 0.0,
            frequency_penalty=self.frequency_penalty or 0.0,
            repetition_penalty=self.repetition_penalty or 1.0,
            seed=self.seed,
            logit_bias=self.logit_bias or None,
            logprobs=logprobs,
        )


class ChatBody(Common, frozen=True, kw_only=True):
    """POST /v1/chat/completions."""

    messages: Annotated[tuple[Message, ...], Meta(min_length=1)]
    max_completion_tokens: _Count | None = None
    logprobs: bool | None = None
    top_logprobs: _Top | None = None
    tools: _Tools | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    response_format: dict[str, Any] | None = None
    metadata: dict[str, str] | None = None


class StrictChatBody(ChatBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    messages: Annotated[tuple[StrictMessage, ...], Meta(min_length=1)]


class CompletionBody(Common, frozen=True, kw_only=True):
    """POST /v1/completions."""

    prompt: str | tuple[str | int | tuple[int, ...], ...]
    logprobs: _Top | None = None
    echo: bool | None = None
    suffix: str | None = None
    best_of: int | None = None


class StrictCompletionBody(CompletionBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class EmbeddingBody(msgspec.Struct, frozen=True, kw_only=True):
    """POST /v1/embeddings."""

    model: str
    input: str | tuple[str | int | tuple[int, ...], ...]
    encoding_format: str | None = None
    dimensions: _Count | None = None
    user: str | None = None
