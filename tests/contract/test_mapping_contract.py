"""Every feature at every door with every runner behind it: mapped, declared as ignored, or refused.

One table says all of it. A line has the fields of a request by door (None: that door's wire has no
such field) and by runner what becomes of them: a place in the upstream's body with the value that
must stand there, ``no`` with the name of the field that is refused (400,
``unsupported_parameter``), ``ignored`` with the name that the answer declares, or ``ok`` where
there is no upstream to look at.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import httpx
import pytest

from actinium.inference import Deployment, Inference
from actinium.serve import Gateway
from actinium.testkit.anthropic import AnthropicProvider
from actinium.testkit.gateway import served
from actinium.testkit.gemini import GeminiProvider
from actinium.testkit.provider import Provider
from actinium.testkit.responses import ResponsesProvider

Json = dict[str, Any]
DOORS = ("chat", "responses", "messages")
RUNNERS: dict[str, Json] = {
    "openai": {"provider": Provider},
    "responses": {"provider": ResponsesProvider, "options": {"api": "responses"}},
    "anthropic": {"provider": AnthropicProvider, "runtime": "anthropic"},
    "gemini": {"provider": GeminiProvider, "runtime": "gemini"},
    "onnx": {},
}
PATHS = {"chat": "/v1/chat/completions", "responses": "/v1/responses", "messages": "/v1/messages"}
SCHEMA: Json = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"],
                "additionalProperties": False}  # fmt: skip
PNG = "iVBORw0KGgo="
URL = f"data:image/png;base64,{PNG}"


class no(NamedTuple):
    param: str


class ignored(NamedTuple):
    name: str


class at(NamedTuple):
    path: str
    value: Any


OK = "ok"


class Line(NamedTuple):
    feature: str
    doors: dict[str, Json | None]
    runners: dict[str, Any]


def _chat_user(*parts: Json) -> Json:
    return {"messages": [{"role": "user", "content": list(parts)}]}


def _said(text: str) -> Json:
    return {"type": "text", "text": text}


FUNCTION: Json = {"name": "weather", "description": "d", "parameters": SCHEMA}
TABLE = [
    Line("system",
         {"chat": {"messages": [{"role": "system", "content": "S"},
                                {"role": "user", "content": "hi"}]},
          "responses": {"instructions": "S"}, "messages": {"system": "S"}},
         {"openai": at("messages.0", {"role": "system", "content": "S"}),
          "responses": at("input.0", {"role": "system", "content": "S"}),
          "anthropic": at("system", "S"),
          "gemini": at("systemInstruction.parts.0.text", "S"), "onnx": OK}),
    Line("max tokens",
         {"chat": {"max_tokens": 7}, "responses": {"max_output_tokens": 7},
          "messages": {"max_tokens": 7}},
         {"openai": at("max_tokens", 7), "responses": at("max_output_tokens", 7),
          "anthropic": at("max_tokens", 7), "gemini": at("generationConfig.maxOutputTokens", 7),
          "onnx": OK}),
    Line("temperature",
         {door: {"temperature": 0.5} for door in DOORS},
         {"openai": at("temperature", 0.5), "responses": at("temperature", 0.5),
          "anthropic": at("temperature", 0.5), "gemini": at("generationConfig.temperature", 0.5),
          "onnx": OK}),
    Line("top_p",
         {door: {"top_p": 0.5} for door in DOORS},
         {"openai": at("top_p", 0.5), "responses": at("top_p", 0.5), "anthropic": at("top_p", 0.5),
          "gemini": at("generationConfig.topP", 0.5), "onnx": OK}),
    Line("top_k",
         {"chat": {"top_k": 5}, "responses": None, "messages": {"top_k": 5}},
         {"openai": at("top_k", 5), "responses": no("top_k"), "anthropic": at("top_k", 5),
          "gemini": at("generationConfig.topK", 5), "onnx": OK}),
    Line("image by URL",
         {"chat": _chat_user(_said("x"), {"type": "image_url", "image_url": {"url": URL}}),
          "responses": {"input": [{"role": "user", "content": [
              {"type": "input_text", "text": "x"}, {"type": "input_image", "image_url": URL}]}]},
          "messages": {"messages": [{"role": "user", "content": [_said("x"), {
              "type": "image", "source": {"type": "base64", "media_type": "image/png",
                                          "data": PNG}}]}]}},
         {"openai": at("messages.0.content.1.image_url.url", URL),
          "responses": at("input.0.content.1.image_url", URL),
          "anthropic": at("messages.0.content.1.source",
                          {"type": "base64", "media_type": "image/png", "data": PNG}),
          "gemini": at("contents.0.parts.1.inlineData", {"mimeType": "image/png", "data": PNG}),
          "onnx": no("messages[0].content[1]")}),
    Line("tools",
         {"chat": {"tools": [{"type": "function", "function": FUNCTION}]},
          "responses": {"tools": [{"type": "function", **FUNCTION}]},
          "messages": {"tools": [{"name": "weather", "description": "d", "input_schema": SCHEMA}]}},
         {"openai": at("tools.0.function", FUNCTION),
          "responses": at("tools.0.parameters", SCHEMA),
          "anthropic": at("tools.0", {"name": "weather", "description": "d",
                                      "input_schema": SCHEMA}),
          "gemini": at("tools.0.functionDeclarations.0",
                       {"name": "weather", "description": "d", "parametersJsonSchema": SCHEMA}),
          "onnx": OK}),
    Line("choice of a tool",
         {"chat": {"tools": [{"type": "function", "function": FUNCTION}],
                   "tool_choice": {"type": "function", "function": {"name": "weather"}}},
          "responses": {"tools": [{"type": "function", **FUNCTION}],
                        "tool_choice": {"type": "function", "name": "weather"}},
          "messages": {"tools": [{"name": "weather", "input_schema": SCHEMA}],
                       "tool_choice": {"type": "tool", "name": "weather"}}},
         {"openai": at("tool_choice", {"type": "function", "function": {"name": "weather"}}),
          "responses": at("tool_choice", {"type": "function", "name": "weather"}),
          "anthropic": at("tool_choice", {"type": "tool", "name": "weather"}),
          "gemini": at("toolConfig.functionCallingConfig",
                       {"mode": "ANY", "allowedFunctionNames": ["weather"]}), "onnx": OK}),
    Line("one call at a time",
         {"chat": {"tools": [{"type": "function", "function": FUNCTION}],
                   "parallel_tool_calls": False},
          "responses": {"tools": [{"type": "function", **FUNCTION}], "parallel_tool_calls": False},
          "messages": {"tools": [{"name": "weather", "input_schema": SCHEMA}],
                       "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}},
         {"openai": at("parallel_tool_calls", False), "responses": at("parallel_tool_calls", False),
          "anthropic": at("tool_choice", {"type": "auto", "disable_parallel_tool_use": True}),
          "gemini": no("parallel_tool_calls"), "onnx": OK}),
    Line("JSON schema",
         {"chat": {"response_format": {"type": "json_schema", "json_schema": {
             "name": "n", "schema": SCHEMA, "strict": True}}},
          "responses": {"text": {"format": {"type": "json_schema", "name": "n", "schema": SCHEMA,
                                            "strict": True}}},
          "messages": {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}}},
         {"openai": at("response_format.json_schema.schema", SCHEMA),
          "responses": at("text.format.schema", SCHEMA),
          "anthropic": at("output_config.format.schema", SCHEMA),
          "gemini": at("generationConfig.responseJsonSchema", SCHEMA),
          "onnx": no("response_format")}),
    Line("JSON without a schema",
         {"chat": {"response_format": {"type": "json_object"}},
          "responses": {"text": {"format": {"type": "json_object"}}}, "messages": None},
         {"openai": at("response_format", {"type": "json_object"}),
          "responses": at("text.format", {"type": "json_object"}),
          "anthropic": no("response_format"),
          "gemini": at("generationConfig.responseMimeType", "application/json"),
          "onnx": no("response_format")}),
    Line("stop",
         {"chat": {"stop": ["x"]}, "responses": None, "messages": {"stop_sequences": ["x"]}},
         {"openai": at("stop", ["x"]), "responses": no("stop"),
          "anthropic": at("stop_sequences", ["x"]),
          "gemini": at("generationConfig.stopSequences", ["x"]), "onnx": OK}),
    Line("seed",
         {"chat": {"seed": 3}, "responses": None, "messages": None},
         {"openai": at("seed", 3), "responses": no("seed"), "anthropic": no("seed"),
          "gemini": at("generationConfig.seed", 3), "onnx": OK}),
    Line("presence penalty",
         {"chat": {"presence_penalty": 0.5}, "responses": None, "messages": None},
         {"openai": at("presence_penalty", 0.5), "responses": no("presence_penalty"),
          "anthropic": no("presence_penalty"),
          "gemini": at("generationConfig.presencePenalty", 0.5), "onnx": OK}),
    Line("frequency penalty",
         {"chat": {"frequency_penalty": 0.5}, "responses": None, "messages": None},
         {"openai": at("frequency_penalty", 0.5), "responses": no("frequency_penalty"),
          "anthropic": no("frequency_penalty"),
          "gemini": at("generationConfig.frequencyPenalty", 0.5), "onnx": OK}),
    Line("logit bias",
         {"chat": {"logit_bias": {"5": 1.0}}, "responses": None, "messages": None},
         {"openai": at("logit_bias", {"5": 1.0}), "responses": no("logit_bias"),
          "anthropic": no("logit_bias"), "gemini": no("logit_bias"), "onnx": OK}),
    Line("log-probabilities",
         {"chat": {"logprobs": True, "top_logprobs": 2}, "responses": {"top_logprobs": 2},
          "messages": None},
         {"openai": at("top_logprobs", 2), "responses": at("top_logprobs", 2),
          "anthropic": no("logprobs"), "gemini": at("generationConfig.logprobs", 2), "onnx": OK}),
    Line("several choices",
         {"chat": {"n": 2}, "responses": None, "messages": None},
         {"openai": at("n", 2), "responses": no("n"), "anthropic": no("n"),
          "gemini": at("generationConfig.candidateCount", 2), "onnx": OK}),
    Line("effort of reasoning",
         {"chat": {"reasoning_effort": "low"}, "responses": {"reasoning": {"effort": "low"}},
          "messages": {"output_config": {"effort": "low"}}},
         {"openai": at("reasoning_effort", "low"),
          "responses": at("reasoning", {"effort": "low", "summary": "auto"}),
          "anthropic": at("output_config.effort", "low"),
          "gemini": at("generationConfig.thinkingConfig.thinkingBudget", 1024),
          "onnx": ignored("reasoning_effort")}),
    Line("service tier",
         {"chat": {"service_tier": "auto"}, "responses": {"service_tier": "auto"},
          "messages": None},
         {"openai": at("service_tier", "auto"), "responses": at("service_tier", "auto"),
          "anthropic": at("service_tier", "auto"), "gemini": ignored("service_tier"),
          "onnx": ignored("service_tier")}),
    Line("end user",
         {"chat": {"user": "u"}, "responses": {"user": "u"},
          "messages": {"metadata": {"user_id": "u"}}},
         {"openai": at("user", "u"), "responses": at("user", "u"),
          "anthropic": at("metadata.user_id", "u"), "gemini": OK, "onnx": OK}),
    Line("result of a tool",
         {"chat": {"messages": [
             {"role": "user", "content": "hi"},
             {"role": "assistant", "tool_calls": [{"id": "c1", "type": "function", "function": {
                 "name": "weather", "arguments": "{}"}}]},
             {"role": "tool", "tool_call_id": "c1", "content": "sun"}]},
          "responses": {"input": [
              {"role": "user", "content": "hi"},
              {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}"},
              {"type": "function_call_output", "call_id": "c1", "output": "sun"}]},
          "messages": {"messages": [
              {"role": "user", "content": "hi"},
              {"role": "assistant", "content": [
                  {"type": "tool_use", "id": "c1", "name": "weather", "input": {}}]},
              {"role": "user", "content": [
                  {"type": "tool_result", "tool_use_id": "c1", "content": "sun"}]}]}},
         {"openai": at("messages.2", {"role": "tool", "tool_call_id": "c1", "content": "sun"}),
          "responses": at("input.2", {"type": "function_call_output", "call_id": "c1",
                                      "output": "sun"}),
          "anthropic": at("messages.2.content.0.tool_use_id", "c1"),
          "gemini": at("contents.2.parts.0.functionResponse.response", {"result": "sun"}),
          "onnx": OK}),
]  # fmt: skip


def base(door: str) -> Json:
    match door:
        case "responses":
            return {"model": "m", "input": "hi", "max_output_tokens": 3}
        case _:
            return {"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 3}


@asynccontextmanager
async def opened(runner: str) -> Any:
    """A gateway's URL with a provider behind it, None for the model of the package."""
    if runner == "onnx":
        inference = Inference([Deployment(name="m", options={"threads": 1})])
        await inference.start()
        async with Gateway(inference, port=0) as gateway:
            yield gateway.url, None
        await inference.close(drain=0)
        return
    fields = dict(RUNNERS[runner])
    fields["provider"] = fields["provider"]()
    async with served(**fields) as s:
        yield s.gateway.url, s.provider


def found(body: Any, path: str) -> Any:
    for step in path.split("."):
        body = body[int(step)] if isinstance(body, list) else body[step]
    return body


def check(outcome: Any, answer: httpx.Response, provider: Provider | None, where: str) -> None:
    if isinstance(outcome, no):
        error = answer.json()["error"]
        assert answer.status_code == 400, (where, answer.text)
        if "code" in error:  # Anthropic's shape has neither code nor param
            assert (error["code"], error["param"]) == ("unsupported_parameter", outcome.param), (
                where
            )
        else:
            assert error["type"] == "invalid_request_error", where
        assert provider is None or not provider.seen, f"{where}: refused before any cost"
        return
    assert answer.status_code == 200, (where, answer.text)
    declared = answer.headers.get("x-actinium-ignored", "").split(", ")
    if isinstance(outcome, ignored):
        assert outcome.name in declared, where
        return
    assert declared == [""], f"{where}: nothing of it is without effect"
    if isinstance(outcome, at):
        assert provider is not None
        there = found(provider.seen[-1].body, outcome.path)
        if there == [{"type": "text", "text": outcome.value}]:
            there = outcome.value  # Anthropic's longer form of a text
        assert there == outcome.value, where


@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize("door", DOORS)
def test_inf_RQ_7_every_feature_is_mapped_declared_or_refused(door: str, runner: str) -> None:
    async def main() -> None:
        async with opened(runner) as (url, provider), httpx.AsyncClient(base_url=url) as client:
            for line in TABLE:
                fields = line.doors[door]
                if fields is None:
                    continue
                where = f"{line.feature} at {door} with {runner}"
                if provider is not None:
                    provider.seen.clear()
                answer = await client.post(PATHS[door], json={**base(door), **fields}, timeout=60)
                check(line.runners[runner], answer, provider, where)

    asyncio.run(main())


def test_the_table_names_every_runner_and_door() -> None:
    for line in TABLE:
        assert set(line.doors) == set(DOORS), line.feature
        assert set(line.runners) == set(RUNNERS), line.feature
