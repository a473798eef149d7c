"""Bursts -> events of Anthropic's wire, and whole answers put together from them.

Source: https://docs.anthropic.com/en/api/messages-streaming.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from actinium.errors import ProtocolError
from actinium.inference.chunk import Burst, Chunk, Detail, Finish, ToolDelta, Usage

PING: Final = b'event: ping\ndata: {"type":"ping"}\n\n'
_FINISH: Final[dict[Finish, str]] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode

Event = dict[str, Any]


class Blocks:
    """Chunks of one choice -> events between ``message_start`` and ``message_stop``.

    A block is open until content of another kind comes; the calls of a turn are open together,
    because other wires may send their pieces by turns.
    """

    def __init__(self) -> None:
        self._next = 0
        self._kind = ""
        self._calls: dict[int, int] = {}
        self._closed: set[int] = set()
        self._refused = False
        self._finish: Finish | None = None
        self._detail = Detail()
        self.usage: Usage | None = None

    def add(self, chunk: Chunk) -> list[Event]:
        """The events of one chunk. Raises ProtocolError for a piece of a call that has ended."""
        out: list[Event] = []
        if chunk.reasoning:
            self._open("thinking", {"type": "thinking", "thinking": "", "signature": ""}, out)
            self._delta({"type": "thinking_delta", "thinking": chunk.reasoning}, out)
        if chunk.text or chunk.refusal:
            self._refused = self._refused or bool(chunk.refusal)
            self._open("text", {"type": "text", "text": ""}, out)
            self._delta({"type": "text_delta", "text": chunk.text + chunk.refusal}, out)
        if chunk.detail is not None:
            self._add_detail(chunk.detail, out)
        if chunk.tool is not None:
            self._add_call(chunk.tool, out)
        if chunk.finish is not None:
            self._finish = chunk.finish
            self._detail = chunk.detail or self._detail
        if chunk.usage is not None:
            self.usage = chunk.usage
        return out

    def end(self) -> list[Event]:
        """The last events. Raises ProtocolError where no finish has come (RQ-5)."""
        if self._finish is None:
            raise ProtocolError("the answer ended without a finish")
        out: list[Event] = []
        self._close(out)
        stop = self._detail.stop or None
        reason = self._detail.reason or _FINISH[self._finish]
        if stop is not None:
            reason = "stop_sequence"
        elif self._refused and self._finish == "stop":
            reason = "refusal"
        delta = {"stop_reason": reason, "stop_sequence": stop}
        out.append({"type": "message_delta", "delta": delta, "usage": usage_of(self.usage)})
        out.append({"type": "message_stop"})
        return out

    def _add_detail(self, detail: Detail, out: list[Event]) -> None:
        if detail.seam is not None:  # clients pass over a ping, whatever it holds
            out.append({"type": "ping", "actinium": {"continued": detail.seam}})
        if detail.signature:
            self._open("thinking", {"type": "thinking", "thinking": "", "signature": ""}, out)
            self._delta({"type": "signature_delta", "signature": detail.signature}, out)
            self._close(out)
        if detail.redacted:
            self._whole({"type": "redacted_thinking", "data": detail.redacted}, out)
        if detail.citation is not None:
            self._open("text", {"type": "text", "text": ""}, out)
            self._delta({"type": "citations_delta", "citation": detail.citation}, out)
        if detail.block is not None:
            self._whole(detail.block, out)

    def _add_call(self, piece: ToolDelta, out: list[Event]) -> None:
        if piece.index in self._closed:
            raise ProtocolError(
                f"a piece of the call {piece.index} came after the answer had gone on"
            )
        if piece.index not in self._calls:
            if self._kind != "calls":
                self._close(out)
                self._kind = "calls"
            block: Event = {
                "type": "tool_use",
                "id": piece.id or f"toolu_{piece.index}",
                "name": piece.name or "",
                "input": {},
            }
            if piece.extra_content is not None:
                block["extra_content"] = piece.extra_content  # comes back with the block
            self._calls[piece.index] = self._next
            out.append({"type": "content_block_start", "index": self._next, "content_block": block})
            self._next += 1
        if piece.arguments:
            delta = {"type": "input_json_delta", "partial_json": piece.arguments}
            index = self._calls[piece.index]
            out.append({"type": "content_block_delta", "index": index, "delta": delta})

    def _open(self, kind: str, block: Event, out: list[Event]) -> None:
        if self._kind != kind:
            self._close(out)
            self._kind = kind
            out.append({"type": "content_block_start", "index": self._next, "content_block": block})
            self._next += 1

    def _delta(self, delta: Event, out: list[Event]) -> None:
        out.append({"type": "content_block_delta", "index": self._next - 1, "delta": delta})

    def _whole(self, block: Event, out: list[Event]) -> None:
        self._open("whole", block, out)
        self._close(out)

    def _close(self, out: list[Event]) -> None:
        if self._kind == "calls":
            self._closed.update(self._calls)
            out += [{"type": "content_block_stop", "index": i} for i in self._calls.values()]
            self._calls = {}
        elif self._kind:
            out.append({"type": "content_block_stop", "index": self._next - 1})
        self._kind = ""


class MessageStream:
    """Bursts -> bytes for the socket.

    ``message_start`` tells the input tokens that the first burst knows of, else those of ``count``,
    which may be estimated; ``message_delta`` tells what they were in the end.
    """

    def __init__(self, id: str, model: str, count: Callable[[], int]) -> None:
        self._blocks = Blocks()
        self._id = id
        self._model = model
        self._count: Callable[[], int] | None = count

    def events(self, burst: Burst) -> bytes:
        """The events of a burst."""
        add = self._blocks.add
        pieces = [_line(event) for chunk in burst for event in add(chunk)]
        if self._count is not None and burst:
            known = burst[0].usage
            if known is None or burst[0].finish is not None:
                usage = {"input_tokens": self._count(), "output_tokens": 0}
            else:
                usage = usage_of(known)
            self._count = None
            start = {"type": "message_start", "message": _frame(self._id, self._model, usage)}
            pieces.insert(0, _line(start) + PING)
        return b"".join(pieces)

    def end(self) -> bytes:
        """The last events. Raises ProtocolError where the answer has no finish."""
        return b"".join(map(_line, self._blocks.end()))


def whole(burst: Burst, id: str, model: str) -> bytes:
    """The body of a whole answer (RQ-6: what a client makes of the stream of the same burst).

    Arguments that are no JSON object, which a model may write, come as ``{"INVALID_JSON":
    text}``. Raises ProtocolError where the answer has no finish.
    """
    blocks = Blocks()
    events = [event for chunk in burst for event in blocks.add(chunk)]
    events += blocks.end()
    content: list[Event] = []
    arguments: dict[int, str] = {}
    end: Event = {}
    for event in events:
        match event["type"]:
            case "content_block_start":
                content.append(dict(event["content_block"]))
            case "content_block_delta":
                _apply(event, content, arguments)
            case "message_delta":
                end = event
    for index, text in arguments.items():
        content[index]["input"] = _input(text)
    body = _frame(id, model, end["usage"])
    return _encode(body | {"content": content} | end["delta"])


def usage_of(usage: Usage | None) -> dict[str, Any]:
    """``usage``: here the input does not hold what the cache took or gave."""
    if usage is None:
        return {"input_tokens": 0, "output_tokens": 0}
    made: dict[str, Any] = {
        "input_tokens": max(0, usage.input - usage.cached - usage.cache_write),
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cached,
        "output_tokens": usage.output,
    }
    if usage.reasoning:
        made["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    return made


def _frame(id: str, model: str, usage: dict[str, Any]) -> Event:
    return {
        "id": id,
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }


def _apply(event: Event, content: list[Event], arguments: dict[int, str]) -> None:
    delta = event["delta"]
    index = event["index"]
    block = content[index]
    match delta["type"]:
        case "text_delta":
            block["text"] += delta["text"]
        case "thinking_delta":
            block["thinking"] += delta["thinking"]
        case "signature_delta":
            block["signature"] = delta["signature"]
        case "citations_delta":
            block.setdefault("citations", []).append(delta["citation"])
        case "input_json_delta":
            arguments[index] = arguments.get(index, "") + delta["partial_json"]


def _input(text: str) -> dict[str, Any]:
    try:
        value = _decode(text)
    except (msgspec.DecodeError, RecursionError):
        value = None
    return value if isinstance(value, dict) else {"INVALID_JSON": text}


def _line(event: Event) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (event["type"].encode(), _encode(event))
