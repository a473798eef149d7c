"""The body of /v1/messages, as the decoder checks it; blocks and tools are looked at one by one.

Source: https://docs.anthropic.com/en/api/messages and /en/api/messages-count-tokens.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

_Share = Annotated[float, Meta(ge=0, le=1)]
_Count = Annotated[int, Meta(ge=1, le=2**31 - 1)]

Block = dict[str, Any]


class Turn(msgspec.Struct, frozen=True):
    role: Literal["user", "assistant", "system"]
    content: str | tuple[Block, ...]


class Metadata(msgspec.Struct, frozen=True):
    user_id: str | None = None


class CountBody(msgspec.Struct, frozen=True, kw_only=True):
    """What the prompt is made of: the body of /v1/messages/count_tokens."""

    model: str
    messages: Annotated[tuple[Turn, ...], Meta(min_length=1)]
    system: str | tuple[Block, ...] | None = None
    tools: Annotated[tuple[dict[str, Any], ...], Meta(max_length=1024)] | None = None
    tool_choice: dict[str, Any] | None = None
    thinking: dict[str, Any] | None = None
    output_config: dict[str, Any] | None = None


class Body(CountBody, frozen=True, kw_only=True):
    """POST /v1/messages."""

    max_tokens: _Count
    stream: bool | None = None
    temperature: _Share | None = None
    top_p: _Share | None = None
    top_k: Annotated[int, Meta(ge=0)] | None = None
    stop_sequences: Annotated[tuple[str, ...], Meta(max_length=64)] | None = None
    metadata: Metadata | None = None
