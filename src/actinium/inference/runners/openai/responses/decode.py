"""Answers of /responses -> chunks (WM-1, RQ-5).

Source: https://platform.openai.com/docs/api-reference/responses-streaming. Items and events that
are not here (those of tools that run at the server) are skipped.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from actinium.errors import InferenceError, ProtocolError
from actinium.inference.chunk import (
    Burst,
    Chunk,
    Detail,
    Finish,
    TokenLogprob,
    ToolDelta,
    Usage,
)
from actinium.inference.http import SseDecoder

from ..errors import from_event
from ..wire import WireToken

_BROKEN: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_REASONS: Final[dict[str, Finish]] = {
    "max_output_tokens": "length",
    "content_filter": "content_filter",
}


class InputDetails(msgspec.Struct, frozen=True):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class OutputDetails(msgspec.Struct, frozen=True):
    reasoning_tokens: int | None = None


class WireUsage(msgspec.Struct, frozen=True):
    input_tokens: int = 0
    output_tokens: int = 0
    input_tokens_details: InputDetails | None = None
    output_tokens_details: OutputDetails | None = None


class Reason(msgspec.Struct, frozen=True):
    reason: str | None = None


class Part(msgspec.Struct, frozen=True):
    """A piece of a message or of a thought."""

    type: str = ""
    text: str | None = None
    refusal: str | None = None
    logprobs: tuple[WireToken, ...] | None = None


class Item(msgspec.Struct, frozen=True):
    """A message, a call, a thought, or something else by its ``type``."""

    type: str = ""
    id: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    content: tuple[Part, ...] | None = None
    summary: tuple[Part, ...] | None = None
    encrypted_content: str | None = None


class Answer(msgspec.Struct, frozen=True):
    """A whole response."""

    status: str | None = None
    output: tuple[Item, ...] | None = None
    usage: WireUsage | None = None
    error: Any = None
    incomplete_details: Reason | None = None


class Event(msgspec.Struct, frozen=True):
    """One event; which fields it has is said by its ``type``."""

    type: str = ""
    output_index: int = 0
    delta: str | None = None
    logprobs: tuple[WireToken, ...] | None = None
    item: Item | None = None
    response: Answer | None = None
    error: Any = None
    code: str | None = None
    message: str | None = None
    param: str | None = None


_decode_event = msgspec.json.Decoder(Event).decode
_decode_answer = msgspec.json.Decoder(Answer).decode


class ResponseDecoder:
    """Bytes of an event stream -> bursts; see :class:`actinium.inference.runners.remote.Decoder`.

    ``unknown`` counts events of types that are not read.
    """

    __slots__ = ("_calls", "_events", "_said", "done", "error", "unknown")

    def __init__(self) -> None:
        self._events = SseDecoder()
        self._calls: dict[int, int] = {}
        self._said: set[int] = set()
        self.done = False
        self.error: InferenceError | None = None
        self.unknown = 0

    def feed(self, piece: bytes) -> Burst:
        """The chunks that ``piece`` completes."""
        burst: Burst = []
        try:
            for data in self._events.feed(piece):
                if self.done or self.error is not None:
                    break
                if data and data != b"[DONE]":
                    self._take(_decode_event(data), burst)
        except InferenceError as error:
            self.error = error
        except _BROKEN as error:
            self.error = ProtocolError(f"the upstream sent an event that is not its wire: {error}")
        return burst

    def end(self) -> Burst:
        """The bytes are over. Raises ProtocolError where the response has not ended."""
        raise ProtocolError("the upstream ended its stream without the end of its response")

    def _take(self, event: Event, burst: Burst) -> None:
        match event.type:
            case "response.output_text.delta":
                tokens = _logprobs(event.logprobs)
                if event.delta or tokens:
                    burst.append(Chunk(0, event.delta or "", logprobs=tokens))
            case "response.reasoning_summary_text.delta" | "response.reasoning_text.delta":
                if event.delta:
                    burst.append(Chunk(reasoning=event.delta))
            case "response.refusal.delta":
                if event.delta:
                    burst.append(Chunk(refusal=event.delta))
            case "response.output_item.added" if event.item is not None:
                if event.item.type == "function_call":
                    self._call(event.output_index, event.item, burst)
            case "response.function_call_arguments.delta":
                self._arguments(event.output_index, event.delta or "", burst)
            case "response.output_item.done" if event.item is not None:
                self._item_done(event.output_index, event.item, burst)
            case "response.completed" | "response.incomplete" if event.response is not None:
                burst.append(_last(event.response, calls=bool(self._calls)))
                self.done = True
            case "response.failed" if event.response is not None:
                raise from_event(event.response.error or {"message": "the response failed"})
            case "error":
                raise from_event(
                    event.error
                    or {"message": event.message, "code": event.code, "param": event.param}
                )
            case _:
                self.unknown += 1

    def _call(self, at: int, item: Item, burst: Burst) -> None:
        index = self._calls[at] = len(self._calls)
        burst.append(Chunk(0, tool=ToolDelta(index, item.call_id or "", item.name or "")))
        if item.arguments:
            self._arguments(at, item.arguments, burst)

    def _arguments(self, at: int, text: str, burst: Burst) -> None:
        index = self._calls.get(at)
        if index is None:
            raise ProtocolError(f"the upstream sent arguments for item {at}, which is no open call")
        if text:
            self._said.add(at)
            burst.append(Chunk(0, tool=ToolDelta(index, arguments=text)))

    def _item_done(self, at: int, item: Item, burst: Burst) -> None:
        if item.type == "reasoning":
            burst += _signed(item)
        elif item.type == "function_call":
            if at not in self._calls:
                self._call(at, item, burst)
            elif at not in self._said and item.arguments:
                self._arguments(at, item.arguments, burst)


def decode_response(body: bytes) -> Burst:
    """A whole response -> one burst. Raises ProtocolError where it has not ended."""
    try:
        answer = _decode_answer(body)
    except _BROKEN as error:
        raise ProtocolError(f"the upstream's answer is not its wire: {error}") from None
    if answer.error is not None or answer.status == "failed":
        raise from_event(answer.error or {"message": "the response failed"})
    if answer.status not in ("completed", "incomplete"):
        raise ProtocolError(f"the upstream's response has the status {answer.status!r}")
    burst: Burst = []
    calls = 0
    for item in answer.output or ():
        if item.type == "function_call":
            delta = ToolDelta(calls, item.call_id or "", item.name or "", item.arguments or "")
            burst.append(Chunk(0, tool=delta))
            calls += 1
        elif item.type == "reasoning":
            text = "".join(part.text or "" for part in item.summary or item.content or ())
            if text:
                burst.append(Chunk(reasoning=text))
            burst += _signed(item)
        elif item.type == "message":
            for part in item.content or ():
                if part.refusal:
                    burst.append(Chunk(refusal=part.refusal))
                elif part.text:
                    burst.append(Chunk(0, part.text, logprobs=_logprobs(part.logprobs)))
    burst.append(_last(answer, calls=calls > 0))
    return burst


def _signed(item: Item) -> Burst:
    """What must come back of a thought: its id and what only the server can read."""
    if not item.encrypted_content or not item.id:
        return []
    return [Chunk(0, detail=Detail(signature=f"{item.id} {item.encrypted_content}"))]


def _last(answer: Answer, *, calls: bool) -> Chunk:
    """The finish with the usage."""
    finish: Finish = "tool_calls" if calls else "stop"
    detail = None
    if answer.status == "incomplete":
        reason = answer.incomplete_details.reason if answer.incomplete_details is not None else None
        finish = _REASONS.get(reason or "", "stop")
        if reason not in _REASONS:
            detail = Detail(reason=reason or "incomplete")
    usage = usage_of(answer.usage) if answer.usage is not None else None
    return Chunk(0, "", finish, usage=usage, detail=detail)


def usage_of(wire: WireUsage) -> Usage:
    inputs, outputs = wire.input_tokens_details, wire.output_tokens_details
    return Usage(
        input=wire.input_tokens,
        output=wire.output_tokens,
        cached=(inputs.cached_tokens or 0) if inputs is not None else 0,
        cache_write=(inputs.cache_write_tokens or 0) if inputs is not None else 0,
        reasoning=(outputs.reasoning_tokens or 0) if outputs is not None else 0,
    )


def _logprobs(tokens: tuple[WireToken, ...] | None) -> tuple[TokenLogprob, ...]:
    if not tokens:
        return ()
    return tuple(
        TokenLogprob(
            t.token, t.logprob, t.bytes, tuple((a.token, a.logprob) for a in t.top_logprobs or ())
        )
        for t in tokens
    )
