"""The body of /v1/responses, as the decoder checks it; items and tools are looked at one by one.

Source: https://platform.openai.com/docs/api-reference/responses/create.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

_Temperature = Annotated[float, Meta(ge=0, le=2)]
_Share = Annotated[float, Meta(ge=0, le=1)]
_Count = Annotated[int, Meta(ge=1, le=2**31 - 1)]
_Top = Annotated[int, Meta(ge=0, le=20)]

Item = dict[str, Any]


class Format(msgspec.Struct, frozen=True):
    """``text.format``."""

    type: str
    name: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None
    description: str | None = None


class Text(msgspec.Struct, frozen=True):
    format: Format | None = None
    verbosity: str | None = None


class Reasoning(msgspec.Struct, frozen=True):
    effort: str | None = None
    summary: str | None = None
    generate_summary: str | None = None


class Body(msgspec.Struct, frozen=True, kw_only=True):
    """POST /v1/responses. What is not here is declared as without effect, or refused by name."""

    model: str
    input: str | Annotated[tuple[Item, ...], Meta(min_length=1)]
    instructions: str | None = None
    stream: bool | None = None
    store: bool | None = None
    previous_response_id: str | None = None
    max_output_tokens: _Count | None = None
    temperature: _Temperature | None = None
    top_p: _Share | None = None
    top_logprobs: _Top | None = None
    tools: Annotated[tuple[dict[str, Any], ...], Meta(max_length=1024)] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    text: Text | None = None
    reasoning: Reasoning | None = None
    include: tuple[str, ...] | None = None
    metadata: dict[str, str] | None = None
    user: str | None = None
    truncation: str | None = None
    background: bool | None = None
    conversation: Any = None
    prompt: Any = None
