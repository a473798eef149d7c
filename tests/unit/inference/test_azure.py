"""Azure's doors: both URL forms, both kinds of key, and a first event without choices."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from actinium.errors import ConfigError, MissingCredentials
from actinium.inference import Deployment
from actinium.inference.chunk import Chunk
from actinium.inference.request import EmbedRequest, Message, Request
from actinium.inference.route import make_runner
from actinium.inference.runners.openai import OpenAIRunner
from actinium.inference.runners.openai.decode import StreamDecoder
from actinium.testkit.provider import Fault, Provider

ASKED = Request(id="r", model="m", messages=(Message(role="developer", content="hi"),))
KEY = {"AZURE_OPENAI_API_KEY": "key-1"}
VERSION = {"api_version": "2024-10-21"}


def made(environ: dict[str, str], **fields: Any) -> OpenAIRunner:
    runner = make_runner(
        Deployment(**{"name": "d", "model": "gpt-4o", "runtime": "azure", **fields}), environ
    )
    assert isinstance(runner, OpenAIRunner)
    return runner


@pytest.mark.parametrize(
    ("environ", "fields", "starts", "key"),
    [
        (
            {**KEY, "AZURE_OPENAI_ENDPOINT": "https://x.openai.azure.com/"},
            {},
            b"POST /openai/v1/chat/completions HTTP/1.1\r\nHost: x.openai.azure.com\r\n",
            b"\r\napi-key: key-1\r\n",
        ),
        (
            {**KEY, "AZURE_OPENAI_ENDPOINT": "https://x.openai.azure.com", "OPENAI_API_VERSION":
             "2024-06-01"},
            {"options": {"deployment": "prod-4o"}},
            b"POST /openai/deployments/prod-4o/chat/completions?api-version=2024-06-01 HTTP/1.1",
            b"\r\napi-key: key-1\r\n",
        ),
        (
            {"AZURE_OPENAI_AD_TOKEN": "tok", "AZURE_OPENAI_ENDPOINT": "https://x.openai.azure.com"},
            {"options": VERSION},
            b"POST /openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21 HTTP/1.1",
            b"\r\nAuthorization: Bearer tok\r\n",
        ),
        (
            {"K": "k"},
            {"base_url": "https://x.openai.azure.com/openai/v1/", "credentials": "env:K"},
            b"POST /openai/v1/chat/completions HTTP/1.1",
            b"\r\napi-key: k\r\n",
        ),
        (
            {"K": "k"},
            {"base_url": "https://x.openai.azure.com", "credentials": "env:K",
             "options": {"auth": "bearer"}},
            b"POST /openai/v1/chat/completions HTTP/1.1",
            b"\r\nAuthorization: Bearer k\r\n",
        ),
    ],
)  # fmt: skip
def test_url_forms_and_keys(
    environ: dict[str, str], fields: dict[str, Any], starts: bytes, key: bytes
) -> None:
    head = made(environ, **fields)._chat
    assert head.startswith(starts)
    assert key in head
    assert head.count(b"api-key:") + head.count(b"Authorization:") == 1, "never both"


@pytest.mark.parametrize("options", [{}, VERSION])
@pytest.mark.parametrize("command", [False, True])
def test_calls_reach_the_deployment(options: dict[str, Any], command: bool) -> None:
    async def main() -> None:
        async with Provider() as provider:
            url = provider.base_url.removesuffix("/v1")
            credentials = "command:echo entra-token" if command else "env:K"
            runner = made({"K": "k"}, base_url=url, credentials=credentials, options=options)
            await runner.load()
            provider.faults.append(Fault(split=7))
            chunks = [c async for burst in runner.generate(ASKED) for c in burst]
            assert "".join(c.text for c in chunks) == "Hello from the test."
            await runner.embed(EmbedRequest(id="e", model="m", inputs=("a",)))
            assert (await runner.health()).ok
            chat, embed, models = provider.seen
            if options:
                assert chat.path == (
                    "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"
                )
                assert models.path == "/openai/models?api-version=2024-10-21"
            else:
                assert (chat.path, models.path) == (
                    "/openai/v1/chat/completions",
                    "/openai/v1/models",
                )
            assert "embeddings" in embed.path
            sent = chat.headers.get("authorization"), chat.headers.get("api-key")
            assert sent == (("Bearer entra-token", None) if command else (None, "k"))
            assert chat.body["model"] == "gpt-4o"
            assert chat.body["messages"][0]["role"] == "developer"
            await runner.close()

    asyncio.run(main())


def test_a_first_event_with_the_filters_results_alone() -> None:
    """Azure sends ``prompt_filter_results`` with no choices first."""
    decoder = StreamDecoder(1)
    burst = decoder.feed(
        b'data: {"choices":[],"created":0,"id":"","model":"","object":"","prompt_filter_results":'
        b'[{"prompt_index":0,"content_filter_results":{"hate":{"filtered":false}}}]}\n\n'
        b'data: {"choices":[{"content_filter_results":{},"delta":{"content":"Hi"},'
        b'"finish_reason":null,"index":0,"logprobs":null}]}\n\n'
        b'data: {"choices":[{"content_filter_offsets":{"check_offset":1},"delta":{},'
        b'"finish_reason":"stop","index":0}]}\n\ndata: [DONE]\n\n'
    )
    assert decoder.done and decoder.error is None
    assert burst == [Chunk(0, "Hi"), Chunk(0, "", "stop")]


@pytest.mark.parametrize(
    ("environ", "fields", "says"),
    [
        (KEY, {}, "AZURE_OPENAI_ENDPOINT"),
        ({"AZURE_OPENAI_ENDPOINT": "https://x.openai.azure.com"}, {}, "AZURE_OPENAI_AD_TOKEN"),
        (KEY, {"base_url": "https://x.openai.azure.com", "model": "a/b"}, "no name of a deploym"),
        (KEY, {"base_url": "https://x.openai.azure.com", "options": {"api_version": "x y"}},
         "options.api_version"),
        (KEY, {"base_url": "https://x.openai.azure.com", "options": {"headers": {"Api-Key": "x"}}},
         "credentials"),
        ({"OPENAI_API_KEY": "k"}, {"runtime": "openai", "options": VERSION}, "only for runtime"),
    ],
)  # fmt: skip
def test_wrong_settings(environ: dict[str, str], fields: dict[str, Any], says: str) -> None:
    with pytest.raises((ConfigError, MissingCredentials), match=says):
        made(environ, **fields)


def test_inf_SC_1_a_resource_named_by_url_gets_no_key_of_the_environment() -> None:
    head = made(KEY, base_url="https://other.openai.azure.com")._chat
    assert b"key-1" not in head
