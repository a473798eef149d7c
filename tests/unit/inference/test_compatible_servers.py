"""Servers of OpenAI's wire as they are: their transcripts, read by us and the official client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import openai
import pytest
from compatible_transcripts import BAD, GOOD, Transcript
from hypothesis import given, settings
from hypothesis import strategies as st

from actinium.errors import InferenceError, ServerError
from actinium.inference import Deployment
from actinium.inference.chunk import Burst, Chunk, Usage
from actinium.inference.request import Message, Request
from actinium.inference.route import make_runner
from actinium.inference.runners.openai.decode import StreamDecoder

ASKED = Request(id="r", model="m", messages=(Message(role="user", content="x" * 40),))
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"


@asynccontextmanager
async def server(body: bytes) -> AsyncIterator[str]:
    """Sends ``body`` to whoever asks; its base URL."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1])
            for line in head.lower().split(b"\r\n")
            if line.startswith(b"content-length")
        )
        await reader.readexactly(length)
        writer.write(HEAD + body)
        await writer.drain()
        writer.close()

    listening = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with listening:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"


def decoded(pieces: list[bytes]) -> Burst:
    decoder = StreamDecoder(1)
    burst: Burst = []
    for piece in pieces:
        burst += decoder.feed(piece)
        if decoder.error is not None:
            raise decoder.error
    if not decoder.done:
        burst += decoder.end()
    return burst


def said(burst: list[Chunk]) -> tuple[Any, ...]:
    """Text, reasoning, finish, and the calls with their pieces joined."""
    calls: dict[int, list[str]] = {}
    for chunk in burst:
        if chunk.tool is not None:
            call = calls.setdefault(chunk.tool.index, ["", "", ""])
            call[0] = chunk.tool.id or call[0]
            call[1] = chunk.tool.name or call[1]
            call[2] += chunk.tool.arguments
    return (
        "".join(c.text for c in burst),
        "".join(c.reasoning for c in burst),
        [c.finish for c in burst if c.finish],
        tuple(tuple(calls[i]) for i in sorted(calls)),
    )


def by_name(transcript: Transcript) -> str:
    return transcript.name


@pytest.mark.parametrize("transcript", GOOD, ids=by_name)
def test_a_transcript_says_what_it_says(transcript: Transcript) -> None:
    async def main() -> list[Chunk]:
        async with server(transcript.body) as url:
            runner = make_runner(Deployment(name="d", model="m", base_url=url), {})
            chunks = [c async for burst in runner.generate(ASKED) for c in burst]
            await runner.close()
            return chunks

    chunks = asyncio.run(main())
    t = transcript
    assert said(chunks) == (t.text, t.reasoning, [t.finish], t.calls)
    usage = [c.usage for c in chunks if c.usage is not None][-1]
    if t.usage is not None:
        assert (usage.input, usage.output, usage.source) == (*t.usage, "wire")
    else:
        assert usage.source == "estimated" and usage.input == 15 and usage.output >= 1


@pytest.mark.parametrize("transcript", GOOD, ids=by_name)
@given(cuts=st.lists(st.integers(0, 2500), max_size=6))
@settings(max_examples=15)
def test_inf_WM_1_any_split_gives_the_same_chunks(transcript: Transcript, cuts: list[int]) -> None:
    body = transcript.body
    places = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    assert said(decoded([body[a:b] for a, b in pairwise(places)])) == said(decoded([body])), "WM-1"


_OFFICIAL = [t for t in GOOD if "[DONE]" not in t.name and "one index" not in t.name]


@pytest.mark.parametrize("transcript", _OFFICIAL, ids=by_name)
def test_the_official_client_reads_the_same(transcript: Transcript) -> None:
    """What it makes of the same bytes, where these are of its own wire."""

    async def main() -> tuple[str, str | None]:
        async with (
            server(transcript.body) as url,
            openai.AsyncOpenAI(base_url=url, api_key="x", max_retries=0) as client,
        ):
            text, finish = "", None
            stream = await client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": "x"}], stream=True
            )
            async for event in stream:
                for choice in event.choices:
                    if isinstance(choice.delta.content, str):
                        text += choice.delta.content
                    finish = choice.finish_reason or finish
            return text, finish

    text, finish = asyncio.run(main())
    if "mistral" not in transcript.name:  # whose parts and reason the client does not know
        assert (text, finish) == (transcript.text, transcript.finish)


@pytest.mark.parametrize(("name", "body", "says"), BAD, ids=[bad[0] for bad in BAD])
def test_inf_RQ_5_a_failure_within_a_stream_is_an_error(name: str, body: bytes, says: str) -> None:
    async def main() -> str:
        text = ""
        async with server(body) as url:
            runner = make_runner(Deployment(name="d", model="m", base_url=url), {})
            try:
                with pytest.raises(InferenceError, match=says) as caught:
                    async for burst in runner.generate(ASKED):
                        for chunk in burst:
                            assert chunk.finish is None
                            text += chunk.text
                assert caught.value.retryable
                if "finish" not in says:
                    assert isinstance(caught.value, ServerError)
            finally:
                await runner.close()
        return text

    assert asyncio.run(main()) == "Hel"


def test_a_server_that_is_no_openai_gets_what_it_knows() -> None:
    from actinium.inference.runners.openai.encode import encode_call
    from actinium.inference.runners.openai.options import Options

    request = Request(
        id="r", model="m", messages=(Message(role="developer", content="x"),), stream=True
    )
    plain = encode_call(request, "m", Options(), openai=False)
    assert b'"role":"system"' in plain and b"include_usage" in plain
    kept = encode_call(request, "m", Options(developer=True), openai=False)
    assert b'"role":"developer"' in kept
    assert b'"role":"developer"' in encode_call(request, "m", Options(), openai=True)
    without = encode_call(request, "m", Options(include_usage=False), openai=False)
    assert b"stream_options" not in without


def test_missing_usage_is_estimated_and_marked() -> None:
    from actinium.inference.runners.openai.decode import decode_whole
    from actinium.serve.openai.shapes import encode, usage_of

    body = (
        b'{"choices":[{"index":0,"finish_reason":"stop","message":{"content":"four words of it"}}]}'
    )
    burst = decode_whole(body, 1, lambda: 9)
    assert burst[-1].usage == Usage(input=9, output=4, source="estimated")
    assert b'"estimated":true' in encode(usage_of(Usage(source="estimated")))
    assert b"estimated" not in encode(usage_of(Usage()))
