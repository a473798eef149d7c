"""Decoding and the error table of Anthropic's wire, without I/O."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from anthropic_transcripts import ALL, BASIC, OVERLOADED, SEARCH, THINKING, TOOLS, stream
from hypothesis import given, settings
from hypothesis import strategies as st

from actinium.errors import (
    BadRequest,
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
from actinium.inference.chunk import Burst, Chunk, Detail, ToolDelta, Usage
from actinium.inference.runners.anthropic.decode import StreamDecoder, decode_whole
from actinium.inference.runners.anthropic.errors import from_answer, from_event, retry_after


def decoded(*pieces: bytes) -> Burst:
    decoder = StreamDecoder()
    burst = [chunk for piece in pieces for chunk in decoder.feed(piece)]
    assert decoder.error is None and decoder.done
    return burst


def test_documented_text() -> None:
    assert decoded(BASIC) == [
        Chunk(0, "Hello", usage=Usage(input=25, output=1, source="estimated")),
        Chunk(0, "!"),
        Chunk(0, finish="stop", usage=Usage(input=25, output=15)),
    ]


def test_documented_tool_use() -> None:
    assert decoded(TOOLS) == [
        Chunk(
            0,
            "Okay, let's check the weather:",
            usage=Usage(input=472, output=2, source="estimated"),
        ),
        Chunk(0, tool=ToolDelta(0, "toolu_01T1x1fJ34qAmk2tNTrN7Up6", "get_weather")),
        Chunk(0, tool=ToolDelta(0, arguments='{"location":')),
        Chunk(0, tool=ToolDelta(0, arguments=' "San Francisco, CA"}')),
        Chunk(0, finish="tool_calls", usage=Usage(input=472, output=89)),
    ]


def test_documented_thinking_and_usage_of_caches() -> None:
    usage = Usage(input=151, output=60, cached=100, reasoning=48, cache_write=10)
    early = Usage(input=150, output=3, cached=100, cache_write=10, source="estimated")
    assert decoded(THINKING) == [
        Chunk(0, usage=early, reasoning="Let me solve this"),
        Chunk(0, reasoning=" step by step:"),
        Chunk(0, detail=Detail(signature="EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxBdjrkzLoky3dl1pkiMOYds")),
        Chunk(0, detail=Detail(redacted="EmwKAhgBEgy3va3pzix")),
        Chunk(0, "27 * 453 = 12,231"),
        Chunk(0, finish="stop", usage=usage, detail=Detail(stop="END")),
    ]


def test_blocks_of_no_kind_of_ours_come_whole() -> None:
    use, result, text, citation, end = decoded(SEARCH)
    assert use.detail is not None and use.detail.block is not None
    assert use.detail.block["input"] == {"query": "weather NYC"}
    assert result.detail is not None and result.detail.block is not None
    assert result.detail.block["type"] == "web_search_tool_result"
    assert text.text == "Sunny."
    assert citation.detail is not None and citation.detail.citation is not None
    assert (end.finish, end.detail) == ("stop", Detail(reason="pause_turn"))


@pytest.mark.parametrize("transcript", ALL)
@given(cuts=st.lists(st.integers(0, 4000), max_size=8))
@settings(max_examples=30)
def test_inf_WM_1_any_split_gives_the_same_chunks(transcript: bytes, cuts: list[int]) -> None:
    places = [0, *sorted(min(cut, len(transcript)) for cut in cuts), len(transcript)]
    pieces = [transcript[a:b] for a, b in pairwise(places)]
    assert decoded(*pieces) == decoded(transcript), "WM-1"


def test_inf_WM_1_unknown_events_deltas_and_fields_are_skipped() -> None:
    decoder = StreamDecoder()
    strange = stream(
        {"type": "message_pondered", "depth": 7},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "smell_delta", "x": 1}},
        {"type": "message_start", "message": {"usage": {"input_tokens": 1, "new": {}}}},
    )
    assert decoder.feed(strange) == [] and decoder.error is None
    assert decoder.unknown == 1


def whole_of(blocks: list[dict[str, Any]], reason: str = "end_turn", **more: Any) -> bytes:
    usage = {"input_tokens": 3, "output_tokens": 2}
    return msgspec.json.encode(
        {"type": "message", "content": blocks, "stop_reason": reason, "usage": usage, **more}
    )


def test_a_whole_answer() -> None:
    blocks = [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "redacted_thinking", "data": "d"},
        {"type": "text", "text": "Hi", "citations": [{"type": "char_location"}]},
        {"type": "tool_use", "id": "t1", "name": "a", "input": {"x": 1}},
        {"type": "tool_use", "id": "t2", "name": "b", "input": {}},
        {"type": "server_tool_use", "id": "s1", "name": "c", "input": {"q": "?"}},
    ]
    assert decode_whole(whole_of(blocks, "tool_use")) == [
        Chunk(0, reasoning="hm"),
        Chunk(0, detail=Detail(signature="s")),
        Chunk(0, detail=Detail(redacted="d")),
        Chunk(0, "Hi"),
        Chunk(0, detail=Detail(citation={"type": "char_location"})),
        Chunk(0, tool=ToolDelta(0, "t1", "a", '{"x":1}')),
        Chunk(0, tool=ToolDelta(1, "t2", "b")),
        Chunk(0, tool=ToolDelta(1, arguments="{}")),
        Chunk(0, detail=Detail(block=blocks[5])),
        Chunk(0, finish="tool_calls", usage=Usage(input=3, output=2)),
    ]


@pytest.mark.parametrize(
    ("reason", "finish", "detail"),
    [
        ("end_turn", "stop", None),
        ("stop_sequence", "stop", None),
        ("max_tokens", "length", None),
        ("tool_use", "tool_calls", None),
        ("refusal", "content_filter", None),
        ("pause_turn", "stop", Detail(reason="pause_turn")),
        ("model_context_window_exceeded", "length", Detail(reason="model_context_window_exceeded")),
        ("bored", "stop", Detail(reason="bored")),
    ],
)
def test_finish(reason: str, finish: str, detail: Detail | None) -> None:
    (chunk,) = decode_whole(whole_of([], reason))
    assert (chunk.finish, chunk.detail) == (finish, detail)


def test_finish_is_taken_once_and_a_later_count_replaces_the_one_before() -> None:
    def end(reason: str, output: int) -> dict[str, Any]:
        delta = {"stop_reason": reason, "stop_sequence": None}
        return {"type": "message_delta", "delta": delta, "usage": {"output_tokens": output}}

    burst = decoded(stream(end("max_tokens", 4), end("end_turn", 5), {"type": "message_stop"}))
    assert [c.finish for c in burst if c.finish] == ["length"]
    assert [c.usage.output for c in burst if c.usage] == [4, 5]


@pytest.mark.parametrize("at", range(9))
def test_inf_RQ_5_a_stream_that_ends_before_its_finish_is_no_answer(at: int) -> None:
    events = BASIC.split(b"\n\n")[:-1]
    decoder = StreamDecoder()
    decoder.feed(b"\n\n".join(events[:at]) + b"\n\n")
    if at < 7:
        with pytest.raises(ProtocolError, match="without a stop_reason"):
            decoder.end()
    else:
        decoder.end()
        assert decoder.done, "a close after the finish is accepted"


def test_inf_RQ_5_message_stop_sets_no_finish() -> None:
    decoder = StreamDecoder()
    assert decoder.feed(stream({"type": "message_stop"})) == []
    assert isinstance(decoder.error, ProtocolError) and not decoder.done
    for raw in (whole_of([], None), b"{}", b"[]", b'{"content":[{}]}', b"\xff"):  # type: ignore[arg-type]
        with pytest.raises(ProtocolError):
            decode_whole(raw)


@pytest.mark.parametrize("at", range(8))
def test_an_error_event_at_any_place_ends_the_stream(at: int) -> None:
    events = BASIC.split(b"\n\n")[:-1]
    decoder = StreamDecoder()
    before = b"\n\n".join(events[:at]) + (b"\n\n" if at else b"")
    burst = decoder.feed(before + OVERLOADED + b"\n\n".join(events[at:]) + b"\n\n")
    assert type(decoder.error) is UpstreamOverloaded and "Overloaded" in str(decoder.error)
    assert "".join(c.text for c in burst) == ("" if at < 4 else "Hello" if at == 4 else "Hello!")
    assert not decoder.done


def test_arguments_without_a_call_and_wrong_fields_are_no_wire() -> None:
    delta = {"type": "input_json_delta", "partial_json": "{"}
    start = {"type": "content_block_start", "index": 0}
    for event in (
        {"type": "content_block_delta", "index": 3, "delta": delta},
        start | {"content_block": {"type": "text", "text": 5}},
        {"type": 7},
        {"type": "content_block_delta", "index": "x"},
    ):
        decoder = StreamDecoder()
        decoder.feed(stream(event))
        assert isinstance(decoder.error, ProtocolError), event


@given(st.binary(max_size=300))
def test_fuzzed_streams_never_raise_outside_protocol_error(noise: bytes) -> None:
    decoder = StreamDecoder()
    decoder.feed(b"data: " + noise + b"\n\n")
    decoder.feed(noise)
    assert decoder.error is None or isinstance(decoder.error, InferenceError)
    with pytest.raises(ProtocolError):
        decode_whole(noise)


_KEYS = st.sampled_from(
    ["type", "index", "delta", "content_block", "message", "usage", "error", "text", "citations",
     "input", "partial_json", "content", "stop_reason", "thinking", "name", "input_tokens"]
)  # fmt: skip
_KINDS = st.sampled_from(
    ["content_block_start", "content_block_delta", "content_block_stop", "message_start",
     "message_delta", "message_stop", "error", "text", "tool_use", "thinking", "input_json_delta",
     "x"]
)  # fmt: skip


@given(
    st.lists(
        st.recursive(
            st.none() | st.booleans() | st.integers() | _KINDS,
            lambda v: st.lists(v, max_size=3) | st.dictionaries(_KEYS, v, max_size=5),
            max_leaves=12,
        ),
        max_size=4,
    )
)
def test_fuzzed_json_never_raises_outside_inference_error(values: list[Any]) -> None:
    decoder = StreamDecoder()
    for value in values:
        raw = msgspec.json.encode(value)
        decoder.feed(b"data: " + raw + b"\n\n")
        assert decoder.error is None or isinstance(decoder.error, InferenceError)
        for status in (400, 401, 429, 500):
            assert isinstance(from_answer(status, {}, raw), InferenceError)
        with contextlib.suppress(InferenceError):
            decode_whole(raw)


def body(kind: str, message: str = "x") -> bytes:
    return msgspec.json.encode(
        {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}
    )


LONG = "prompt is too long: 210000 tokens > 200000 maximum"
MUCH = "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000, decrease"


@pytest.mark.parametrize(
    ("status", "raw", "kind"),
    [
        (400, body("invalid_request_error", "max_tokens: must be above 0"), BadRequest),
        (400, body("invalid_request_error", LONG), ContextLengthExceeded),
        (400, body("invalid_request_error", MUCH), ContextLengthExceeded),
        (400, body("invalid_request_error", "Output blocked by content filtering policy"),
         ContentFiltered),
        (400, body("invalid_request_error", "Your credit balance is too low"), QuotaExhausted),
        (401, body("authentication_error"), UpstreamAuth),
        (402, body("billing_error"), QuotaExhausted),
        (403, body("permission_error"), UpstreamAuth),
        (404, body("not_found_error"), ModelNotFound),
        (408, b"", UpstreamTimeout),
        (409, b"", ServerError),
        (413, body("request_too_large"), PayloadTooLarge),
        (429, body("rate_limit_error"), RateLimited),
        (500, body("api_error"), ServerError),
        (503, b"<html>bad gateway</html>", UpstreamOverloaded),
        (504, body("timeout_error"), UpstreamTimeout),
        (529, body("overloaded_error"), UpstreamOverloaded),
        (302, b"", ProtocolError),
        (418, b"tea", ProtocolError),
        (400, b'"text"', BadRequest),
        (400, b'{"error":"text"}', BadRequest),
    ],
)  # fmt: skip
def test_error_table(status: int, raw: bytes, kind: type[InferenceError]) -> None:
    error = from_answer(status, {}, raw)
    assert type(error) is kind, error
    assert str(error)


def test_what_errors_say() -> None:
    bad = from_answer(400, {}, body("invalid_request_error", "messages.0.content: empty"))
    assert isinstance(bad, BadRequest) and bad.param == "messages.0.content"
    for text, tokens in ((LONG, 210000), (MUCH, 210000)):
        error = from_answer(400, {}, body("invalid_request_error", text))
        assert isinstance(error, ContextLengthExceeded)
        assert (error.tokens, error.limit, str(error)) == (tokens, 200000, text)
    assert type(from_event({"type": "rate_limit_error", "message": "x"})) is RateLimited
    assert type(from_event({"type": "overloaded_error"})) is UpstreamOverloaded
    assert type(from_event("boom")) is ServerError


def test_retry_after_and_the_limits_windows() -> None:
    reset = (datetime.now(UTC) + timedelta(seconds=40)).strftime("%Y-%m-%dT%H:%M:%SZ").encode()
    windows = {
        b"anthropic-ratelimit-requests-remaining": b"12",
        b"anthropic-ratelimit-requests-reset": b"2999-01-01T00:00:00Z",
        b"anthropic-ratelimit-input-tokens-remaining": b"0",
        b"anthropic-ratelimit-input-tokens-reset": reset,
    }
    waited = retry_after(windows)
    assert waited is not None and 0 < waited <= 41
    assert retry_after({**windows, b"retry-after": b"3"}) == 3, "the plain header is the order"
    assert retry_after({}) is None
    broken = {**windows, b"anthropic-ratelimit-input-tokens-reset": b"soon"}
    assert retry_after(broken) is None
    for status in (429, 529):
        assert from_answer(status, {b"retry-after": b"3"}, b"").retry_after == 3
        assert from_answer(status, {}, b"").retry_after is None
