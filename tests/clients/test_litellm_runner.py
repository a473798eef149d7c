"""The runner over the library: both ways of the mapping, its errors, and who gets which key."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from actinium.errors import (
    BadRequest,
    ContextLengthExceeded,
    InferenceError,
    ModelNotFound,
    NetworkError,
    QuotaExhausted,
    RateLimited,
    ServerError,
    Unsupported,
    UpstreamAuth,
    UpstreamOverloaded,
)
from actinium.inference import Deployment
from actinium.inference.chunk import Chunk
from actinium.inference.request import (
    FunctionCall,
    ImagePart,
    Message,
    Request,
    Sampling,
    TextPart,
    ToolCall,
)
from actinium.inference.route import make_runner
from actinium.inference.runner import ModelRunner
from actinium.testkit.anthropic import AnthropicProvider
from actinium.testkit.provider import Fault, Provider

TEXT = "Hello from the test."
USER = (Message(role="user", content="hi"),)
TOOL: dict[str, Any] = {
    "type": "function", "function": {"name": "weather", "parameters": {"type": "object"}},
}  # fmt: skip


def run(
    body: Callable[[ModelRunner, Provider], Awaitable[None]],
    provider: Provider | None = None,
    model: str = "litellm/openai/gpt-4o",
    environ: dict[str, str] | None = None,
    **fields: Any,
) -> None:
    async def main() -> None:
        async with provider or Provider() as upstream:
            url = (
                upstream.base_url if model.startswith("litellm/openai") else upstream.base_url[:-3]
            )
            deployment = Deployment(name="d", model=model, base_url=url, **fields)
            runner = make_runner(deployment, environ or {})
            await runner.load()
            await body(runner, upstream)
            await runner.close()

    asyncio.run(main())


async def ask(runner: ModelRunner, request: Request) -> list[Chunk]:
    return [chunk async for burst in runner.generate(request) for chunk in burst]


def test_what_is_sent() -> None:
    async def body(runner: ModelRunner, provider: Provider) -> None:
        request = Request(
            id="r",
            model="m",
            messages=(
                Message(role="system", content="Be short."),
                Message(role="user", content=(TextPart("what?"), ImagePart({"url": "https://x/y"}))),
                Message(role="assistant", tool_calls=(
                    ToolCall(id="c1", function=FunctionCall("weather", "{}")),)),
                Message(role="tool", tool_call_id="c1", content="sun"),
            ),
            sampling=Sampling(temperature=0.5, top_p=0.9, max_tokens=20, stop=("x",), seed=3,
                              presence_penalty=0.1, frequency_penalty=0.2, logprobs=2),
            tools=(TOOL,),
            tool_choice="auto",
            parallel_tool_calls=False,
            response_format={"type": "json_object"},
            user="u",
            extra={"service_tier": "flex", "api_base": "http://evil.example", "api_key": "x"},
            stream=False,
        )  # fmt: skip
        chunks = await ask(runner, request)
        assert chunks[0].tool is not None and chunks[-1].finish == "tool_calls"
        sent = provider.seen[0].body
        assert sent["model"] == "gpt-4o"
        assert [m["role"] for m in sent["messages"]] == ["system", "user", "assistant", "tool"]
        assert sent["messages"][1]["content"][1]["image_url"]["url"] == "https://x/y"
        for name, value in {
            "temperature": 0.5, "top_p": 0.9, "max_tokens": 20, "stop": ["x"], "seed": 3,
            "presence_penalty": 0.1, "frequency_penalty": 0.2, "top_logprobs": 2, "logprobs": True,
            "tool_choice": "auto", "parallel_tool_calls": False, "user": "u",
            "response_format": {"type": "json_object"}, "service_tier": "flex",
        }.items():  # fmt: skip
            assert sent[name] == value, name
        assert "api_key" not in sent and "api_base" not in sent

    run(body)


def test_inf_SC_1_only_the_deployments_own_key_goes_to_its_server() -> None:
    async def body(runner: ModelRunner, provider: Provider) -> None:
        await ask(runner, Request(id="r", model="m", messages=USER))
        sent = provider.seen[0].headers["authorization"]
        assert "sk-environment" not in sent
        assert sent == ("Bearer sk-own" if runner.deployment.credentials else "Bearer none")  # type: ignore[attr-defined]

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_API_KEY", "sk-environment")
        run(body)
        run(body, environ={"OWN": "sk-own"}, credentials="env:OWN")


@pytest.mark.parametrize(
    ("fault", "kind", "after"),
    [
        (Fault(status=429, headers={"retry-after": "7"}), RateLimited, 7.0),
        (Fault(status=500), ServerError, None),
        (Fault(status=503), UpstreamOverloaded, None),
        (Fault(status=401), UpstreamAuth, None),
        (Fault(status=404), ModelNotFound, None),
        (Fault(status=400), BadRequest, None),
        (Fault(drop=True), NetworkError, None),
        (
            Fault(
                status=400,
                body=b'{"error":{"message":"This model\'s maximum context length is 8192 tokens. '
                b'However, your messages resulted in 9001 tokens.","type":"invalid_request_error",'
                b'"code":"context_length_exceeded"}}',
            ),
            ContextLengthExceeded,
            None,
        ),
        (Fault(cut_at=3), InferenceError, None),
        (Fault(error_at=3), InferenceError, None),
        (Fault(garbage_at=3), InferenceError, None),
    ],
)
def test_errors_are_typed_and_made_once(
    fault: Fault, kind: type[InferenceError], after: float | None
) -> None:
    async def body(runner: ModelRunner, provider: Provider) -> None:
        provider.faults.append(fault)
        with pytest.raises(kind) as caught:
            await ask(runner, Request(id="r", model="m", messages=USER))
        assert len(provider.seen) == 1, "one attempt is ours; the library makes none of its own"
        if after is not None:
            assert caught.value.retry_after == after
        if isinstance(caught.value, ContextLengthExceeded):
            assert (caught.value.tokens, caught.value.limit) == (9001, 8192)

    run(body)
    assert QuotaExhausted.falls_back


def test_another_wire_behind_it() -> None:
    """The library translates: the same request to Anthropic's Messages API."""

    async def body(runner: ModelRunner, provider: Provider) -> None:
        request = Request(id="r", model="m", messages=USER, sampling=Sampling(max_tokens=20))
        chunks = await ask(runner, request)
        assert "".join(c.text for c in chunks) and chunks[-1].usage is not None
        assert provider.seen[0].path == "/v1/messages"
        biased = Sampling(max_tokens=20, logit_bias={"1": 1.0})
        with pytest.raises(Unsupported):
            await ask(runner, Request(id="r", model="m", messages=USER, sampling=biased))
        with pytest.raises(Unsupported, match="functions"):
            tools = ({"type": "mcp", "server_url": "litellm_proxy"},)
            await ask(runner, Request(id="r", model="m", messages=USER, tools=tools))

    run(body, AnthropicProvider(), "litellm/anthropic/claude-3-5-sonnet-20240620",
        environ={"K": "sk-a"}, credentials="env:K")  # fmt: skip
