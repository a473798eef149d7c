"""The choice of a runner, and base URLs."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actinium.errors import ConfigError, MissingCredentials, RuntimeNotInferred
from actinium.inference import Deployment
from actinium.inference.http import parse_endpoint
from actinium.inference.route import choose, make_runner
from actinium.inference.runners.anthropic import AnthropicRunner

KEY = {"OPENAI_API_KEY": "sk-x"}
URL = "http://127.0.0.1:1/v1"


@pytest.mark.parametrize(
    ("fields", "runtime", "model", "rule"),
    [
        ({}, "onnx", "embedded", "embedded"),
        ({"model": "x", "runtime": "onnx"}, "onnx", "x", "runtime"),
        ({"model": "openai/x", "runtime": "openai"}, "openai", "x", "runtime"),
        ({"model": "onnx/x"}, "onnx", "x", "prefix"),
        ({"model": "openai/gpt-5"}, "openai", "gpt-5", "prefix"),
        ({"model": "llama", "base_url": URL}, "openai", "llama", "base_url"),
        ({"model": "gpt-5"}, "openai", "gpt-5", "OpenAI"),
        ({"model": "GPT-4o-mini"}, "openai", "GPT-4o-mini", "OpenAI"),
        ({"model": "o1"}, "openai", "o1", "OpenAI"),
        ({"model": "o4-mini"}, "openai", "o4-mini", "OpenAI"),
        ({"model": "chatgpt-4o-latest"}, "openai", "chatgpt-4o-latest", "OpenAI"),
        ({"model": "text-embedding-3-small"}, "openai", "text-embedding-3-small", "OpenAI"),
        ({"model": "ft:gpt-4o:org::id"}, "openai", "ft:gpt-4o:org::id", "OpenAI"),
        ({"model": "gemini/tunedModels/x"}, "gemini", "tunedModels/x", "prefix 'gemini/'"),
        ({"model": "gemini/x", "base_url": URL}, "gemini", "x", "prefix 'gemini/'"),
        ({"model": "vertex/gemini-2.5-pro"}, "vertex", "gemini-2.5-pro", "prefix 'vertex/'"),
        ({"model": "gemini-2.5-pro", "base_url": URL}, "openai", "gemini-2.5-pro", "base_url"),
        ({"model": "gemini/x", "runtime": "openai"}, "openai", "gemini/x", "runtime"),
    ],
)
def test_inf_DP_2_rules(fields: dict[str, Any], runtime: str, model: str, rule: str) -> None:
    route = choose(Deployment(name="d", **fields), KEY)
    assert (route.runtime, route.model) == (runtime, model)
    assert rule in route.rule


def test_inf_DP_2_a_folder_is_onnx(tmp_path: Path) -> None:
    assert choose(Deployment(name="d", model=str(tmp_path)), {}).runtime == "onnx"


@pytest.mark.parametrize("model", ["gpt-5", "o1", "chatgpt-x"])
def test_inf_DP_2_an_openai_name_needs_a_key(model: str) -> None:
    with pytest.raises(MissingCredentials, match="OPENAI_API_KEY"):
        choose(Deployment(name="d", model=model), {})
    assert choose(Deployment(name="d", model=model, credentials="env:K"), {}).runtime == "openai"


@pytest.mark.parametrize(
    ("environ", "fields", "runtime"),
    [
        ({"GEMINI_API_KEY": "k"}, {}, "gemini"),
        ({"GOOGLE_API_KEY": "k"}, {}, "gemini"),
        ({"GOOGLE_API_KEY": "k", "GOOGLE_CLOUD_PROJECT": "p"}, {}, "gemini"),
        ({"GOOGLE_CLOUD_PROJECT": "p"}, {}, "vertex"),
        ({"GOOGLE_CLOUD_PROJECT": "p"}, {"credentials": "env:K"}, "gemini"),
        ({"GEMINI_API_KEY": "k", "GOOGLE_GENAI_USE_VERTEXAI": "true"}, {}, "vertex"),
        ({}, {"credentials": "env:K"}, "gemini"),
    ],
)
def test_inf_DP_2_which_door_a_gemini_name_takes(
    environ: dict[str, str], fields: dict[str, Any], runtime: str
) -> None:
    for model in ("gemini-2.5-flash", "Gemini-3-Pro-Preview"):
        route = choose(Deployment(name="d", model=model, **fields), environ)
        assert (route.runtime, route.model) == (runtime, model)
        assert "Gemini" in route.rule


def test_inf_DP_2_a_gemini_name_needs_a_key_or_a_project() -> None:
    with pytest.raises(MissingCredentials, match="GEMINI_API_KEY nor GOOGLE_API_KEY"):
        choose(Deployment(name="d", model="gemini-2.5-flash"), KEY)


@pytest.mark.parametrize(
    ("fields", "environ", "runtime", "model", "rule"),
    [
        ({"model": "claude-opus-4-1"}, "ANTHROPIC_API_KEY", "anthropic", "claude-opus-4-1", "Anth"),
        ({"model": "Claude-3-5-haiku-latest"}, "ANTHROPIC_AUTH_TOKEN", "anthropic",
         "Claude-3-5-haiku-latest", "Anth"),
        ({"model": "claude-x", "credentials": "env:K"}, "K", "anthropic", "claude-x", "Anth"),
        ({"model": "anthropic/claude-x"}, "K", "anthropic", "claude-x", "prefix"),
        ({"model": "anthropic/claude-x", "base_url": URL}, "K", "anthropic", "claude-x", "prefix"),
        ({"model": "anthropic/x", "runtime": "anthropic"}, "K", "anthropic", "x", "runtime"),
        ({"model": "claude-x", "base_url": URL}, "K", "openai", "claude-x", "base_url"),
    ],
)  # fmt: skip
def test_inf_DP_2_anthropic(
    fields: dict[str, Any], environ: str, runtime: str, model: str, rule: str
) -> None:
    route = choose(Deployment(name="d", **fields), {environ: "sk-x"})
    assert (route.runtime, route.model) == (runtime, model)
    assert rule in route.rule


def test_inf_DP_2_an_anthropic_name_needs_a_key() -> None:
    with pytest.raises(MissingCredentials, match="neither ANTHROPIC_API_KEY nor ANTHROPIC_AUTH_TO"):
        choose(Deployment(name="d", model="claude-opus-4-1"), KEY)


@pytest.mark.parametrize(
    "model", ["mistral-large-latest", "claude", "claude-", "org/name", "ollama", "o"]
)
def test_inf_DP_2_no_silent_default(model: str) -> None:
    with pytest.raises(RuntimeNotInferred) as caught:
        choose(Deployment(name="d", model=model), KEY)
    text = str(caught.value)
    for part in (
        "runtime:",
        "folder:",
        "prefix",
        "base_url:",
        "OpenAI names",
        "Gemini names",
        "Anthropic names",
        "Set runtime",
    ):
        assert part in text


def test_make_runner() -> None:
    runner = make_runner(Deployment(name="d", model="x", base_url=URL), {})
    assert "127.0.0.1" in repr(runner)
    with pytest.raises(ConfigError, match="only for remote runtimes"):
        make_runner(Deployment(name="d", base_url=URL, model="embedded"), {})
    with pytest.raises(MissingCredentials, match="NAME is not set"):
        make_runner(Deployment(name="d", model="x", base_url=URL, credentials="env:NAME"), {})
    with pytest.raises(ConfigError, match="unknown option"):
        make_runner(Deployment(name="d", model="x", base_url=URL, options={"y": 1}), {})


def test_make_an_anthropic_runner() -> None:
    environ = {"ANTHROPIC_API_KEY": "sk-a", "ANTHROPIC_AUTH_TOKEN": "tok"}

    def head(environ: dict[str, str], **fields: Any) -> bytes:
        runner = make_runner(Deployment(name="d", model="anthropic/claude-x", **fields), environ)
        assert isinstance(runner, AnthropicRunner)
        return runner._head(runner._health_path, "GET")

    assert b"x-api-key: sk-a" in head(environ)
    assert b"Host: api.anthropic.com" in head(environ)
    assert b"Authorization: Bearer tok" in head({"ANTHROPIC_AUTH_TOKEN": "tok"})
    assert b"Bearer sk-a" in head(environ, options={"auth": "bearer"})
    assert b"anthropic-version: 2024-01-01" in head(environ, options={"version": "2024-01-01"})
    for url in ("http://127.0.0.1:1", URL):
        assert head(environ, base_url=url).startswith(b"GET /v1/models HTTP/1.1"), url
        assert b"sk-a" not in head(environ, base_url=url), "SC-1"
    assert b"GET /x/v1/models" in head({**environ, "ANTHROPIC_BASE_URL": "https://h/x"})
    with pytest.raises(MissingCredentials, match="ANTHROPIC_API_KEY is not set"):
        head({})
    for options, says in (
        ({"max_token": 1}, "did you mean 'max_tokens'"),
        ({"max_tokens": 0}, "1 or more"),
        ({"headers": {"X-Api-Key": "x"}}, "credentials"),
        ({"beta": ["a\n"]}, "printable"),
        ({"auth": "basic"}, "options"),
    ):
        with pytest.raises(ConfigError, match=says):
            head(environ, options=options)


def test_inf_SC_1_a_key_goes_only_where_it_was_meant_for() -> None:
    own = make_runner(Deployment(name="d", model="gpt-5"), KEY)
    other = make_runner(Deployment(name="d", model="gpt-5", base_url=URL), KEY)
    assert own._tokens is not None and other._tokens is None  # type: ignore[attr-defined]
    for runner in (own, other):
        assert "sk-x" not in repr(runner)


@pytest.mark.parametrize(
    ("url", "authority", "path"),
    [
        ("https://api.openai.com/v1", "api.openai.com", "/v1"),
        ("https://api.openai.com:443/v1/", "api.openai.com", "/v1"),
        ("https://host:8443", "host:8443", ""),
        ("http://localhost:8000/v1", "localhost:8000", "/v1"),
        ("http://127.3.2.1/", "127.3.2.1", ""),
        ("http://[::1]:80/x", "[::1]", "/x"),
    ],
)
def test_endpoints(url: str, authority: str, path: str) -> None:
    endpoint = parse_endpoint(url)
    assert (endpoint.authority, endpoint.path) == (authority, path)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://api.example.com/v1", "readable over the network"),
        ("http://10.0.0.1/v1", "options.insecure"),
        ("ftp://host/", "expected http"),
        ("host:80/v1", "expected http"),
        ("https://", "expected http"),
        ("https://user:secret@host/", "credentials"),
        ("https://host/v1?key=secret", "no '?'"),
        ("https://host:99999/", "not a URL"),
        ("https://[::1/", "not a URL"),
        ("https://ho st/", "visible ASCII"),
    ],
)
def test_inf_SC_1_urls_that_are_refused(url: str, says: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(says)) as caught:
        parse_endpoint(url)
    assert "secret" not in str(caught.value)


def test_insecure_is_said_aloud() -> None:
    assert not parse_endpoint("http://10.0.0.1/v1", insecure=True).tls


@given(st.text(max_size=40))
def test_any_text_is_an_endpoint_or_a_config_error(url: str) -> None:
    with suppress(ConfigError):
        parse_endpoint(url)
