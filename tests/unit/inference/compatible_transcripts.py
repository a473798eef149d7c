"""What servers of OpenAI's wire send, in the shape of their own sources and documents.

Sources: vLLM (entrypoints/openai/protocol.py, serving_chat.py), SGLang (entrypoints/openai),
llama.cpp (tools/server/README.md), Ollama (openai/openai.go), Mistral, DeepSeek, OpenRouter and
Groq by their API references. Written anew; ids and texts are made up.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec


class Transcript(NamedTuple):
    """An answer's bytes with what they say. ``usage`` is input and output, None where untold."""

    name: str
    body: bytes
    text: str
    finish: str = "stop"
    reasoning: str = ""
    usage: tuple[int, int] | None = None
    calls: tuple[tuple[str, str, str], ...] = ()


Event = str | dict[str, Any]


def _lines(*events: Event, end: str = "data: [DONE]\n\n", sep: str = "\n\n") -> bytes:
    made = [e if isinstance(e, str) else "data: " + msgspec.json.encode(e).decode() for e in events]
    return (sep.join(made) + sep + end).encode()


def _chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m",
        "choices": [choice], **more,
    }  # fmt: skip


def _usage(given: int, made: int, **more: Any) -> dict[str, Any]:
    tokens = {"prompt_tokens": given, "completion_tokens": made, "total_tokens": given + made}
    return {**_chunk({}), "choices": [], "usage": {**tokens, **more}}


def _call(index: int | None, id: str | None, name: str | None, arguments: str) -> dict[str, Any]:
    function: dict[str, Any] = {"arguments": arguments}
    if name is not None:
        function["name"] = name
    made: dict[str, Any] = {"function": function}
    if index is not None:
        made["index"] = index
    if id is not None:
        made |= {"id": id, "type": "function"}
    return made


GOOD = [
    Transcript(
        "vllm",
        _lines(
            _chunk({"role": "assistant", "content": ""}, prompt_token_ids=None),
            _chunk({"content": "Hello"}, token_ids=None),
            _chunk({"content": " you"}),
            _chunk({"content": ""}, "stop", stop_reason=None),
            _usage(7, 2, prompt_tokens_details=None),
        ),
        "Hello you",
        usage=(7, 2),
    ),
    Transcript(
        "vllm with usage in every event",
        _lines(
            _chunk({"role": "assistant", "content": ""}, usage={"prompt_tokens": 7,
                   "total_tokens": 7, "completion_tokens": 0}),
            _chunk({"content": "Hello"}, usage={"prompt_tokens": 7, "total_tokens": 8,
                   "completion_tokens": 1}),
            _chunk({"content": " you"}, "length", usage={"prompt_tokens": 7, "total_tokens": 9,
                   "completion_tokens": 2}),
            _usage(7, 2),
        ),
        "Hello you",
        "length",
        usage=(7, 2),
    ),
    Transcript(
        "vllm with reasoning",
        _lines(
            _chunk({"role": "assistant", "content": ""}),
            _chunk({"reasoning": "Hm", "reasoning_content": "Hm"}),
            _chunk({"reasoning": "m."}),
            _chunk({"content": "Yes"}),
            _chunk({}, "stop"),
        ),
        "Yes",
        reasoning="Hmm.",
    ),
    Transcript(
        "vllm with calls",
        _lines(
            _chunk({"role": "assistant", "content": ""}),
            _chunk({"tool_calls": [_call(0, "chatcmpl-tool-1", "weather", "")]}),
            _chunk({"tool_calls": [_call(0, None, None, '{"city":')]}),
            _chunk({"tool_calls": [_call(0, None, None, ' "Paris"}')]}),
            _chunk({"tool_calls": [_call(1, "chatcmpl-tool-2", "time", "{}")]}),
            _chunk({"content": ""}, "tool_calls"),
        ),
        "",
        "tool_calls",
        calls=(
            ("chatcmpl-tool-1", "weather", '{"city": "Paris"}'),
            ("chatcmpl-tool-2", "time", "{}"),
        ),
    ),
    Transcript(
        "sglang",
        _lines(
            _chunk({"role": "assistant", "content": "", "reasoning_content": None,
                    "tool_calls": None}, usage=None),
            _chunk({"role": None, "content": "Hello", "reasoning_content": None,
                    "tool_calls": None}, usage=None),
            _chunk({"role": None, "content": None, "reasoning_content": None, "tool_calls": None},
                   "stop", matched_stop=151645, usage=None),
            _usage(9, 1, prompt_tokens_details={"cached_tokens": 4}, reasoning_tokens=0),
        ),
        "Hello",
        usage=(9, 1),
    ),
    Transcript(
        "llama.cpp",
        _lines(
            _chunk({"role": "assistant", "content": None}, system_fingerprint="b4512"),
            _chunk({"content": "Hello"}, system_fingerprint="b4512"),
            _chunk({}, "stop", timings={"prompt_n": 5, "predicted_n": 1, "predicted_ms": 8.1}),
            {**_usage(5, 1), "timings": {"prompt_n": 5}},
        ),
        "Hello",
        usage=(5, 1),
    ),
    Transcript(
        "ollama",
        _lines(
            _chunk({"role": "assistant", "content": "Hello"}, system_fingerprint="fp_ollama"),
            _chunk({"role": "assistant", "content": " you"}, system_fingerprint="fp_ollama"),
            _chunk({"role": "assistant", "content": ""}, "stop"),
        ),
        "Hello you",
    ),
    Transcript(
        "ollama with calls of one index",
        _lines(
            _chunk({"role": "assistant", "content": "", "tool_calls": [
                _call(0, "call_1", "weather", '{"city":"Paris"}'),
                _call(0, "call_2", "time", "{}")]}),
            _chunk({"role": "assistant", "content": "", "tool_calls": [
                _call(0, "call_3", "date", "{}")]}),
            _chunk({"role": "assistant", "content": ""}, "tool_calls"),
        ),
        "",
        "tool_calls",
        calls=(("call_1", "weather", '{"city":"Paris"}'), ("call_2", "time", "{}"),
               ("call_3", "date", "{}")),
    ),
    Transcript(
        "deepseek: comments, empty reasons, reasoning",
        _lines(
            ": keep-alive",
            _chunk({"role": "assistant", "content": None, "reasoning_content": "Hm."}, ""),
            ": keep-alive",
            _chunk({"content": "Yes", "reasoning_content": None}, ""),
            _chunk({"content": "", "reasoning_content": None}, "stop", usage={
                "prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5,
                "prompt_cache_hit_tokens": 0, "prompt_cache_miss_tokens": 3}),
        ),
        "Yes",
        reasoning="Hm.",
        usage=(3, 2),
    ),
    Transcript(
        "openrouter: comments and costs",
        _lines(
            ": OPENROUTER PROCESSING",
            ": OPENROUTER PROCESSING",
            _chunk({"role": "assistant", "content": "Yes"}, provider="X"),
            _chunk({"role": "assistant", "content": ""}, "stop", native_finish_reason="STOP"),
            _usage(3, 1, cost=0.0001, is_byok=False),
        ),
        "Yes",
        usage=(3, 1),
    ),
    Transcript(
        "mistral: content in parts",
        _lines(
            _chunk({"role": "assistant", "content": [
                {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}]}),
            _chunk({"content": [{"type": "text", "text": "Yes"}]}),
            _chunk({"content": ""}, "model_length", usage={
                "prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}),
        ),
        "Yes",
        "length",
        reasoning="Hm.",
        usage=(3, 2),
    ),
    Transcript(
        "groq",
        _lines(
            _chunk({"role": "assistant", "content": ""}, x_groq={"id": "req_1"}),
            _chunk({"content": "Yes"}),
            _chunk({}, "stop", x_groq={"id": "req_1", "usage": {"queue_time": 0.1,
                   "prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}}),
        ),
        "Yes",
    ),
    Transcript(
        "no blank before the data, CRLF",
        _lines(
            _chunk({"role": "assistant", "content": "Yes"}), _chunk({}, "stop"),
            end="data:[DONE]\r\n\r\n", sep="\r\n\r\n",
        ).replace(b"data: ", b"data:"),
        "Yes",
    ),
    Transcript("a closed connection instead of [DONE]",
               _lines(_chunk({"content": "Yes"}), _chunk({}, "stop"), end=""), "Yes"),
    Transcript("[DONE] without the empty line",
               _lines(_chunk({"content": "Yes"}), _chunk({}, "stop"), end="data: [DONE]\n"), "Yes"),
    Transcript("[DONE] in quotes",
               _lines(_chunk({"content": "Yes"}), _chunk({}, "stop"), end='data: "[DONE]"\n\n'),
               "Yes"),
    Transcript("named events, ids and retry",
               _lines("event: message\nid: 1\nretry: 5\n" + "data: " + msgspec.json.encode(
                   _chunk({"content": "Yes"})).decode(), _chunk({}, "stop")), "Yes"),
]  # fmt: skip

_START = _chunk({"role": "assistant", "content": "Hel"})
_SAID = {"message": "boom", "type": "InternalServerError", "param": None, "code": 500}
BAD: list[tuple[str, bytes, str]] = [
    ("vllm", _lines(_START, {"error": _SAID}), "boom"),
    ("older vllm and sglang", _lines(_START, {"object": "error", **_SAID}), "boom"),
    ("llama.cpp", _lines(_START, {"error": {**_SAID, "type": "server_error"}}), "boom"),
    ("older llama.cpp", _lines(
        _START, 'error: {"code":500,"message":"boom","type":"server_error"}', end=""), "boom"),
    ("ollama", _lines(_START, {"error": "boom"}, end=""), "boom"),
    ("openrouter", _lines(_START, {**_chunk({"content": ""}, "error"),
                                   "error": {"code": 502, "message": "boom"}}), "boom"),
    ("vllm gives up", _lines(_START, _chunk({"content": ""}, "abort")), "abort"),
    ("deepseek gives up", _lines(_START, _chunk({}, "insufficient_system_resource")), "gave up"),
    ("[DONE] without a finish", _lines(_START), "without a finish"),
    ("closed without a finish", _lines(_START, end=""), "without a finish"),
]  # fmt: skip
