"""Answers of Gemini's wire: documented transcripts, any split of them, and what is no answer.

The transcripts follow the documented examples of https://ai.google.dev/gemini-api/docs
(text-generation, thinking, function-calling, thought-signatures, safety-settings) and
https://ai.google.dev/api/generate-content.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actinium.errors import (
    BadRequest,
    ContentFiltered,
    InferenceError,
    ProtocolError,
    RateLimited,
    ServerError,
    Unsupported,
)
from actinium.inference.chunk import Burst, Chunk, ToolDelta, Usage
from actinium.inference.runners.gemini.decode import StreamDecoder, decode_whole
from actinium.testkit.gemini import GeminiProvider

encode = msgspec.json.encode


def content(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"parts": list(parts), "role": "model"}


def usage(prompt: int, candidates: int, **more: int) -> dict[str, Any]:
    total = prompt + candidates + more.get("thoughtsTokenCount", 0)
    return {"promptTokenCount": prompt, "candidatesTokenCount": candidates,
            "totalTokenCount": total, **more}  # fmt: skip


FRAME = {"modelVersion": "gemini-2.5-flash", "responseId": "mAitaLmkHPPlz7IPvtfUqQ4"}
RATINGS = [{"category": "HARM_CATEGORY_HARASSMENT", "probability": "NEGLIGIBLE"}]

STORY: list[dict[str, Any]] = [
    {
        "candidates": [{"content": content({"text": "AI "}), "index": 0}],
        "usageMetadata": usage(8, 1),
        **FRAME,
    },
    {
        "candidates": [{"content": content({"text": "learns."}), "index": 0}],
        "usageMetadata": usage(8, 2),
        **FRAME,
    },
    {
        "candidates": [
            {
                "content": content({"text": ""}),
                "finishReason": "STOP",
                "index": 0,
                "safetyRatings": RATINGS,
            }
        ],
        "usageMetadata": usage(8, 3, thoughtsTokenCount=11, cachedContentTokenCount=4),
        **FRAME,
    },
]
STORY_USAGE = Usage(input=8, output=14, cached=4, reasoning=11)

SIGNED: list[dict[str, Any]] = [
    {
        "candidates": [{"content": content({"text": "**Planning**", "thought": True}), "index": 0}],
        "usageMetadata": usage(75, 0, thoughtsTokenCount=40),
        **FRAME,
    },
    {
        "candidates": [
            {
                "content": content(
                    {
                        "functionCall": {
                            "name": "get_weather",
                            "args": {"location": "Paris", "days": 1.50},
                            "id": "abc",
                        },
                        "thoughtSignature": "CkQBdGhvdWdodA==",
                    },
                    {"functionCall": {"name": "get_weather", "args": {"location": "London"}}},
                ),
                "index": 0,
            }
        ],
        "usageMetadata": usage(75, 36, thoughtsTokenCount=40),
        **FRAME,
    },
    {
        "candidates": [{"content": content({"text": ""}), "finishReason": "STOP", "index": 0}],
        "usageMetadata": usage(75, 36, thoughtsTokenCount=40),
        **FRAME,
    },
]


def wire(events: list[dict[str, Any]]) -> bytes:
    """As the server writes it: CRLF and all."""
    return b"".join(b"data: " + encode(event) + b"\r\n\r\n" for event in events)


def numbered() -> Any:
    """Ids of calls that count."""
    made = iter(range(1000))
    return lambda: f"call_{next(made)}"


def decoded(pieces: list[bytes], n: int = 1) -> Burst:
    decoder = StreamDecoder(n, numbered())
    burst = [chunk for piece in pieces for chunk in decoder.feed(piece)]
    if decoder.error is not None:
        raise decoder.error
    decoder.end()
    assert decoder.done
    return burst


def test_a_documented_stream() -> None:
    assert decoded([wire(STORY)]) == [
        Chunk(0, "AI "),
        Chunk(0, "learns."),
        Chunk(0, "", "stop"),
        Chunk(usage=STORY_USAGE),
    ]


def test_thoughts_calls_ids_and_signatures() -> None:
    signature = {"google": {"thought_signature": "CkQBdGhvdWdodA=="}}
    first = '{"location":"Paris","days":1.5}'
    assert decoded([wire(SIGNED)]) == [
        Chunk(0, reasoning="**Planning**"),
        Chunk(0, tool=ToolDelta(0, "abc", "get_weather", first, signature)),
        Chunk(0, tool=ToolDelta(1, "call_0", "get_weather", '{"location":"London"}')),
        Chunk(0, "", "tool_calls"),
        Chunk(usage=Usage(input=75, output=76, reasoning=40)),
    ]


@pytest.mark.parametrize("events", [STORY, SIGNED])
@given(cuts=st.lists(st.integers(0, 1500), max_size=8))
@settings(max_examples=60)
def test_inf_WM_1_any_split_gives_the_same_chunks(
    events: list[dict[str, Any]], cuts: list[int]
) -> None:
    stream = wire(events)
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    pieces = [stream[a:b] for a, b in pairwise(places)]
    assert decoded(pieces) == decoded([stream]), "WM-1"


def summary(burst: Burst) -> Any:
    per: dict[int, list[Any]] = {}
    for c in burst:
        if c.usage is not None and c.finish is None:
            continue
        mine = per.setdefault(c.index, ["", "", "", (), None])
        mine[0] += c.text
        mine[1] += c.reasoning
        mine[2] += c.tool.arguments if c.tool else ""
        mine[3] += c.logprobs
        mine[4] = c.finish or mine[4]
    return per, burst[-1].usage


TOOLS = [{"functionDeclarations": [{"name": "weather"}]}]


@pytest.mark.parametrize(
    "extra",
    [
        {},
        {"generationConfig": {"candidateCount": 3}},
        {"generationConfig": {"responseLogprobs": True, "logprobs": 2}},
        {"generationConfig": {"maxOutputTokens": 2}},
        {"tools": TOOLS},
    ],
)
def test_inf_RQ_6_whole_equals_stream(extra: dict[str, Any]) -> None:
    body = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}], "generationConfig": {}}
    body |= extra
    provider = GeminiProvider(words=("Grüße", " aus", " 東京", " \U0001f600", "!"))
    n = body["generationConfig"].get("candidateCount", 1)  # type: ignore[attr-defined]
    events = provider._events(body, usage=True)
    stream = decoded([b"".join(b"data: " + event + b"\n\n" for event in events)], n)
    whole = decode_whole(provider._whole(body, usage=True), n)
    assert summary(stream) == summary(whole), "RQ-6"


def test_a_stream_that_came_as_an_array_is_read() -> None:
    assert summary(decode_whole(b" " + encode(STORY), 1)) == summary(decoded([wire(STORY)]))
    with pytest.raises(RateLimited):
        decode_whole(encode([{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED"}}]), 1)


def ending(reason: str, **more: Any) -> bytes:
    return encode({"candidates": [{"index": 0, "finishReason": reason} | more]})


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("BLOCKLIST", "content_filter"),
        ("PROHIBITED_CONTENT", "content_filter"),
        ("SPII", "content_filter"),
        ("MODEL_ARMOR", "content_filter"),
        ("IMAGE_SAFETY", "content_filter"),
        ("OTHER", "stop"),
        ("LANGUAGE", "stop"),
        ("SOMETHING_NEW", "stop"),
    ],
)
def test_finish_table(reason: str, finish: str) -> None:
    assert [c.finish for c in decode_whole(ending(reason), 1)] == [finish]


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("MALFORMED_FUNCTION_CALL", ProtocolError),
        ("UNEXPECTED_TOOL_CALL", ProtocolError),
        ("MALFORMED_RESPONSE", ProtocolError),
        ("MISSING_THOUGHT_SIGNATURE", BadRequest),
    ],
)
def test_finishes_that_are_failures(reason: str, kind: type[InferenceError]) -> None:
    with pytest.raises(kind, match="print\\(get_weather"):
        decode_whole(ending(reason, finishMessage="print(get_weather())"), 1)


def test_a_blocked_prompt_is_refused() -> None:
    body = encode({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": usage(4, 0)})
    with pytest.raises(ContentFiltered, match="SAFETY"):
        decode_whole(body, 1)
    decoder = StreamDecoder(1)
    assert decoder.feed(b"data: " + body + b"\n\n") == []
    assert isinstance(decoder.error, ContentFiltered)


def test_inf_RQ_5_what_is_no_whole_answer() -> None:
    for body in (
        b"{}",
        b'{"candidates":[{"content":{"parts":[{"text":"x"}]}}]}',
        b'{"candidates":[{"content":{"parts":[{"functionCall":{}}]},"finishReason":"STOP"}]}',
        b'{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":[]}}]}}]}',
        b'{"candidates":[{"finishReason":"STOP"}],"usageMetadata":[]}',
        b'{"candidates": [',
        b"",
    ):
        with pytest.raises(ProtocolError):
            decode_whole(body, 1)
    with pytest.raises(ProtocolError, match="choice 1"):
        decode_whole(ending("STOP"), 2)
    for event in (
        ending("STOP", index=1),
        encode({"candidates": [STORY[0]["candidates"][0] | {"index": -1}]}),
    ):
        with pytest.raises(ProtocolError, match="1 were asked for"):
            decode_whole(event, 1)


def test_inf_RQ_5_a_stream_without_its_finish_is_no_answer() -> None:
    decoder = StreamDecoder(1)
    assert decoder.feed(wire(STORY[:2])) == [Chunk(0, "AI "), Chunk(0, "learns.")]
    assert not decoder.done and decoder.error is None
    with pytest.raises(ProtocolError, match="without a finish"):
        decoder.end()


def test_inf_RQ_1_nothing_is_said_after_the_finish() -> None:
    decoder = StreamDecoder(1)
    decoder.feed(b"data: " + ending("STOP") + b"\n\n" + wire(STORY[:1]))
    assert isinstance(decoder.error, ProtocolError)
    again = StreamDecoder(1)
    burst = again.feed(2 * (b"data: " + ending("MAX_TOKENS") + b"\n\n"))
    assert [c.finish for c in burst] == ["length"] and again.error is None


def test_an_error_in_mid_stream_keeps_what_came_before() -> None:
    decoder = StreamDecoder(1)
    error = {"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}}
    assert decoder.feed(wire([STORY[0], error, STORY[1]])) == [Chunk(0, "AI ")]
    assert isinstance(decoder.error, ServerError) and decoder.error.status == 503


@pytest.mark.parametrize(
    "part",
    [
        {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
        {"fileData": {"fileUri": "gs://x"}},
        {"executableCode": {"language": "PYTHON", "code": "1"}},
        {"codeExecutionResult": {"outcome": "OUTCOME_OK"}},
    ],
)
def test_inf_RQ_7_an_answer_that_chats_cannot_carry_is_refused(part: dict[str, Any]) -> None:
    with pytest.raises(Unsupported, match="cannot carry"):
        decode_whole(ending("STOP", content=content(part)), 1)


def test_unknown_fields_and_kinds_are_skipped() -> None:
    body = ending(
        "STOP",
        content=content({"text": "a", "newField": 1}, {"newKind": {}}),
        groundingMetadata={"webSearchQueries": ["x"]},
        avgLogprobs=-0.1,
    )
    assert summary(decode_whole(body, 1))[0][0][0] == "a"


def test_logprobs_come_with_their_text() -> None:
    found = {
        "chosenCandidates": [{"token": "Hi", "tokenId": 3, "logProbability": -0.25}],
        "topCandidates": [{"candidates": [{"token": "Hi", "logProbability": -0.25},
                                          {"token": "Yo", "logProbability": -2.5}]}],
    }  # fmt: skip
    first, _ = decode_whole(
        ending("STOP", content=content({"text": "Hi"}), logprobsResult=found), 1
    )
    (token,) = first.logprobs
    assert (token.token, token.logprob) == ("Hi", -0.25)
    assert token.top == (("Hi", -0.25), ("Yo", -2.5))


@given(st.binary(max_size=300))
def test_fuzzed_streams_never_raise_outside_protocol_error(noise: bytes) -> None:
    decoder = StreamDecoder(1)
    decoder.feed(b"data: " + noise + b"\n\n")
    decoder.feed(noise)
    assert decoder.error is None or isinstance(decoder.error, InferenceError)
    with pytest.raises(ProtocolError):
        decode_whole(noise, 1)


KEYS = ["candidates", "content", "parts", "text", "functionCall", "name", "args", "error", "index",
        "usageMetadata", "promptFeedback", "blockReason", "finishReason", "code", "status",
        "details", "message", "promptTokenCount", "logprobsResult", "chosenCandidates"]  # fmt: skip


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5),
                    lambda v: st.lists(v, max_size=3)
                    | st.dictionaries(st.sampled_from(KEYS), v, max_size=4),
                    max_leaves=14))  # fmt: skip
def test_fuzzed_json_never_raises_outside_inference_error(value: Any) -> None:
    raw = encode(value)
    decoder = StreamDecoder(1)
    decoder.feed(b"data: " + raw + b"\n\n")
    assert decoder.error is None or isinstance(decoder.error, InferenceError)
    with suppress(InferenceError):
        decode_whole(raw, 1)
