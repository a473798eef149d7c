"""Encoding, decoding and the error table of OpenAI's wire, without I/O."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actinium.errors import (
    BadRequest,
    ConfigError,
    ContentFiltered,
    ContextLengthExceeded,
    InferenceError,
    ModelNotFound,
    PayloadTooLarge,
    ProtocolError,
    QuotaExhausted,
    RateLimited,
    ServerError,
    UpstreamAuth,
    UpstreamOverloaded,
    UpstreamTimeout,
)
from actinium.inference.chunk import Burst
from actinium.inference.request import Message, Request, Sampling, TextPart
from actinium.inference.runners.openai.decode import StreamDecoder, decode_whole
from actinium.inference.runners.openai.encode import encode_call
from actinium.inference.runners.openai.errors import from_answer, from_event, redact, retry_after
from actinium.inference.runners.openai.options import Options, read_options
from actinium.testkit import answers

WORDS = ("Grüße", " aus", " 東京", " \U0001f600", "!")


def wire(body: dict[str, Any]) -> bytes:
    events = [*answers.events(body, WORDS, usage=True), b"[DONE]"]
    return b"".join(b"data: " + event + b"\n\n" for event in events)


def decoded(pieces: list[bytes], n: int = 1) -> Burst:
    decoder = StreamDecoder(n)
    burst = [chunk for piece in pieces for chunk in decoder.feed(piece)]
    assert decoder.error is None and decoder.done
    return burst


CHAT: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
TOOLS = [{"type": "function", "function": {"name": "weather"}}]


@pytest.mark.parametrize("extra", [{}, {"n": 2}, {"tools": TOOLS}, {"logprobs": True}])
@given(cuts=st.lists(st.integers(0, 4000), max_size=8))
@settings(max_examples=40)
def test_inf_WM_1_any_split_gives_the_same_chunks(extra: dict[str, Any], cuts: list[int]) -> None:
    body = {**CHAT, **extra}
    stream = wire(body)
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    pieces = [stream[a:b] for a, b in pairwise(places)]
    n = extra.get("n", 1)
    assert decoded(pieces, n) == decoded([stream], n), "WM-1"


@pytest.mark.parametrize("extra", [{}, {"n": 2}, {"tools": TOOLS}, {"logprobs": True}])
def test_inf_RQ_6_whole_equals_stream(extra: dict[str, Any]) -> None:
    body = {**CHAT, **extra}
    n = extra.get("n", 1)
    stream = decoded([wire(body)], n)
    whole = decode_whole(answers.whole(body, WORDS, usage=True), n)

    def summary(burst: Burst) -> Any:
        per: dict[int, list[Any]] = {}
        for c in burst:
            if c.usage is not None and c.finish is None:
                continue
            mine = per.setdefault(c.index, ["", "", (), None])
            mine[0] += c.text
            mine[1] += c.tool.arguments if c.tool else ""
            mine[2] += c.logprobs
            mine[3] = c.finish or mine[3]
        return per, burst[-1].usage

    assert summary(stream) == summary(whole), "RQ-6"


@given(st.binary(max_size=300))
def test_fuzzed_streams_never_raise_outside_protocol_error(noise: bytes) -> None:
    decoder = StreamDecoder(1)
    decoder.feed(b"data: " + noise + b"\n\n")
    decoder.feed(noise)
    assert decoder.error is None or isinstance(decoder.error, InferenceError)
    with pytest.raises(ProtocolError):
        decode_whole(noise, 1)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5),
                    lambda v: st.lists(v, max_size=3) | st.dictionaries(
                        st.sampled_from(["choices", "delta", "content", "error", "usage", "index",
                                         "finish_reason", "message", "code", "type"]), v,
                        max_size=4), max_leaves=12))  # fmt: skip
def test_fuzzed_json_never_raises_outside_inference_error(value: Any) -> None:
    raw = msgspec.json.encode(value)
    decoder = StreamDecoder(1)
    decoder.feed(b"data: " + raw + b"\n\n")
    assert decoder.error is None or isinstance(decoder.error, InferenceError)
    for status in (400, 401, 429, 500):
        assert isinstance(from_answer(status, {}, raw), InferenceError)


def test_finish_is_taken_once_and_unknown_ones_are_stop() -> None:
    def event(finish: str) -> bytes:
        choice = {"index": 0, "delta": {}, "finish_reason": finish}
        return b"data: " + msgspec.json.encode({"choices": [choice]}) + b"\n\n"

    decoder = StreamDecoder(1)
    burst = decoder.feed(event("tool_calls") + event("stop"))
    assert [c.finish for c in burst if c.finish] == ["tool_calls"]
    assert StreamDecoder(1).feed(event("eos"))[0].finish == "stop"
    assert StreamDecoder(1).feed(event("function_call"))[0].finish == "tool_calls"


def test_usage_details_reasoning_and_refusal() -> None:
    answer = (
        b'{"choices":[{"index":0,"finish_reason":"stop","message":{"content":null,'
        b'"refusal":"no","reasoning_content":"hm"}}],"usage":{"prompt_tokens":9,'
        b'"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":4},'
        b'"completion_tokens_details":{"reasoning_tokens":3}}}'
    )
    (text,) = decode_whole(answer, 1)
    assert (text.refusal, text.reasoning, text.text) == ("no", "hm", "")
    assert text.usage is not None
    assert (text.usage.cached, text.usage.reasoning) == (4, 3)


def body(message: str = "x", code: Any = None, kind: str = "t", param: Any = None) -> bytes:
    error = {"message": message, "type": kind, "code": code, "param": param}
    return msgspec.json.encode({"error": error})


VLLM = (
    "This model's maximum context length is 4096 tokens. However, you requested 5,000 tokens "
    "(4900 in the messages, 100 in the completion)."
)


@pytest.mark.parametrize(
    ("status", "raw", "kind"),
    [
        (400, body("bad", param="n"), BadRequest),
        (422, body(), BadRequest),
        (400, body(VLLM), ContextLengthExceeded),
        (400, body("y", "context_length_exceeded"), ContextLengthExceeded),
        (400, body("y", "content_filter"), ContentFiltered),
        (401, body(), UpstreamAuth),
        (403, body(), UpstreamAuth),
        (402, body(), QuotaExhausted),
        (404, body(), ModelNotFound),
        (408, body(), UpstreamTimeout),
        (409, body(), ServerError),
        (413, body(), PayloadTooLarge),
        (429, body(), RateLimited),
        (429, body("y", "insufficient_quota"), QuotaExhausted),
        (500, body(), ServerError),
        (503, b"<html>bad gateway</html>", UpstreamOverloaded),
        (504, b"", UpstreamTimeout),
        (529, body(kind="overloaded_error"), UpstreamOverloaded),
        (302, b"", ProtocolError),
        (418, b"tea", ProtocolError),
        (400, b'{"object":"error","message":"vllm says no","code":400}', BadRequest),
        (400, b'{"error":"ollama says no"}', BadRequest),
        (400, b'{"detail":[{"loc":["body"]}]}', BadRequest),
    ],
)
def test_error_table(status: int, raw: bytes, kind: type[InferenceError]) -> None:
    error = from_answer(status, {}, raw)
    assert type(error) is kind, error
    assert str(error)


def test_context_numbers_are_read() -> None:
    error = from_answer(400, {}, body(VLLM))
    assert isinstance(error, ContextLengthExceeded)
    assert (error.tokens, error.limit) == (5000, 4096)
    assert str(error) == VLLM


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"message": "x", "code": 429}, RateLimited),
        ({"message": "x", "type": "rate_limit_error"}, RateLimited),
        ({"message": "x", "type": "invalid_request_error"}, BadRequest),
        ({"message": "x", "type": "server_error"}, ServerError),
        ({"message": "x", "code": "context_length_exceeded"}, ContextLengthExceeded),
        ("boom", ServerError),
    ],
)
def test_error_events(error: Any, kind: type[InferenceError]) -> None:
    assert type(from_event(error)) is kind


def test_retry_after_forms() -> None:
    assert retry_after({b"retry-after": b"3"}) == 3
    assert retry_after({b"retry-after-ms": b"1500", b"retry-after": b"9"}) == 1.5
    assert retry_after({b"retry-after": b"Wed, 21 Oct 2015 07:28:00 GMT"}) == 0
    assert retry_after({b"retry-after": b"soon"}) is None
    assert retry_after({}) is None


def test_inf_SC_1_keys_are_taken_out_of_texts() -> None:
    assert "abc123" not in redact("Incorrect API key provided: sk-proj-abc123def.")
    assert len(redact("x" * 9000)) == 2048


def sent(request: Request, options: Options | None = None, *, openai: bool = False) -> Any:
    return msgspec.json.decode(encode_call(request, "up", options or Options(), openai=openai))


def test_encode() -> None:
    base = Request(
        id="1",
        model="m",
        messages=(Message(role="user", content="x"),),
        sampling=Sampling(max_tokens=5, logprobs=2, repetition_penalty=1.1),
        extra={"min_p": 0.1, "model": "other", "stream": False},
    )
    got = sent(base)
    assert got["model"] == "up" and got["stream"] is True, "extra never overrides"
    assert got["min_p"] == 0.1 and got["repetition_penalty"] == 1.1
    assert got["max_tokens"] == 5 and got["logprobs"] is True and got["top_logprobs"] == 2
    assert got["stream_options"] == {"include_usage": True}
    assert sent(base, openai=True)["max_completion_tokens"] == 5
    assert "stream_options" not in sent(base, Options(include_usage=False))
    plain = msgspec.structs.replace(base, messages=(), prompt="p", stream=False)
    got = sent(plain)
    assert got["prompt"] == "p" and got["logprobs"] == 2 and "messages" not in got


def test_the_beginning_of_an_answer_is_told_as_the_server_wants_it() -> None:
    messages = (Message(role="user", content="q"), Message(role="assistant", content="I am"))
    begun = Request(id="1", model="m", messages=messages, prefill=True)
    got = sent(begun, Options(prefill="continue_final_message"))
    assert got["continue_final_message"] is True and got["add_generation_prompt"] is False
    assert got["messages"][-1] == {"role": "assistant", "content": "I am"}
    got = sent(begun, Options(prefill="prefix"))
    assert got["messages"][-1] == {"role": "assistant", "content": "I am", "prefix": True}
    assert "continue_final_message" not in got


def test_what_a_provider_wants_back_with_a_call_goes_to_every_server_but_openai() -> None:
    raw = b"""{"role":"assistant","tool_calls":[{"id":"c","type":"function",
        "function":{"name":"f","arguments":"{}"},"extra_content":{"google":{"x":"s"}}}]}"""
    request = Request(id="1", model="m", messages=(msgspec.json.decode(raw, type=Message),))
    got = sent(request)["messages"][0]["tool_calls"][0]
    assert got["extra_content"] == {"google": {"x": "s"}}
    assert "extra_content" not in sent(request, openai=True)["messages"][0]["tool_calls"][0]
    answer = {"index": 0, "finish_reason": "tool_calls", "message": {"tool_calls": [got]}}
    burst = decode_whole(msgspec.json.encode({"choices": [answer]}), 1)
    assert burst[0].tool is not None and burst[0].tool.extra_content == {"google": {"x": "s"}}


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        ({"insecur": True}, "did you mean 'insecure'"),
        ({"xyz": 1}, "known are api, insecure"),
        ({"insecure": 1}, "Expected `bool`"),
        ({"headers": {"Authorization": "x"}}, "credentials"),
        ({"headers": {"X Y": "x"}}, "cannot be set"),
        ({"headers": {"X-Y": "a\r\nb"}}, "printable ASCII"),
    ],
)
def test_options(raw: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        read_options("d", raw)


def test_marks_of_other_wires_go_only_to_servers_that_know_them() -> None:
    mark = {"type": "ephemeral"}
    asked = Request(
        id="1",
        model="m",
        messages=(
            Message(role="user", content=(TextPart("x", mark), TextPart("y"))),
            Message(role="assistant", content="z", thinking_blocks=({"type": "thinking"},)),
        ),
        tools=({"type": "function", "function": {"name": "f"}, "cache_control": mark},),
    )
    for got in (sent(asked), sent(asked, Options(marks=True), openai=True)):
        user, assistant = got["messages"]
        assert user["content"] == [{"type": "text", "text": t} for t in "xy"]
        assert assistant == {"role": "assistant", "content": "z"}
        assert got["tools"] == [{"type": "function", "function": {"name": "f"}}]
    got = sent(asked, Options(marks=True))
    assert got["messages"][0]["content"][0]["cache_control"] == mark
    assert got["messages"][1]["thinking_blocks"] == [{"type": "thinking"}]
    assert got["tools"][0]["cache_control"] == mark
