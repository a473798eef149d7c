"""What a person reads once the gateway serves: what runs where, and the lines to try."""

from __future__ import annotations

from collections.abc import Sequence

from actinium.inference import ModelInfo
from actinium.topology import Plan

KEY_VARIABLE = "ACTINIUM_API_KEY"


def served(plan: Plan, models: Sequence[ModelInfo]) -> list[str]:
    """A line for each deployment: its names, the runtime and the context."""
    contexts = {model.id: model.capabilities.context for model in models}
    lines = []
    for deployment, route in zip(plan.deployments, plan.routes, strict=True):
        about: list[str] = [route.runtime]
        if deployment.base_url is not None:
            about.append(deployment.base_url)
        context = contexts.get(deployment.name)
        if context is not None:
            about.append(f"{context} tokens of context")
        names = ", ".join((deployment.name, *deployment.aliases))
        lines.append(f"{names}  ({', '.join(about)})")
    return lines


def curl_lines(url: str, model: str, keyed: bool) -> list[str]:
    """A streamed chat with curl."""
    return [
        f"curl -N {url}/v1/chat/completions \\",
        *([f'  -H "authorization: Bearer ${KEY_VARIABLE}" \\'] if keyed else []),
        "  -H 'content-type: application/json' \\",
        f'  -d \'{{"model": "{model}", "stream": true,'
        ' "messages": [{"role": "user", "content": "Hello!"}]}\'',
    ]


def python_lines(url: str, model: str, keyed: bool) -> list[str]:
    """The same with the official client; ``x-session-id`` makes the server remember."""
    key = f'os.environ["{KEY_VARIABLE}"]' if keyed else '"none"'
    return [
        *(["import os"] if keyed else []),
        "from openai import OpenAI",
        f'client = OpenAI(base_url="{url}/v1", api_key={key})',
        "stream = client.chat.completions.create(",
        f'    model="{model}",',
        '    messages=[{"role": "user", "content": "Hello! My name is Anna."}],',
        "    stream=True,",
        '    extra_headers={"x-session-id": "anna"},  # the server remembers this conversation',
        ")",
        "for chunk in stream:",
        '    print(chunk.choices[0].delta.content or "", end="", flush=True)',
    ]
