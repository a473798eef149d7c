"""The official ``google-genai`` package as the judge of Gemini's wire, both ways.

What our runner sends is what the package sends for the same wish, and is valid by its models;
what our server of that wire answers, the package reads as our runner does.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google import genai
from google.genai import errors as genai_errors
from google.genai import types
from google.oauth2.credentials import Credentials

from actinium.errors import InferenceError, NetworkError
from actinium.inference import Deployment, Inference
from actinium.inference.chunk import Burst
from actinium.inference.replica import collected
from actinium.inference.request import EmbedRequest, Message, Request, Sampling, ToolCall
from actinium.inference.request import FunctionCall as Function
from actinium.inference.route import make_runner
from actinium.inference.runners.gemini import GeminiRunner
from actinium.serve import Gateway
from actinium.testkit.gemini import GeminiProvider, error
from actinium.testkit.provider import Fault
from actinium.testkit.rawhttp import ask, chat, post

# The package's own way to make a client of aiohttp.
pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")

MODEL: Final = "gemini-2.5-flash"
USER: Final = (Message(role="user", content="hi there"),)
PNG: Final = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()
SCHEMA: Final[dict[str, Any]] = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOL: Final[dict[str, Any]] = {
    "type": "function",
    "function": {"name": "get_weather", "description": "Weather", "parameters": SCHEMA},
}
THEIR_TOOL: Final = types.Tool(
    function_declarations=[
        types.FunctionDeclaration(
            name="get_weather", description="Weather", parameters_json_schema=SCHEMA
        )
    ]
)

Body = Callable[[GeminiProvider, GeminiRunner, Any], Awaitable[None]]


def run(body: Body, *, vertex: bool = False, **fields: Any) -> None:
    """Gives ``body`` a server, our runner at it and the package's client at it."""

    async def main() -> None:
        async with GeminiProvider(words=("Grüße", " aus", " 東京", ".")) as provider:
            runner = make_runner(
                Deployment(
                    name="d",
                    model=MODEL,
                    runtime="vertex" if vertex else "gemini",
                    base_url=provider.base_url,
                    options={"project": "p", "location": "global"} if vertex else {},
                    **fields,
                ),
                {},
            )
            assert isinstance(runner, GeminiRunner)
            client = _client(provider, vertex)
            try:
                await body(provider, runner, client)
            finally:
                await runner.close()
                await client.aio.aclose()
                client.close()

    asyncio.run(main())


def _client(provider: GeminiProvider, vertex: bool) -> Any:
    if not vertex:
        options = types.HttpOptions(base_url=provider.base_url)
        return genai.Client(api_key="k", http_options=options)
    return genai.Client(
        vertexai=True,
        project="p",
        location="global",
        credentials=Credentials(token="t"),  # type: ignore[no-untyped-call]
        http_options=types.HttpOptions(base_url=provider.base_url, api_version="v1"),
    )


def text(burst: Burst) -> str:
    return "".join(chunk.text for chunk in burst)


def plain(value: Any) -> Any:
    """A body without what is empty, in one spelling: JSON of protobufs has two for each name."""
    if isinstance(value, dict):
        return {
            re.sub("_([a-z])", lambda found: found[1].upper(), k): plain(v)
            for k, v in value.items()
            if v not in ({}, [], None)
        }
    return [plain(v) for v in value] if isinstance(value, list) else value


def part(kind: str, value: Any) -> Any:
    return {"type": kind, kind: value}


def user(*parts: Any) -> Any:
    return msgspec.convert({"role": "user", "content": parts}, Message)


CALLS: Final = (
    *USER,
    Message(
        role="assistant",
        tool_calls=(
            ToolCall(
                id="a",
                function=Function("get_weather", '{"city":"Paris"}'),
                extra_content={"google": {"thought_signature": "c2lnbmVk"}},
            ),
            ToolCall(id="b", function=Function("get_weather", '{"city":"London"}')),
        ),
    ),
    Message(role="tool", tool_call_id="a", content='{"rain":true}'),
    Message(role="tool", tool_call_id="b", content="dry"),
)
THEIR_CALLS: Final = [
    types.Content(role="user", parts=[types.Part(text="hi there")]),
    types.Content(
        role="model",
        parts=[
            types.Part(
                function_call=types.FunctionCall(
                    id="a", name="get_weather", args={"city": "Paris"}
                ),
                thought_signature=b"signed",
            ),
            types.Part(
                function_call=types.FunctionCall(
                    id="b", name="get_weather", args={"city": "London"}
                )
            ),
        ],
    ),
    types.Content(
        role="user",
        parts=[
            types.Part(
                function_response=types.FunctionResponse(
                    id="a", name="get_weather", response={"rain": True}
                )
            ),
            types.Part(
                function_response=types.FunctionResponse(
                    id="b", name="get_weather", response={"result": "dry"}
                )
            ),
        ],
    ),
]


def wish(**fields: Any) -> Request:
    return Request(**{"id": "1", "model": "d", "messages": USER, **fields})


def config(**fields: Any) -> types.GenerateContentConfig:
    return types.GenerateContentConfig(
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True), **fields
    )


CASES: dict[str, tuple[Request, Any, types.GenerateContentConfig]] = {
    "plain": (wish(), "hi there", config()),
    "system": (
        wish(messages=(Message(role="system", content="Be brief."), *USER)),
        "hi there",
        config(
            system_instruction=types.Content(parts=[types.Part(text="Be brief.")])
        ),
    ),
    "sampling": (
        wish(
            sampling=Sampling(
                temperature=0.5, top_p=0.75, top_k=40, max_tokens=64, stop=("END",), seed=7,
                presence_penalty=0.25, frequency_penalty=-0.5, logprobs=3,
            ),
            n=2,
        ),
        "hi there",
        config(
            temperature=0.5, top_p=0.75, top_k=40, max_output_tokens=64, stop_sequences=["END"],
            seed=7, presence_penalty=0.25, frequency_penalty=-0.5, response_logprobs=True,
            logprobs=3, candidate_count=2,
        ),
    ),
    "image": (
        wish(
            messages=(
                user(
                    part("text", "What is this?"),
                    part("image_url", {"url": f"data:image/png;base64,{PNG}", "detail": "low"}),
                    part("image_url", {"url": "https://x.org/a.jpg"}),
                ),
            )
        ),
        [
            types.Part(text="What is this?"),
            types.Part.from_bytes(data=base64.b64decode(PNG), mime_type="image/png"),
            types.Part.from_uri(file_uri="https://x.org/a.jpg", mime_type="image/jpeg"),
        ],
        config(media_resolution=types.MediaResolution.MEDIA_RESOLUTION_LOW),
    ),
    "tools": (
        wish(messages=CALLS, tools=(TOOL,), tool_choice="required"),
        THEIR_CALLS,
        config(
            tools=[THEIR_TOOL],
            tool_config=types.ToolConfig(
                function_calling_config=types.FunctionCallingConfig(
                    mode=types.FunctionCallingConfigMode.ANY
                )
            ),
        ),
    ),
    "schema": (
        wish(
            response_format={
                "type": "json_schema",
                "json_schema": {"name": "x", "schema": SCHEMA},
            }
        ),
        "hi there",
        config(response_mime_type="application/json", response_json_schema=SCHEMA),
    ),
    "thinking": (
        wish(
            extra={
                "google": {
                    "thinking_config": {"thinking_budget": 1024, "include_thoughts": True},
                    "cached_content": "cachedContents/1",
                    "safety_settings": [
                        {
                            "category": "HARM_CATEGORY_HARASSMENT",
                            "threshold": "BLOCK_ONLY_HIGH",
                        }
                    ],
                }
            }
        ),
        "hi there",
        config(
            thinking_config=types.ThinkingConfig(thinking_budget=1024, include_thoughts=True),
            safety_settings=[
                types.SafetySetting(
                    category=types.HarmCategory.HARM_CATEGORY_HARASSMENT,
                    threshold=types.HarmBlockThreshold.BLOCK_ONLY_HIGH,
                )
            ],
        ),
    ),
}  # fmt: skip


@pytest.mark.parametrize("vertex", [False, True], ids=["studio", "vertex"])
@pytest.mark.parametrize("name", CASES)
def test_we_send_what_the_package_sends(name: str, vertex: bool) -> None:
    request, contents, wanted = CASES[name]
    if name == "thinking":
        there = "projects/p/locations/global/cachedContents/1" if vertex else "cachedContents/1"
        wanted = wanted.model_copy(update={"cached_content": there})
        google = {**request.extra["google"], "cached_content": there}
        request = Request(id="1", model="d", messages=USER, extra={"google": google})

    async def body(provider: GeminiProvider, runner: GeminiRunner, client: Any) -> None:
        await collected(runner.generate(request))
        await client.aio.models.generate_content(model=MODEL, contents=contents, config=wanted)
        ours, theirs = provider.seen
        assert ours.path.partition("?")[0].replace("streamG", "g") == theirs.path
        sent = plain(ours.body)
        assert sent == plain(theirs.body)
        valid(sent)

    run(body, vertex=vertex)


def valid(body: dict[str, Any]) -> None:
    """By the package's models, which refuse unknown fields."""
    for content in [*body["contents"], *([body.get("systemInstruction")] * 1)]:
        if content is not None:
            types.Content.model_validate(content)
    types.GenerationConfig.model_validate(body.get("generationConfig", {}))
    for tool in body.get("tools", []):
        types.Tool.model_validate(tool)
    for setting in body.get("safetySettings", []):
        types.SafetySetting.model_validate(setting)
    types.ToolConfig.model_validate(body.get("toolConfig", {}))


@pytest.mark.parametrize("vertex", [False, True], ids=["studio", "vertex"])
def test_the_package_reads_what_our_server_says(vertex: bool) -> None:
    async def body(provider: GeminiProvider, runner: GeminiRunner, client: Any) -> None:
        models = client.aio.models
        whole = await models.generate_content(model=MODEL, contents="hi", config=config())
        ours = await runner.complete(wish(messages=(Message(role="user", content="hi"),)))
        assert whole.text == text(ours) == "".join(provider.words)
        used = ours[-1].usage
        assert used is not None
        assert whole.usage_metadata.prompt_token_count == used.input
        assert whole.usage_metadata.candidates_token_count == used.output
        assert whole.candidates[0].finish_reason is types.FinishReason.STOP
        got = ""
        async for event in await models.generate_content_stream(model=MODEL, contents="hi"):
            got += event.text or ""
        assert got == whole.text

    run(body, vertex=vertex)


def test_calls_and_logprobs_are_read_alike() -> None:
    async def body(provider: GeminiProvider, runner: GeminiRunner, client: Any) -> None:
        provider.signature = "c2lnbmVk"
        theirs = await client.aio.models.generate_content(
            model=MODEL, contents="hi", config=config(tools=[THEIR_TOOL])
        )
        (call,) = theirs.function_calls
        ours = await collected(runner.generate(wish(tools=(TOOL,))))
        (tool,) = [c.tool for c in ours if c.tool is not None]
        assert (tool.name, tool.arguments) == (call.name, '{"city":"Paris"}')
        assert theirs.candidates[0].content.parts[0].thought_signature == b"signed"
        assert tool.extra_content == {"google": {"thought_signature": "c2lnbmVk"}}
        assert [c.finish for c in ours if c.finish] == ["tool_calls"]

        theirs = await client.aio.models.generate_content(
            model=MODEL, contents="hi", config=config(response_logprobs=True, logprobs=2)
        )
        found = theirs.candidates[0].logprobs_result
        ours = await runner.complete(wish(sampling=Sampling(logprobs=2)))
        tokens = [t for c in ours for t in c.logprobs]
        assert [(t.token, t.logprob) for t in tokens] == [
            (c.token, c.log_probability) for c in found.chosen_candidates
        ]
        assert [[a for a, _ in t.top] for t in tokens] == [
            [c.token for c in top.candidates] for top in found.top_candidates
        ]

    run(body)


@pytest.mark.parametrize("vertex", [False, True], ids=["studio", "vertex"])
def test_embeddings(vertex: bool) -> None:
    async def body(provider: GeminiProvider, runner: GeminiRunner, client: Any) -> None:
        ours = await runner.embed(EmbedRequest(id="e", model="d", inputs=("ab",), dimensions=3))
        own = provider.seen[-1]
        theirs = await client.aio.models.embed_content(
            model="text-embedding-005" if vertex else MODEL,
            contents=["ab"],
            config=types.EmbedContentConfig(output_dimensionality=3),
        )
        assert [list(v) for v in ours.vectors] == [e.values for e in theirs.embeddings]
        assert own.body.keys() == provider.seen[-1].body.keys()

    run(body, vertex=vertex)


def test_errors_of_our_server_are_the_packages_errors() -> None:
    async def body(provider: GeminiProvider, runner: GeminiRunner, client: Any) -> None:
        retry = {"@type": "RetryInfo", "retryDelay": "3s"}
        provider.faults += [Fault(status=429, body=error(429, "slow", retry))] * 2
        with pytest.raises(genai_errors.ClientError) as theirs:
            await client.aio.models.generate_content(model=MODEL, contents="hi")
        assert (theirs.value.code, theirs.value.status) == (429, "RESOURCE_EXHAUSTED")
        with pytest.raises(InferenceError) as ours:
            await runner.complete(wish())
        assert ours.value.http == 429 and ours.value.retry_after == 3

    run(body)


class TokenServer:
    """Answers every call with a new token of Google's OAuth form, and counts them."""

    def __init__(self) -> None:
        self.given = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.given += 1
        body = b'{"access_token":"adc-%d","expires_in":3600,"token_type":"Bearer"}' % self.given
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n"
        writer.write(head + b"content-length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()


def test_tokens_of_google_s_default_credentials(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
    path = tmp_path / "account.json"
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))

    async def main() -> None:
        tokens = TokenServer()
        server = await asyncio.start_server(tokens.serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        account = {
            "type": "service_account", "project_id": "p", "private_key_id": "1",
            "private_key": pem, "client_email": "a@p.iam.gserviceaccount.com", "client_id": "1",
            "token_uri": f"http://127.0.0.1:{port}/token",
        }  # fmt: skip
        path.write_text(json.dumps(account))
        async with GeminiProvider(key="adc-1") as provider:
            deployment = Deployment(
                name="d", model="vertex/gemini-2.5-flash", base_url=provider.base_url,
                credentials="adc", options={"project": "p"},
            )  # fmt: skip
            runner = make_runner(deployment, {})
            got = await asyncio.gather(*(collected(runner.generate(wish())) for _ in range(4)))
            assert all(map(text, got)) and tokens.given == 1
            provider.key = "adc-2"
            assert text(await collected(runner.generate(wish()))) and tokens.given == 2
            await runner.close()
            server.close()
            await server.wait_closed()
            other = make_runner(deployment, {})
            with pytest.raises(NetworkError, match="cannot be reached"):
                await collected(other.generate(wish()))
            path.unlink()
            with pytest.raises(InferenceError):
                await collected(make_runner(deployment, {}).generate(wish()))
            await other.close()

    asyncio.run(main())


def test_a_tool_s_signature_goes_through_the_gateway_and_back() -> None:
    async def main() -> None:
        async with GeminiProvider() as provider:
            provider.signature = "c2lnbmVk"
            deployment = Deployment(
                name="m", model="gemini/gemini-3-flash-preview", base_url=provider.base_url
            )
            inference = Inference([deployment])
            await inference.start()
            try:
                async with Gateway(inference, port=0) as gateway:
                    await _talk(int(gateway.url.rsplit(":", 1)[1]), provider)
            finally:
                await inference.close()

    asyncio.run(main())


async def _talk(port: int, provider: GeminiProvider) -> None:
    signature = {"google": {"thought_signature": "c2lnbmVk"}}
    whole = await ask(port, post(chat(tools=[TOOL])))
    message = whole.json["choices"][0]["message"]
    (call,) = message["tool_calls"]
    assert call["extra_content"] == signature and call["id"].startswith("call_")
    stream = await ask(port, post(chat(stream=True, tools=[TOOL])))
    pieces = [t for e in stream.events[:-1] for c in e["choices"]
              for t in c["delta"].get("tool_calls", [])]  # fmt: skip
    assert pieces[0]["extra_content"] == signature

    result = {"role": "tool", "tool_call_id": call["id"], "content": "{}"}
    turn = [{"role": "user", "content": "hi"}, message, result]
    again = await ask(port, post(chat(messages=turn, reasoning_effort="low", unheard_of=1)))
    assert again.status == 200
    assert "unheard_of" in again.headers["x-actinium-ignored"]
    assert "reasoning_effort" not in again.headers["x-actinium-ignored"]
    sent = provider.seen[-1].body
    assert sent["contents"][1]["parts"][0]["thoughtSignature"] == "c2lnbmVk"
    assert sent["contents"][2]["parts"][0]["functionResponse"]["id"] == call["id"]
    assert sent["generationConfig"]["thinkingConfig"] == {"thinkingLevel": "LOW"}
    refused = await ask(port, post(chat(logit_bias={"1": 2})))
    assert refused.status == 400 and refused.error["param"] == "logit_bias"
