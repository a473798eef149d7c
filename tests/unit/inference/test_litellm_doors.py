"""LiteLLM without its library: the proxy's own headers, and what is said where it is missing."""

from __future__ import annotations

import asyncio
import importlib.util
from typing import Any

import pytest

from actinium.errors import ConfigError, MissingExtra
from actinium.inference import Deployment
from actinium.inference.request import Message, Request
from actinium.inference.route import make_runner
from actinium.testkit.provider import Fault, Provider

USER = (Message(role="user", content="hi"),)


def proxy(environ: dict[str, str], **fields: Any) -> Any:
    return make_runner(Deployment(name="d", model="litellm_proxy/team", **fields), environ)


def test_a_proxy_gets_its_headers_and_one_attempt() -> None:
    async def main() -> None:
        async with Provider() as provider:
            url = provider.base_url.removesuffix("/v1")
            environ = {"LITELLM_PROXY_API_BASE": url, "LITELLM_PROXY_API_KEY": "sk-virtual"}
            runner = proxy(environ, options={"tags": ["a", "b"]})
            await runner.load()
            deadline = asyncio.get_running_loop().time() + 20
            asked = Request(id="req-1", model="m", messages=USER, session="s1", deadline=deadline)
            chunks = [c async for burst in runner.generate(asked) for c in burst]
            assert chunks[-1].usage is not None
            seen = provider.seen[0]
            assert seen.path == "/v1/chat/completions" and seen.body["model"] == "team"
            sent = seen.headers
            assert sent["authorization"] == "Bearer sk-virtual"
            assert sent["x-litellm-num-retries"] == "0"
            assert sent["x-litellm-tags"] == "a,b"
            assert sent["x-litellm-trace-id"] == "req-1"
            assert sent["x-litellm-session-id"] == "s1"
            assert 0 < float(sent["x-litellm-timeout"]) <= 20
            provider.faults.append(Fault(status=500))
            with pytest.raises(Exception, match="500"):
                await runner.complete(asked)
            assert len(provider.seen) == 2
            await runner.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, "LITELLM_PROXY_API_BASE"),
        ({"base_url": "https://h", "options": {"tags": ["a,b"]}}, "options.tags"),
        ({"base_url": "https://h", "options": {"tag": "a"}}, "did you mean 'tags'"),
        ({"base_url": "https://h", "options": {"headers": {"Authorization": "x"}}}, "credentials"),
    ],
)
def test_wrong_settings_of_a_proxy(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        proxy({}, **fields)


def test_inf_SC_1_a_proxy_named_by_url_gets_no_key_of_the_environment() -> None:
    runner = proxy({"LITELLM_PROXY_API_KEY": "sk-virtual"}, base_url="https://other.example")
    assert b"sk-virtual" not in runner._chat


def test_without_the_library_the_line_to_install_it_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r'pip install "actinium\[litellm\]"'):
        make_runner(Deployment(name="d", model="litellm/openai/gpt-4o"), {})
