"""Answers of OpenAI's Responses API, by the examples of its documents.

Source: https://platform.openai.com/docs/api-reference/responses (create: text, functions,
reasoning; streaming) and /docs/guides/function-calling; shortened, ids as there.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

_ID: Final = "resp_67c9fdcecf488190bdd9a0409de3a1ec07b8b0ad4e5eb654"
_MSG: Final = "msg_67c9fdcf37fc8190ba82116e33fb28c507b8b0ad4e5eb654"
_FC: Final = "fc_1234xyz"
_RS: Final = "rs_68af4030baa48193b0b43b4c2a176a1a"

USAGE: Final = {
    "input_tokens": 37,
    "input_tokens_details": {"cached_tokens": 12, "cache_write_tokens": 0},
    "output_tokens": 11,
    "output_tokens_details": {"reasoning_tokens": 4},
    "total_tokens": 48,
}


def response(**fields: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "id": _ID, "object": "response", "created_at": 1741290958, "status": "completed",
        "error": None, "incomplete_details": None, "instructions": "You are a helpful assistant.",
        "max_output_tokens": None, "model": "gpt-4.1-2025-04-14", "output": [],
        "parallel_tool_calls": True, "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None}, "store": True, "temperature": 1.0,
        "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [], "top_p": 1.0,
        "truncation": "disabled", "usage": USAGE, "user": None, "metadata": {},
    }  # fmt: skip
    return {**made, **fields}


def stream(*events: dict[str, Any]) -> bytes:
    """The events as they go over the wire, numbered."""
    lines = []
    for number, event in enumerate(events):
        data = msgspec.json.encode({**event, "sequence_number": number})
        lines.append(b"event: %b\ndata: %b\n\n" % (event["type"].encode(), data))
    return b"".join(lines)


def _message(text: str, status: str = "completed") -> dict[str, Any]:
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {"id": _MSG, "type": "message", "status": status, "role": "assistant",
            "content": [part]}  # fmt: skip


def _text(at: int, *deltas: str) -> list[dict[str, Any]]:
    where = {"item_id": _MSG, "output_index": at, "content_index": 0}
    whole = "".join(deltas)
    item = _message(whole)
    part = item["content"][0]
    empty = {**item, "status": "in_progress", "content": []}
    return [
        {"type": "response.output_item.added", "output_index": at, "item": empty},
        {"type": "response.content_part.added", **where, "part": {**part, "text": ""}},
        *({"type": "response.output_text.delta", **where, "delta": d, "logprobs": []}
          for d in deltas),
        {"type": "response.output_text.done", **where, "text": whole, "logprobs": []},
        {"type": "response.content_part.done", **where, "part": part},
        {"type": "response.output_item.done", "output_index": at, "item": item},
    ]  # fmt: skip


def _begun() -> list[dict[str, Any]]:
    early = response(status="in_progress", usage=None)
    return [{"type": "response.created", "response": early},
            {"type": "response.in_progress", "response": early}]  # fmt: skip


HI: Final = ("Hi", " there!", " How can I assist you today?")
TEXT: Final = stream(
    *_begun(), *_text(0, *HI),
    {"type": "response.completed", "response": response(output=[_message("".join(HI))])},
)  # fmt: skip
TEXT_WHOLE: Final = msgspec.json.encode(response(output=[_message("".join(HI))]))

ARGUMENTS: Final = '{"location":"Paris, France"}'
_CALL: Final = {"type": "function_call", "id": _FC, "call_id": "call_1234xyz",
                "name": "get_weather", "arguments": ARGUMENTS, "status": "completed"}  # fmt: skip
CALL: Final = stream(
    *_begun(),
    {"type": "response.output_item.added", "output_index": 0,
     "item": {**_CALL, "arguments": "", "status": "in_progress"}},
    *({"type": "response.function_call_arguments.delta", "item_id": _FC, "output_index": 0,
       "delta": delta} for delta in ('{"', "location", '":"', "Paris", ", France", '"}')),
    {"type": "response.function_call_arguments.done", "item_id": _FC, "output_index": 0,
     "arguments": ARGUMENTS},
    {"type": "response.output_item.done", "output_index": 0, "item": _CALL},
    {"type": "response.completed", "response": response(output=[_CALL])},
)  # fmt: skip
CALL_WHOLE: Final = msgspec.json.encode(response(output=[_CALL]))

_SAID: Final = {"type": "summary_text", "text": "**Counting**\n\nThree r."}
_THOUGHT: Final = {
    "id": _RS,
    "type": "reasoning",
    "encrypted_content": "gAAAAABovLO",
    "summary": [_SAID],
}
_SUMMARY: Final = {"item_id": _RS, "output_index": 0, "summary_index": 0}
REASONING: Final = stream(
    *_begun(),
    {"type": "response.output_item.added", "output_index": 0,
     "item": {**_THOUGHT, "summary": [], "encrypted_content": ""}},
    {"type": "response.reasoning_summary_part.added", **_SUMMARY,
     "part": {"type": "summary_text", "text": ""}},
    {"type": "response.reasoning_summary_text.delta", **_SUMMARY, "delta": "**Counting**"},
    {"type": "response.reasoning_summary_text.delta", **_SUMMARY, "delta": "\n\nThree r."},
    {"type": "response.reasoning_summary_text.done", **_SUMMARY,
     "text": "**Counting**\n\nThree r."},
    {"type": "response.reasoning_summary_part.done", **_SUMMARY, "part": _SAID},
    {"type": "response.output_item.done", "output_index": 0, "item": _THOUGHT},
    *_text(1, "Three."),
    {"type": "response.completed", "response": response(output=[_THOUGHT, _message("Three.")])},
)  # fmt: skip
REASONING_WHOLE: Final = msgspec.json.encode(response(output=[_THOUGHT, _message("Three.")]))

_CUT: Final = response(status="incomplete", output=[_message("Once", "incomplete")],
                       incomplete_details={"reason": "max_output_tokens"})  # fmt: skip
CUT: Final = stream(*_begun(), *_text(0, "Once"), {"type": "response.incomplete", "response": _CUT})
CUT_WHOLE: Final = msgspec.json.encode(_CUT)

_REFUSED: Final = {**_message(""), "content": [{"type": "refusal", "refusal": "I can't."}]}
_WHERE: Final = {"item_id": _MSG, "output_index": 0, "content_index": 0}
REFUSAL: Final = stream(
    *_begun(),
    {"type": "response.output_item.added", "output_index": 0, "item": {**_REFUSED, "content": []}},
    {"type": "response.content_part.added", **_WHERE, "part": {"type": "refusal", "refusal": ""}},
    {"type": "response.refusal.delta", **_WHERE, "delta": "I can't."},
    {"type": "response.refusal.done", **_WHERE, "refusal": "I can't."},
    {"type": "response.output_item.done", "output_index": 0, "item": _REFUSED},
    {"type": "response.completed", "response": response(output=[_REFUSED])},
)
REFUSAL_WHOLE: Final = msgspec.json.encode(response(output=[_REFUSED]))

FAILED: Final = stream(
    *_begun(),
    {"type": "response.failed", "response": response(
        status="failed", usage=None,
        error={"code": "server_error", "message": "The model failed to generate a response."})},
)  # fmt: skip
ERROR: Final = stream(
    *_begun(),
    {"type": "error", "code": "rate_limit_exceeded", "message": "Slow down.", "param": None},
)
