"""Answers of the wire -> chunks, without I/O (WM-1, RQ-5)."""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from actinium.errors import InferenceError, ProtocolError
from actinium.inference.chunk import Burst, Chunk, Detail, Finish, ToolDelta, Usage
from actinium.inference.http import SseDecoder

from .errors import from_event
from .wire import Event, WireDelta, WireUsage, decode_event, decode_message

_FINISH: Final[dict[str, Finish]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
_PLAIN: Final = frozenset(("end_turn", "max_tokens", "tool_use", "refusal", "stop_sequence"))
"""Reasons that ``Finish`` and ``Detail.stop`` say without loss."""

_BROKEN: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _Call:
    """A tool call under way: its place among the calls, and whether arguments have come."""

    __slots__ = ("index", "said")

    def __init__(self, index: int) -> None:
        self.index = index
        self.said = False


class _Other:
    """A block of a kind that has no chunks of its own, whole at its end."""

    __slots__ = ("block", "json")

    def __init__(self, block: dict[str, Any]) -> None:
        self.block = block
        self.json = ""

    def whole(self) -> dict[str, Any]:
        if not self.json:
            return self.block
        try:
            return {**self.block, "input": msgspec.json.decode(self.json)}
        except _BROKEN as error:
            raise ProtocolError(
                f"the upstream's block has an input that is no JSON: {error}"
            ) from None


class _Blocks:
    """Content blocks -> chunks; the same for streams and for whole answers (RQ-6)."""

    def __init__(self) -> None:
        self._open: dict[int, _Call | _Other] = {}
        self._calls = 0

    def start(self, index: int, block: dict[str, Any], burst: Burst) -> None:
        match block.get("type"):
            case "text":
                if text := _text(block, "text"):
                    burst.append(Chunk(0, text))
                citations = block.get("citations")
                if isinstance(citations, list):
                    burst += [Chunk(0, detail=Detail(citation=one)) for one in citations]
            case "thinking":
                if text := _text(block, "thinking"):
                    burst.append(Chunk(0, reasoning=text))
                if signature := _text(block, "signature"):
                    burst.append(Chunk(0, detail=Detail(signature=signature)))
            case "redacted_thinking":
                burst.append(Chunk(0, detail=Detail(redacted=_text(block, "data"))))
            case "tool_use":
                call = self._open[index] = _Call(self._calls)
                self._calls += 1
                given = block.get("input")
                arguments = msgspec.json.encode(given).decode() if given else ""
                call.said = bool(arguments)
                delta = ToolDelta(call.index, _text(block, "id"), _text(block, "name"), arguments)
                burst.append(Chunk(0, tool=delta))
            case _:
                self._open[index] = _Other(block)

    def delta(self, index: int, delta: WireDelta, burst: Burst) -> None:
        match delta.type:
            case "text_delta":
                if delta.text:
                    burst.append(Chunk(0, delta.text))
            case "thinking_delta":
                if delta.thinking:
                    burst.append(Chunk(0, reasoning=delta.thinking))
            case "signature_delta":
                burst.append(Chunk(0, detail=Detail(signature=delta.signature)))
            case "citations_delta":
                burst.append(Chunk(0, detail=Detail(citation=delta.citation)))
            case "input_json_delta" if delta.partial_json:
                self._input(index, delta.partial_json, burst)

    def _input(self, index: int, json: str, burst: Burst) -> None:
        match self._open.get(index):
            case _Call() as call:
                call.said = True
                burst.append(Chunk(0, tool=ToolDelta(call.index, arguments=json)))
            case _Other() as other:
                other.json += json
            case None:
                raise ProtocolError(
                    f"the upstream sent arguments for block {index}, which is no open tool call"
                )

    def stop(self, index: int, burst: Burst) -> None:
        match self._open.pop(index, None):
            case _Call(said=False) as call:
                burst.append(Chunk(0, tool=ToolDelta(call.index, arguments="{}")))
            case _Other() as other:
                burst.append(Chunk(0, detail=Detail(block=other.whole())))


class StreamDecoder:
    """Bytes of an event stream -> bursts.

    After each :meth:`feed` look at ``error`` (raise it once the burst is delivered) and at
    ``done``; at the end of the bytes call :meth:`end`. The finish is that of ``message_delta``;
    ``message_stop`` only ends. ``unknown`` counts events of types this decoder does not know.
    """

    __slots__ = ("_blocks", "_early", "_events", "_finished", "_used", "done", "error", "unknown")

    def __init__(self) -> None:
        self._events = SseDecoder()
        self._blocks = _Blocks()
        self._finished = False
        self._used: list[WireUsage] = []
        self._early: Usage | None = None
        self.done = False
        self.error: InferenceError | None = None
        self.unknown = 0

    def feed(self, piece: bytes) -> Burst:
        """The chunks that ``piece`` completes; none for pings and for the frame of the answer."""
        burst: Burst = []
        try:
            for data in self._events.feed(piece):
                if self.done or self.error is not None:
                    break
                if data:
                    self._take(decode_event(data), burst)
            if self._early is not None and burst:
                # What the prompt took is known from the beginning on: it goes with the first words.
                if burst[0].usage is None:
                    burst[0] = msgspec.structs.replace(burst[0], usage=self._early)
                self._early = None
        except ProtocolError as error:
            self.error = error
        except _BROKEN as error:
            self.error = ProtocolError(f"the upstream sent an event that is not its wire: {error}")
        return burst

    def end(self) -> Burst:
        """The bytes are over. Raises ProtocolError where no finish has come."""
        self._end()
        if self.error is not None:
            raise self.error
        return []

    def _take(self, event: Event, burst: Burst) -> None:
        match event.type:
            case "content_block_delta" if event.delta is not None:
                self._blocks.delta(event.index, event.delta, burst)
            case "content_block_start" if event.content_block is not None:
                self._blocks.start(event.index, event.content_block, burst)
            case "content_block_stop":
                self._blocks.stop(event.index, burst)
            case "message_start":
                if event.message is not None and event.message.usage is not None:
                    self._used.append(event.message.usage)
                    self._early = usage_of(event.message.usage, source="estimated")
            case "message_delta":
                self._message_delta(event, burst)
            case "message_stop":
                self._end()
            case "error":
                self.error = from_event(event.error)
            case "ping":
                pass
            case _:
                self.unknown += 1

    def _message_delta(self, event: Event, burst: Burst) -> None:
        if event.usage is not None:
            self._used.append(event.usage)
        usage = usage_of(*self._used)
        delta = event.delta
        if delta is None or delta.stop_reason is None or self._finished:
            if self._finished:
                burst.append(Chunk(usage=usage))  # a later count replaces the one before
            return
        self._finished = True
        burst.append(_finish(delta.stop_reason, delta.stop_sequence, usage))

    def _end(self) -> None:
        if self._finished:
            self.done = True
        elif self.error is None:
            self.error = ProtocolError("the upstream ended its stream without a stop_reason")


def decode_whole(body: bytes) -> Burst:
    """A whole answer -> one burst. Raises ProtocolError where it has no ``stop_reason``."""
    try:
        answer = decode_message(body)
    except _BROKEN as error:
        raise ProtocolError(f"the upstream's answer is not its wire: {error}") from None
    if answer.error is not None:
        raise from_event(answer.error)
    if answer.stop_reason is None:
        raise ProtocolError("the upstream's answer has no stop_reason")
    burst: Burst = []
    blocks = _Blocks()
    for index, block in enumerate(answer.content):
        blocks.start(index, block, burst)
        blocks.stop(index, burst)
    usage = usage_of(answer.usage) if answer.usage is not None else None
    burst.append(_finish(answer.stop_reason, answer.stop_sequence, usage))
    return burst


def usage_of(*parts: WireUsage, source: Literal["wire", "estimated"] = "wire") -> Usage:
    """The usage of an answer: each number as it was said last. Input holds what was cached."""
    plain = output = cached = written = thinking = 0
    for part in parts:
        if part.input_tokens is not None:
            plain = part.input_tokens
        if part.output_tokens is not None:
            output = part.output_tokens
        if part.cache_read_input_tokens is not None:
            cached = part.cache_read_input_tokens
        if part.cache_creation_input_tokens is not None:
            written = part.cache_creation_input_tokens
        if part.output_tokens_details is not None:
            thinking = part.output_tokens_details.thinking_tokens or 0
    return Usage(
        input=plain + cached + written,
        output=output,
        cached=cached,
        reasoning=thinking,
        cache_write=written,
        source=source,
    )


def _finish(reason: str, stop: str | None, usage: Usage | None) -> Chunk:
    detail = None
    if stop or reason not in _PLAIN:
        detail = Detail(stop=stop or "", reason="" if reason in _PLAIN else reason)
    return Chunk(0, "", _FINISH.get(reason, "stop"), usage=usage, detail=detail)


def _text(block: dict[str, Any], field: str) -> str:
    value = block.get(field, "")
    if not isinstance(value, str):
        raise ProtocolError(f"the upstream's block has a {field} that is no text")
    return value
