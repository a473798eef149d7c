"""The Responses API upstream: its documented answers, read by us and by the official client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import msgspec
import openai
import pytest
import responses_transcripts as t
from hypothesis import given, settings
from hypothesis import strategies as st

from actinium.errors import (
    BadRequest,
    InferenceError,
    ProtocolError,
    RateLimited,
    ServerError,
    Unsupported,
)
from actinium.inference.chunk import Burst, Chunk, Detail, ToolDelta, Usage
from actinium.inference.request import ImagePart, Message, Request, Sampling, TextPart
from actinium.inference.runners.openai.responses.decode import ResponseDecoder, decode_response
from actinium.inference.runners.openai.responses.encode import encode_response

USED = Usage(input=37, output=11, cached=12, reasoning=4)
SIGNED = Detail(signature="rs_68af4030baa48193b0b43b4c2a176a1a gAAAAABovLO")
CALL = ToolDelta(0, "call_1234xyz", "get_weather")
GOOD: list[tuple[str, bytes, bytes, list[Chunk]]] = [
    ("text", t.TEXT, t.TEXT_WHOLE,
     [*(Chunk(0, delta) for delta in t.HI), Chunk(0, "", "stop", usage=USED)]),
    ("reasoning", t.REASONING, t.REASONING_WHOLE,
     [Chunk(reasoning="**Counting**"), Chunk(reasoning="\n\nThree r."), Chunk(0, detail=SIGNED),
      Chunk(0, "Three."), Chunk(0, "", "stop", usage=USED)]),
    ("limit", t.CUT, t.CUT_WHOLE, [Chunk(0, "Once"), Chunk(0, "", "length", usage=USED)]),
    ("refusal", t.REFUSAL, t.REFUSAL_WHOLE,
     [Chunk(refusal="I can't."), Chunk(0, "", "stop", usage=USED)]),
    ("call", t.CALL, t.CALL_WHOLE,
     [Chunk(0, tool=CALL),
      *(Chunk(0, tool=ToolDelta(0, arguments=d))
        for d in ('{"', "location", '":"', "Paris", ", France", '"}')),
      Chunk(0, "", "tool_calls", usage=USED)]),
]  # fmt: skip
IDS = [name for name, *_ in GOOD]


def decoded(*pieces: bytes) -> Burst:
    decoder = ResponseDecoder()
    burst = [chunk for piece in pieces for chunk in decoder.feed(piece)]
    if decoder.error is not None:
        raise decoder.error
    if not decoder.done:
        decoder.end()
    return burst


def joined(burst: Burst) -> Any:
    calls = [c.tool for c in burst if c.tool is not None]
    return (
        "".join(c.text for c in burst), "".join(c.reasoning for c in burst),
        "".join(c.refusal for c in burst), [c.detail for c in burst if c.detail],
        [c.id for c in calls if c.id], "".join(c.arguments for c in calls),
        burst[-1].finish, burst[-1].usage,
    )  # fmt: skip


@pytest.mark.parametrize(("name", "stream", "whole", "chunks"), GOOD, ids=IDS)
def test_documented_answers(name: str, stream: bytes, whole: bytes, chunks: list[Chunk]) -> None:
    assert decoded(stream) == chunks
    assert joined(decode_response(whole)) == joined(chunks), "RQ-6"


@pytest.mark.parametrize(("name", "stream", "whole", "chunks"), GOOD, ids=IDS)
@given(cuts=st.lists(st.integers(0, 6000), max_size=6))
@settings(max_examples=20)
def test_inf_WM_1_any_split_gives_the_same_chunks(
    name: str, stream: bytes, whole: bytes, chunks: list[Chunk], cuts: list[int]
) -> None:
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    assert decoded(*(stream[a:b] for a, b in pairwise(places))) == chunks, "WM-1"


@asynccontextmanager
async def client_of(body: bytes, kind: str) -> AsyncIterator[openai.AsyncOpenAI]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\nconnection: close\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        writer.close()

    listening = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with listening:
        url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
        async with openai.AsyncOpenAI(base_url=url, api_key="x", max_retries=0) as client:
            yield client


@pytest.mark.parametrize(("name", "stream", "whole", "chunks"), GOOD, ids=IDS)
def test_the_official_client_reads_the_same(
    name: str, stream: bytes, whole: bytes, chunks: list[Chunk]
) -> None:
    async def main() -> None:
        text, _, refusal, _, ids, arguments, finish, _ = joined(chunks)
        async with client_of(whole, "application/json") as client:
            got = await client.responses.create(model="m", input="x")
        async with client_of(stream, "text/event-stream") as client:
            asked = await client.responses.create(model="m", input="x", stream=True)
            events = [event async for event in asked]
        last: Any = events[-1]
        for read in (got, last.response):
            assert read.output_text == text
            assert read.status == ("incomplete" if finish == "length" else "completed")
            calls = [item for item in read.output if item.type == "function_call"]
            assert [call.call_id for call in calls] == ids
            assert "".join(call.arguments for call in calls) == arguments
            assert read.usage.output_tokens == 11
            said = [p for i in read.output if i.type == "message" for p in i.content]
            assert "".join(p.refusal for p in said if p.type == "refusal") == refusal

    asyncio.run(main())


@pytest.mark.parametrize(
    ("body", "kind", "says"),
    [
        (t.FAILED, ServerError, "failed to generate"),
        (t.ERROR, RateLimited, "Slow down"),
        (t.TEXT[: t.TEXT.index(b"event: response.completed")], ProtocolError, "without the end"),
        (b"data: {\n\n", ProtocolError, "not its wire"),
        (t.stream({"type": "response.function_call_arguments.delta", "delta": "{"}), ProtocolError,
         "no open call"),
    ],
)  # fmt: skip
def test_inf_RQ_5_what_breaks_off_is_an_error(
    body: bytes, kind: type[InferenceError], says: str
) -> None:
    with pytest.raises(kind, match=says):
        decoded(body)


_ERROR = {"code": "server_error", "message": "x"}


@pytest.mark.parametrize(
    "body",
    [
        msgspec.json.encode(t.response(status="failed", error=_ERROR)),
        msgspec.json.encode(t.response(status="in_progress")),
        b"{}",
        b"<html>",
    ],
)
def test_inf_RQ_5_a_whole_answer_that_is_none(body: bytes) -> None:
    with pytest.raises(InferenceError):
        decode_response(body)


@given(st.binary(max_size=200))
def test_fuzzed_bytes_never_raise_outside_inference_error(noise: bytes) -> None:
    decoder = ResponseDecoder()
    decoder.feed(b"data: " + noise + b"\n\n")
    assert decoder.error is None or isinstance(decoder.error, InferenceError)
    with pytest.raises(InferenceError):
        decode_response(noise)


def test_what_is_sent() -> None:
    blocks = (
        {"type": "thinking", "thinking": "Hm.", "signature": "rs_1 abc"},
        {"type": "thinking", "thinking": "other", "signature": "of-another-provider"},
    )
    request = Request(
        id="r", model="m",
        messages=(
            Message(role="system", content="S"),
            Message(role="user", content=(TextPart("x"), ImagePart({"url": "https://h/i"}))),
            Message(role="assistant", content="A", thinking_blocks=blocks),
        ),
    )  # fmt: skip
    body = msgspec.json.decode(encode_response(request, "gpt-5"))
    assert body["store"] is False and body["stream"] is True and body["model"] == "gpt-5"
    assert body["input"] == [
        {"role": "system", "content": "S"},
        {"role": "user", "content": [
            {"type": "input_text", "text": "x"},
            {"type": "input_image", "image_url": "https://h/i", "detail": "auto"}]},
        {"type": "reasoning", "id": "rs_1", "encrypted_content": "abc",
         "summary": [{"type": "summary_text", "text": "Hm."}]},
        {"role": "assistant", "content": "A"},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 2}, "n"),
        ({"sampling": Sampling(stop=("x",))}, "stop"),
        ({"sampling": Sampling(seed=1)}, "seed"),
        ({"sampling": Sampling(top_k=1)}, "top_k"),
        ({"sampling": Sampling(logit_bias={"1": 1.0})}, "logit_bias"),
        ({"sampling": Sampling(repetition_penalty=1.1)}, "repetition_penalty"),
        ({"tools": ({"type": "web_search"},)}, "tools[0].type"),
    ],
)
def test_inf_RQ_7_what_it_lacks_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    asked = Request(**{"id": "r", "model": "m", "messages": (Message(role="user"),), **fields})
    with pytest.raises(Unsupported) as caught:
        encode_response(asked, "m")
    assert caught.value.param == param


@pytest.mark.parametrize("tool", [5, {}, {"function": 5}, {"function": {"name": 5}}])
def test_allowed_tools_that_are_none_are_the_clients_fault(tool: Any) -> None:
    choice = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [tool]}}
    asked = Request(
        id="1", model="m", messages=(Message(role="user", content="x"),), tool_choice=choice
    )
    with pytest.raises(BadRequest, match="allowed_tools"):
        encode_response(asked, "m")
