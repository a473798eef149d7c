"""Which names belong to which provider's API, and what to write for those that belong to none.

Source: the providers' lists of models; the prefixes are theirs, matched without regard to case.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import msgspec


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """The names of one provider's API.

    ``keys`` are the variables of which one must be set. ``shown`` says for people which names
    these are.
    """

    runtime: str
    provider: str
    names: re.Pattern[str]
    shown: str
    keys: tuple[str, ...]


_REST: Final = r"[A-Za-z0-9.:_@/-]"
FAMILIES: Final = (
    Family(
        runtime="openai",
        provider="OpenAI",
        names=re.compile(
            r"(?!gpt-(?:oss|neo|neox|j|sw3|bigcode|2)(?:[-.:]|$))"  # weights anybody may serve
            r"(?:gpt-|chatgpt-|o\d(?=[-:]|$)|ft:|text-embedding-(?:3|ada)|tts-|whisper-1"
            rf"|codex-|davinci-002|babbage-002){_REST}*",
            re.IGNORECASE,
        ),
        shown="gpt-*, chatgpt-*, o<digit>*, ft:*, text-embedding-3*, tts-*, whisper-1",
        keys=("OPENAI_API_KEY",),
    ),
    Family(
        runtime="anthropic",
        provider="Anthropic",
        names=re.compile(rf"claude-{_REST}+", re.IGNORECASE),
        shown="claude-*",
        keys=("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"),
    ),
    Family(
        runtime="gemini",
        provider="Gemini",
        names=re.compile(rf"gemini-{_REST}+", re.IGNORECASE),
        shown="gemini-*",
        keys=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    ),
)

PREFIXES: Final = ("openai", "azure", "anthropic", "gemini", "vertex", "litellm", "litellm_proxy",
                   "onnx")  # fmt: skip
"""Runtimes that a model's name may begin with, before a slash."""

SERVERS: Final[Mapping[str, str]] = {
    "vllm": "vllm serve {model}",
    "sglang": "python -m sglang.launch_server --model-path {model}",
    "llama_cpp": "llama-server -m {model}",
    "ollama": "ollama run {model}",
    "tensorrt_llm": "trtllm-serve {model}",
    "mistralrs": "mistralrs-server --port 8000 plain -m {model}",
    "transformers": "transformers serve",
}
"""Engines that are used through their own servers, and how these are started."""

HOSTS: Final = (
    (
        re.compile(r"\.(?:openai\.azure|cognitiveservices\.azure|services\.ai\.azure)\.com$"),
        "azure",
    ),
    (re.compile(r"^api\.anthropic\.com$"), "anthropic"),
    (re.compile(r"^generativelanguage\.googleapis\.com$"), "gemini"),
    (re.compile(r"aiplatform(?:\.[a-z]+\.rep)?\.googleapis\.com$"), "vertex"),
)
"""Hosts whose wire is not OpenAI's, or has its own URLs."""

_ELSEWHERE: Final = (
    (r"(?:mistral|ministral|magistral|codestral|pixtral|devstral|open-mi[sx]tral)-", "https://api.mistral.ai/v1",
     "MISTRAL_API_KEY"),
    (r"deepseek-(?:chat|reasoner)", "https://api.deepseek.com/v1", "DEEPSEEK_API_KEY"),
    (r"grok-", "https://api.x.ai/v1", "XAI_API_KEY"),
    (r"(?:kimi-|moonshot-)", "https://api.moonshot.ai/v1", "MOONSHOT_API_KEY"),
    (r"sonar", "https://api.perplexity.ai", "PERPLEXITY_API_KEY"),
    (r"(?:command-|c4ai-)", "https://api.cohere.ai/compatibility/v1", "COHERE_API_KEY"),
    (r"qwen-(?:max|plus|turbo|flash)", "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
     "DASHSCOPE_API_KEY"),
)  # fmt: skip

_ELSE: Final = (
    "Set runtime = 'openai' with base_url for a server, write 'litellm/PROVIDER/MODEL' for a "
    "provider of LiteLLM, or set runtime = 'onnx' with a model folder"
)


def family_of(model: str) -> Family | None:
    """The family of a name."""
    return next((family for family in FAMILIES if family.names.fullmatch(model)), None)


def elsewhere(model: str) -> str:
    """What to write for a name that no rule takes."""
    for names, url, key in _ELSEWHERE:
        if re.match(names, model, re.IGNORECASE):
            return (
                f"{model!r} looks like a name of {url}: set base_url = {url!r} and credentials = "
                f"'env:{key}'. {_ELSE}"
            )
    if re.fullmatch(r"gpt-(?:oss|neo|neox|j|2)[A-Za-z0-9.:_-]*", model, re.IGNORECASE):
        return (
            f"{model!r} is the name of open weights, which OpenAI's API does not serve: set "
            f"base_url to the server that has them, such as 'http://127.0.0.1:8000/v1'. {_ELSE}"
        )
    if re.fullmatch(r"[A-Za-z0-9._-]+:[A-Za-z0-9._-]+", model):
        return (
            f"{model!r} has the form of Ollama's names: set base_url = "
            f"'http://127.0.0.1:11434/v1'. {_ELSE}"
        )
    if re.fullmatch(r"[\w.-]+/[\w.-]+", model):
        return (
            f"{model!r} has the form of a name of the Hugging Face hub: serve it, for example by "
            f"`vllm serve {model}`, and set base_url = 'http://127.0.0.1:8000/v1'. {_ELSE}"
        )
    return _ELSE
