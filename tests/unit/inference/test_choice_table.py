"""DP-2: which runtime a name gets, for many names, credentials and what is installed."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actinium.errors import ConfigError, MissingCredentials, RuntimeNotInferred
from actinium.inference import Deployment
from actinium.inference.choice import choose
from actinium.inference.route import make_runner

OPENAI = {"OPENAI_API_KEY": "k"}
CLAUDE = {"ANTHROPIC_API_KEY": "k"}
STUDIO = {"GEMINI_API_KEY": "k"}
VERTEX = {"GOOGLE_CLOUD_PROJECT": "p"}
AZURE = {"AZURE_OPENAI_ENDPOINT": "https://x.openai.azure.com", "AZURE_OPENAI_API_KEY": "k"}
PROXY = {"LITELLM_PROXY_API_BASE": "https://proxy.example"}
ALL = {**OPENAI, **CLAUDE, **STUDIO, **VERTEX, **AZURE, **PROXY}

_OPENAI_NAMES = (
    "gpt-3.5-turbo gpt-4 gpt-4-turbo gpt-4o gpt-4o-2024-08-06 gpt-4o-mini "
    "gpt-4o-audio-preview gpt-4.1 gpt-4.1-nano gpt-4.5-preview gpt-5 gpt-5-mini gpt-5.1 "
    "gpt-5-codex gpt-image-1 gpt-realtime GPT-4o chatgpt-4o-latest o1 o1-mini o1-pro o3 "
    "o3-mini o3-deep-research o4-mini O4-Mini text-embedding-3-small "
    "text-embedding-3-large text-embedding-ada-002 whisper-1 tts-1 tts-1-hd "
    "ft:gpt-4o-mini-2024-07-18:org::id davinci-002 babbage-002 codex-mini-latest "
)
_CLAUDE_NAMES = (
    "claude-2.1 claude-3-haiku-20240307 claude-3-5-sonnet-latest "
    "claude-3-7-sonnet-20250219 claude-opus-4-1 claude-sonnet-4-5 "
    "claude-haiku-4-5@20251001 Claude-Opus-4-5 "
)
_GEMINI_NAMES = (
    "gemini-1.5-pro gemini-2.0-flash-001 gemini-2.5-flash gemini-2.5-pro "
    "gemini-3-pro-preview gemini-embedding-001 Gemini-2.5-Flash-Lite "
)

TABLE: list[tuple[str, dict[str, str], str, int]] = [
    *((name, OPENAI, "openai", 5) for name in _OPENAI_NAMES.split()),
    *((name, ALL, "openai", 5) for name in _OPENAI_NAMES.split()[::6]),
    *((name, {**AZURE, **CLAUDE}, "azure", 5) for name in ("gpt-5", "o3", "tts-1")),
    *((name, PROXY, "litellm_proxy", 5) for name in ("gpt-5", "claude-opus-4-1", "gemini-2.5-pro")),
    *((name, CLAUDE, "anthropic", 5) for name in _CLAUDE_NAMES.split()),
    ("claude-sonnet-4-5", {"ANTHROPIC_AUTH_TOKEN": "t"}, "anthropic", 5),
    ("claude-sonnet-4-5", ALL, "anthropic", 5),
    *((name, STUDIO, "gemini", 5) for name in _GEMINI_NAMES.split()),
    *((name, VERTEX, "vertex", 5) for name in _GEMINI_NAMES.split()[:3]),
    ("gemini-2.5-pro", {**STUDIO, "GOOGLE_GENAI_USE_VERTEXAI": "true"}, "vertex", 5),
    ("gemini-2.5-pro", ALL, "gemini", 5),
    ("embedded", {}, "onnx", 2),
    ("openai/gpt-5", {}, "openai", 2),
    ("openai/anything", {}, "openai", 2),
    ("azure/my-deployment", {}, "azure", 2),
    ("anthropic/claude-x", {}, "anthropic", 2),
    ("gemini/x", {}, "gemini", 2),
    ("vertex/claude-opus@1", {}, "vertex", 2),
    ("litellm/bedrock/anthropic.claude-v2", {}, "litellm", 2),
    ("litellm_proxy/team-model", {}, "litellm_proxy", 2),
    ("onnx/some/folder", {}, "onnx", 2),
]  # fmt: skip


@pytest.mark.parametrize(("model", "environ", "runtime", "number"), TABLE)
def test_inf_DP_2_table_of_names(
    model: str, environ: dict[str, str], runtime: str, number: int
) -> None:
    route = choose(Deployment(name="d", model=model), environ)
    assert (route.runtime, route.number) == (runtime, number), route
    assert route.rule


def test_the_table_is_long_enough() -> None:
    assert len({(model, *environ) for model, environ, *_ in TABLE}) >= 80


@pytest.mark.parametrize(
    ("url", "runtime"),
    [
        ("https://api.openai.com/v1", "openai"),
        ("http://127.0.0.1:11434/v1", "openai"),
        ("https://openrouter.ai/api/v1", "openai"),
        ("https://mine.openai.azure.com", "azure"),
        ("https://mine.cognitiveservices.azure.com/", "azure"),
        ("https://mine.services.ai.azure.com/openai/v1", "azure"),
        ("https://api.anthropic.com", "anthropic"),
        ("https://generativelanguage.googleapis.com", "gemini"),
        ("https://europe-west1-aiplatform.googleapis.com", "vertex"),
        ("https://aiplatform.eu.rep.googleapis.com", "vertex"),
        ("https://api.anthropic.com.evil.example", "openai"),
    ],
)
def test_inf_DP_2_a_server_says_what_it_speaks(url: str, runtime: str) -> None:
    route = choose(Deployment(name="d", model="any-name", base_url=url), {})
    assert (route.runtime, route.number) == (runtime, 4)


@pytest.mark.parametrize(
    ("model", "environ", "says"),
    [
        ("gpt-5", {}, "OPENAI_API_KEY is not set"),
        ("gpt-5", CLAUDE, "base_url for another server, or AZURE_OPENAI_ENDPOINT"),
        ("claude-sonnet-4-5", OPENAI, "neither ANTHROPIC_API_KEY nor"),
        ("gemini-2.5-pro", OPENAI, "GOOGLE_CLOUD_PROJECT for Vertex"),
    ],
)
def test_inf_DP_2_a_name_without_its_key(model: str, environ: dict[str, str], says: str) -> None:
    with pytest.raises(MissingCredentials, match=says):
        choose(Deployment(name="d", model=model), environ)


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("mistral-large-latest", "base_url = 'https://api.mistral.ai/v1'"),
        ("deepseek-chat", "DEEPSEEK_API_KEY"),
        ("grok-4", "https://api.x.ai/v1"),
        ("kimi-k2-0905", "moonshot"),
        ("command-r-plus", "cohere"),
        ("gpt-oss-120b", "open weights"),
        ("gpt-neox-20b", "open weights"),
        ("gpt-j-6b", "open weights"),
        ("llama3.1:8b", "http://127.0.0.1:11434/v1"),
        ("meta-llama/Llama-3.1-8B-Instruct", "vllm serve meta-llama/Llama-3.1-8B-Instruct"),
        ("vllm/Qwen/Qwen3-8B", "vllm serve Qwen/Qwen3-8B"),
        ("sglang/x", "sglang.launch_server"),
        ("llama_cpp/x.gguf", "llama-server -m x.gguf"),
        ("tensorrt_llm/x", "trtllm-serve x"),
        ("mistralrs/x", "mistralrs-server"),
        ("transformers/x", "transformers serve"),
        ("weights/model.gguf", "llama-server -m weights/model.gguf"),
        ("nowhere/model.onnx", "there is no model at"),
        ("./nowhere", "there is no model at"),
        ("/no/such/folder", "there is no model at"),
        ("claude", "litellm/PROVIDER/MODEL"),
        ("o", "Set runtime = 'openai'"),
        ("openai/", "no runner can be chosen"),
    ],
)
def test_inf_DP_2_a_wrong_guess_is_refused_with_what_to_write(model: str, says: str) -> None:
    with pytest.raises(RuntimeNotInferred) as caught:
        choose(Deployment(name="d", model=model), ALL)
    assert says in str(caught.value)


def test_inf_DP_2_folders_by_what_they_hold(tmp_path: Path) -> None:
    for file, expected in (
        ("model.onnx", None),
        ("model.safetensors", "vllm serve"),
        ("rank0.engine", "trtllm-serve"),
        ("q4.gguf", "llama-server"),
    ):
        folder = tmp_path / file.replace(".", "-")
        folder.mkdir()
        (folder / file).touch()
        if expected is None:
            for model in (str(folder), str(folder / file)):
                route = choose(Deployment(name="d", model=model), {})
                assert (route.runtime, route.model, route.number) == ("onnx", str(folder), 3)
            continue
        with pytest.raises(RuntimeNotInferred, match=expected):
            choose(Deployment(name="d", model=str(folder)), {})


@given(st.text(max_size=30) | st.sampled_from(["~nobody-here/x", "a\0b", "/root/../..", "./"]))
def test_inf_DP_2_any_text_is_a_route_or_a_config_error(model: str) -> None:
    with suppress(ConfigError):
        choose(Deployment(name="d", model=model), OPENAI)


@pytest.mark.parametrize(
    ("runtime", "says"),
    [
        ("opneai", "did you mean 'openai'"),
        ("zzz", "known are openai, azure"),
        ("vllm", "vllm serve"),
        ("no.such.module:Thing", "no.such.module"),
        ("actinium.inference.deployment:Nothing", "Nothing"),
        ("actinium.inference.deployment:Timeouts", "Timeouts"),
    ],
)
def test_inf_DP_2_wrong_runtimes(runtime: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        make_runner(Deployment(name="d", model="x", runtime=runtime), {})


def test_inf_DP_2_a_runner_of_another_package() -> None:
    runner = make_runner(Deployment(name="d", model="x", runtime=f"{__name__}:Foreign"), {})
    assert isinstance(runner, Foreign)


def test_inf_DP_2_deciding_loads_nothing() -> None:
    code = (
        "import sys\n"
        "from actinium.inference.choice import choose\n"
        "from actinium.inference.deployment import Deployment\n"
        "for m in ('gpt-5', 'litellm/x/y', 'embedded', 'gemini-2.5-pro'):\n"
        "    e = {'OPENAI_API_KEY': 'k', 'GEMINI_API_KEY': 'k'}\n"
        "    choose(Deployment(name='d', model=m), e)\n"
        "heavy = {'onnxruntime', 'numpy', 'litellm', 'httptools', 'google', 'openai'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    assert subprocess.check_output([sys.executable, "-c", code]).strip() == b"[]"


class Foreign:
    """A runner as another package would offer it."""

    transport = "remote"

    def __init__(self, deployment: Deployment, environ: Any) -> None:
        self.deployment = deployment

    def capabilities(self) -> Any: ...

    async def load(self, progress: Any = None) -> None: ...

    def generate(self, request: Any) -> Any: ...

    async def embed(self, request: Any) -> Any: ...

    def count_tokens(self, request: Any) -> None: ...

    async def health(self) -> Any: ...

    async def close(self) -> None: ...
