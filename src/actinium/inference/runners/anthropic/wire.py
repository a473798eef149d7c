"""What a server of the Messages API answers, as far as it is read.

Source: https://docs.anthropic.com/en/api/messages and /en/api/messages-streaming. Fields,
events and kinds of deltas that are not here are skipped: the API says that new ones may come.
"""

from __future__ import annotations

from typing import Any

import msgspec


class OutputDetails(msgspec.Struct, frozen=True):
    thinking_tokens: int | None = None


class WireUsage(msgspec.Struct, frozen=True):
    """Cumulative; ``message_delta`` repeats of ``message_start`` what it wants to replace."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    output_tokens_details: OutputDetails | None = None


class WireMessage(msgspec.Struct, frozen=True):
    """A whole answer, or the empty one that ``message_start`` brings."""

    content: tuple[dict[str, Any], ...] = ()
    stop_reason: str | None = None
    stop_sequence: str | None = None
    usage: WireUsage | None = None
    type: str = "message"
    error: Any = None


class WireDelta(msgspec.Struct, frozen=True):
    """``delta`` of ``content_block_delta`` (by its type) and of ``message_delta``."""

    type: str = ""
    text: str = ""
    partial_json: str = ""
    thinking: str = ""
    signature: str = ""
    citation: dict[str, Any] | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None


class Event(msgspec.Struct, frozen=True):
    """One event of a stream."""

    type: str
    index: int = 0
    delta: WireDelta | None = None
    content_block: dict[str, Any] | None = None
    message: WireMessage | None = None
    usage: WireUsage | None = None
    error: Any = None


class Counted(msgspec.Struct, frozen=True):
    """Answer of /v1/messages/count_tokens."""

    input_tokens: int


decode_event = msgspec.json.Decoder(Event).decode
decode_message = msgspec.json.Decoder(WireMessage).decode
decode_count = msgspec.json.Decoder(Counted).decode
