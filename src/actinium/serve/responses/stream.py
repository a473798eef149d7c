"""Bursts -> events of the Responses API, and whole responses put together from them."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from actinium.inference.chunk import Burst, Usage

from ..openai.errors import Detail
from .body import Body
from .output import Event, Output

_encode = msgspec.json.Encoder().encode
_REASONS: Final = {"length": "max_output_tokens", "content_filter": "content_filter"}


class Frame:
    """What of a response is known before its first word."""

    def __init__(self, id: str, model: str, created: int, body: Body, *, store: bool) -> None:
        reasoning = body.reasoning
        self.id = id
        self._fixed: Event = {
            "id": id,
            "object": "response",
            "created_at": created,
            "status": "in_progress",
            "background": False,
            "error": None,
            "incomplete_details": None,
            "instructions": body.instructions,
            "max_output_tokens": body.max_output_tokens,
            "metadata": body.metadata or {},
            "model": model,
            "output": [],
            "parallel_tool_calls": body.parallel_tool_calls is not False,
            "previous_response_id": body.previous_response_id,
            "reasoning": {
                "effort": reasoning.effort if reasoning is not None else None,
                "summary": reasoning.summary if reasoning is not None else None,
            },
            "store": store,
            "temperature": body.temperature,
            "text": {"format": _format(body)},
            "tool_choice": body.tool_choice or "auto",
            "tools": body.tools or (),
            "top_logprobs": body.top_logprobs or 0,
            "top_p": body.top_p,
            "truncation": "disabled",
            "usage": None,
            "user": body.user,
        }

    @property
    def kept(self) -> Event:
        """What is kept with an answer, for who asks for it again."""
        return self._fixed

    def now(self, **fields: Any) -> Event:
        """The response with what is known of it by now."""
        return {**self._fixed, **fields}

    def ended(self, output: Output) -> Event:
        """The response at its end."""
        return self.now(**ending(output.finish or "", output.items, output.usage))


class ResponseStream:
    """Bursts -> bytes for the socket; every event has a number, from 0 on."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._output = Output(frame.id)
        self._number = 0

    def start(self) -> bytes:
        """The events before the first word."""
        begun = self._frame.now()
        return self._line({"type": "response.created", "response": begun}) + self._line(
            {"type": "response.in_progress", "response": begun}
        )

    def events(self, burst: Burst) -> bytes:
        """The events of a burst."""
        pieces = [] if self._number or not burst else [self.start()]
        add, line = self._output.add, self._line
        for chunk in burst:
            pieces += [line(event) for event in add(chunk)]
            if chunk.detail is not None and chunk.detail.seam is not None:
                # A comment: clients know all events of this wire and need not take another.
                pieces.append(b": continued %b\n\n" % _encode(chunk.detail.seam))
        return b"".join(pieces)

    def end(self) -> bytes:
        """The last events. Raises ProtocolError where the answer has no finish."""
        pieces = [self._line(event) for event in self._output.end()]
        whole = self._frame.ended(self._output)
        pieces.append(self._line({"type": f"response.{whole['status']}", "response": whole}))
        return b"".join(pieces)

    def failed(self, detail: Detail) -> bytes:
        """What tells that the answer broke off, in the two ways that clients look for."""
        error = {"code": detail.code or "server_error", "message": detail.message}
        output = self._output
        whole = self._frame.now(status="failed", error=error, output=output.items)
        failed = self._line({"type": "response.failed", "response": whole})
        kept = {"type": detail.type, "param": detail.param, **error}
        return failed + self._line({"type": "error", **error, "param": detail.param, "error": kept})

    def _line(self, event: Event) -> bytes:
        event["sequence_number"] = self._number
        self._number += 1
        return b"event: %b\ndata: %b\n\n" % (event["type"].encode(), _encode(event))


def whole(burst: Burst, frame: Frame) -> bytes:
    """The body of a whole response (RQ-6: what a client makes of the stream of the same burst).

    Raises ProtocolError where the answer has no finish.
    """
    output = Output(frame.id)
    for chunk in burst:
        output.add(chunk)
    output.end()
    return _encode(frame.ended(output))


def ending(finish: str, items: list[Event], usage: Usage | None) -> Event:
    """The fields of a response that its end tells."""
    reason = _REASONS.get(finish)
    return {
        "status": "completed" if reason is None else "incomplete",
        "incomplete_details": None if reason is None else {"reason": reason},
        "output": items,
        "usage": usage_of(usage) if usage is not None else None,
    }


def usage_of(usage: Usage) -> Event:
    """``usage``; ``estimated`` says that the upstream told none."""
    made: Event = {
        "input_tokens": usage.input,
        "input_tokens_details": {
            "cached_tokens": usage.cached,
            "cache_write_tokens": usage.cache_write,
        },
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.input + usage.output,
    }
    if usage.source == "estimated":
        made["estimated"] = True
    return made


def _format(body: Body) -> Event:
    given = body.text.format if body.text is not None else None
    if given is None:
        return {"type": "text"}
    fields = {name: getattr(given, name) for name in given.__struct_fields__}
    return {name: value for name, value in fields.items() if value is not None}
