"""Requests -> bodies of Gemini's wire: what is said, how, and what is refused by name."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from actinium.errors import BadRequest, ConfigError, Unsupported
from actinium.inference.request import Message, Request, Sampling
from actinium.inference.runners.gemini.contents import UNSIGNED
from actinium.inference.runners.gemini.encode import encode_call
from actinium.inference.runners.gemini.options import Options, read_options

WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather of a place",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
CLOCK: dict[str, Any] = {"type": "function", "function": {"name": "now"}}
USER = {"role": "user", "content": "hi"}


def sent(
    *messages: dict[str, Any],
    model: str = "gemini-2.5-flash",
    vertex: bool = False,
    options: Options | None = None,
    **fields: Any,
) -> Any:
    said = tuple(msgspec.convert(m, Message) for m in messages or (USER,))
    request = Request(id="1", model="m", messages=said, **fields)
    body = encode_call(request, model, options or Options(), vertex=vertex)
    return msgspec.json.decode(body)


def turns(body: Any) -> Any:
    return [(c["role"], c["parts"]) for c in body["contents"]]


def test_only_what_is_set_is_sent() -> None:
    assert sent() == {
        "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
        "generationConfig": {},
    }


def test_sampling() -> None:
    got = sent(
        n=2,
        sampling=Sampling(
            temperature=0.5, top_p=0.9, top_k=40, max_tokens=64, stop=("END",), seed=7,
            presence_penalty=0.25, frequency_penalty=-0.5, logprobs=3,
        ),
    )  # fmt: skip
    assert got["generationConfig"] == {
        "temperature": 0.5, "topP": 0.9, "topK": 40, "maxOutputTokens": 64, "seed": 7,
        "stopSequences": ["END"], "presencePenalty": 0.25, "frequencyPenalty": -0.5,
        "responseLogprobs": True, "logprobs": 3, "candidateCount": 2,
    }  # fmt: skip
    bare = sent(sampling=Sampling(logprobs=0, temperature=0.0))["generationConfig"]
    assert bare == {"responseLogprobs": True, "temperature": 0.0}


def test_roles_are_turns_and_the_system_is_apart() -> None:
    got = sent(
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": [{"type": "text", "text": "In verse."}]},
        {"role": "user", "content": "one"},
        {"role": "user", "content": [{"type": "text", "text": "two"}]},
        {"role": "assistant", "content": "three"},
        {"role": "user", "content": "four"},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
    )
    assert got["systemInstruction"] == {"parts": [{"text": "Be brief."}, {"text": "In verse."}]}
    assert turns(got) == [
        ("user", [{"text": "one"}, {"text": "two"}]),
        ("model", [{"text": "three"}]),
        ("user", [{"text": "four"}]),
        ("model", [{"text": "no"}]),
    ]


def part(kind: str, value: Any) -> Any:
    return {"role": "user", "content": [{"type": kind, kind: value}]}


def test_images_audio_and_files() -> None:
    png = "data:image/png;base64,iVBORw0KGgo="
    inline = {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}
    for message, expected in (
        (part("image_url", {"url": png}), inline),
        (part("image_url", {"url": "https://x.org/a/cat.jpg?w=1", "detail": "auto"}),
         {"fileData": {"mimeType": "image/jpeg", "fileUri": "https://x.org/a/cat.jpg?w=1"}}),
        (part("image_url", {"url": "https://x.org/cat"}),
         {"fileData": {"fileUri": "https://x.org/cat"}}),
        (part("image_url", {"url": "gs://bucket/cat.webp"}),
         {"fileData": {"mimeType": "image/webp", "fileUri": "gs://bucket/cat.webp"}}),
        (part("input_audio", {"format": "wav", "data": "UklGRg=="}),
         {"inlineData": {"mimeType": "audio/wav", "data": "UklGRg=="}}),
        (part("file", {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}),
         {"inlineData": {"mimeType": "application/pdf", "data": "JVBERi0="}}),
        (part("file", {"file_id": "https://generativelanguage.googleapis.com/v1beta/files/abc"}),
         {"fileData": {"fileUri": "https://generativelanguage.googleapis.com/v1beta/files/abc"}}),
    ):  # fmt: skip
        assert turns(sent(message)) == [("user", [expected])]


def test_one_detail_of_all_images() -> None:
    low = part("image_url", {"url": "https://x.org/a.png", "detail": "low"})
    high = part("image_url", {"url": "https://x.org/a.png", "detail": "high"})
    got = sent(low, low)["generationConfig"]["mediaResolution"]
    assert got == "MEDIA_RESOLUTION_LOW"
    with pytest.raises(Unsupported, match="high and low"):
        sent(low, high)


def call(id: str, name: str, arguments: str, signature: str | None = None) -> dict[str, Any]:
    made: dict[str, Any] = {"id": id, "function": {"name": name, "arguments": arguments}}
    if signature is not None:
        made["extra_content"] = {"google": {"thought_signature": signature}}
    return made


def test_calls_and_their_results_two_of_one_tool_kept_apart() -> None:
    got = sent(
        USER,
        {
            "role": "assistant",
            "content": "Let me look.",
            "tool_calls": [
                call("a", "get_weather", '{"city": "Paris", "n": 1.50}', "c2ln"),
                call("b", "get_weather", '{"city": "London"}'),
                call("c", "now", ""),
            ],
        },
        {"role": "tool", "tool_call_id": "c", "content": "12:00"},
        {"role": "tool", "tool_call_id": "b", "content": '{"rain": true}'},
        {"role": "tool", "tool_call_id": "a", "content": [{"type": "text", "text": "[1]"}]},
        {"role": "user", "content": "and now?"},
        tools=(WEATHER, CLOCK),
    )
    paris = {"id": "a", "name": "get_weather", "args": {"city": "Paris", "n": 1.5}}
    assert turns(got)[1:] == [
        (
            "model",
            [
                {"text": "Let me look."},
                {"functionCall": paris, "thoughtSignature": "c2ln"},
                {"functionCall": {"id": "b", "name": "get_weather", "args": {"city": "London"}}},
                {"functionCall": {"id": "c", "name": "now", "args": {}}},
            ],
        ),
        (
            "user",
            [
                {"functionResponse": {"id": "a", "name": "get_weather",
                                      "response": {"result": "[1]"}}},
                {"functionResponse": {"id": "b", "name": "get_weather",
                                      "response": {"rain": True}}},
                {"functionResponse": {"id": "c", "name": "now", "response": {"result": "12:00"}}},
            ],
        ),
        ("user", [{"text": "and now?"}]),
    ]  # fmt: skip


def test_a_call_that_another_model_made_passes_the_check_of_signatures() -> None:
    calls = [call("a", "now", "{}"), call("b", "now", "{}")]
    messages = (USER, {"role": "assistant", "tool_calls": calls})
    for model, expected in (("gemini-3-flash-preview", UNSIGNED), ("gemini-2.5-pro", None)):
        first, second = turns(sent(*messages, model=model))[1][1]
        assert first.get("thoughtSignature") == expected
        assert "thoughtSignature" not in second


def test_numbers_of_arguments_and_results_are_not_rewritten() -> None:
    big = '{"id":12345678901234567890123,"x":1.10}'
    said = (USER, {"role": "assistant", "tool_calls": [call("a", "now", big)]},
            {"role": "tool", "tool_call_id": "a", "content": big})  # fmt: skip
    request = Request(id="1", model="m", messages=tuple(msgspec.convert(m, Message) for m in said))
    body = encode_call(request, "gemini-2.5-pro", Options(), vertex=False)
    assert body.count(b"12345678901234567890123") == body.count(b"1.10") == 2


def test_tools_and_choices() -> None:
    got = sent(tools=(WEATHER, CLOCK))
    function = WEATHER["function"]
    declared = {"name": "get_weather", "description": "Weather of a place",
                "parametersJsonSchema": function["parameters"]}  # fmt: skip
    assert got["tools"] == [{"functionDeclarations": [declared, {"name": "now"}]}]
    assert "toolConfig" not in got
    named = {"type": "function", "function": {"name": "now"}}
    allowed = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [CLOCK]}}
    for choice, config in (
        ("auto", None),
        ("none", {"mode": "NONE"}),
        ("required", {"mode": "ANY"}),
        (named, {"mode": "ANY", "allowedFunctionNames": ["now"]}),
        (allowed, {"mode": "VALIDATED", "allowedFunctionNames": ["now"]}),
    ):
        found = sent(tools=(WEATHER, CLOCK), tool_choice=choice).get("toolConfig")
        assert found == (None if config is None else {"functionCallingConfig": config})
    strict = {"type": "function", "function": {"name": "now", "strict": True}}
    assert sent(tools=(strict,))["toolConfig"] == {"functionCallingConfig": {"mode": "VALIDATED"}}


def test_formats() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    assert sent(response_format={"type": "text"})["generationConfig"] == {}
    got = sent(response_format={"type": "json_object"})["generationConfig"]
    assert got == {"responseMimeType": "application/json"}
    wish = {"name": "x", "schema": schema, "description": "An answer", "strict": True}
    got = sent(response_format={"type": "json_schema", "json_schema": wish})["generationConfig"]
    assert got == {
        "responseMimeType": "application/json",
        "responseJsonSchema": {**schema, "description": "An answer"},
    }


@pytest.mark.parametrize(
    ("model", "extra", "options", "expected"),
    [
        ("gemini-2.5-flash", {"reasoning_effort": "low"}, {}, {"thinkingBudget": 1024}),
        ("gemini-2.5-flash", {"reasoning_effort": "none"}, {}, {"thinkingBudget": 0}),
        ("gemini-3-pro", {"reasoning_effort": "high"}, {}, {"thinkingLevel": "HIGH"}),
        ("tunedModels/x", {"reasoning_effort": "low"}, {"thinking": "level"},
         {"thinkingLevel": "LOW"}),
        ("gemini-3-pro", {}, {"include_thoughts": True}, {"includeThoughts": True}),
        ("gemini-3-pro", {"google": {"thinking_config": {"include_thoughts": False}}},
         {"include_thoughts": True}, {"includeThoughts": False}),
        ("gemini-2.5-pro", {"extra_body": {"google": {"thinking_config": {
            "thinking_budget": 128, "include_thoughts": True}}}}, {},
         {"thinkingBudget": 128, "includeThoughts": True}),
        ("gemini-3-pro", {"reasoning_effort": "low", "google": {"thinking_config": {
            "include_thoughts": True}}}, {}, {"thinkingLevel": "LOW", "includeThoughts": True}),
    ],
)  # fmt: skip
def test_thinking(
    model: str, extra: dict[str, Any], options: dict[str, Any], expected: dict[str, Any]
) -> None:
    got = sent(model=model, extra=extra, options=Options(**options))
    assert got["generationConfig"]["thinkingConfig"] == expected


def test_safety_cache_and_labels() -> None:
    options = Options(safety={"HATE": "BLOCK_NONE", "DANGER": "OFF"}, labels={"team": "a"})
    own = [{"category": "HATE", "threshold": "BLOCK_LOW_AND_ABOVE"}]
    extra = {"google": {"safety_settings": own, "cached_content": "cachedContents/1"}}
    got = sent(options=options, extra=extra)
    assert got["safetySettings"] == [{"category": "DANGER", "threshold": "OFF"}, *own]
    assert got["cachedContent"] == "cachedContents/1" and got["labels"] == {"team": "a"}


TOOL = {"role": "tool", "tool_call_id": "?", "content": "x"}
ASKED = {"role": "assistant", "tool_calls": [call("a", "now", "[1]")]}
SVG = part("image_url", {"url": "ftp://x/a.png"})


@pytest.mark.parametrize(
    ("fields", "param", "says"),
    [
        ({"sampling": Sampling(logit_bias={"1": 2.0})}, "logit_bias", "no logit_bias"),
        ({"sampling": Sampling(repetition_penalty=1.1)}, "repetition_penalty", "frequency_penalty"),
        ({"sampling": Sampling(stop=tuple("abcdef"))}, "stop", "at most 5"),
        ({"sampling": Sampling(seed=2**31)}, "seed", "32 bits"),
        ({"parallel_tool_calls": False}, "parallel_tool_calls", "several calls"),
        ({"tools": ({"type": "web_search"},)}, "tools[0].type", "takes functions"),
        ({"tools": ({"type": "function"},)}, "tools[0].function.name", "with a name"),
        ({"tool_choice": "required"}, "tool_choice", "needs tools"),
        ({"tools": (CLOCK,), "tool_choice": "maybe"}, "tool_choice", "got maybe"),
        ({"tools": (CLOCK,), "tool_choice": {"type": "function", "function": {"name": "x"}}},
         "tool_choice", "does not have"),
        ({"response_format": {"type": "grammar"}}, "response_format.type", "json_schema"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema.schema",
         "as an object"),
        ({"extra": {"reasoning_effort": "extreme"}}, "reasoning_effort", "medium, high"),
        ({"extra": {"google": {"thinking": 1}}}, "google", "unknown field `thinking`"),
        ({"extra": {"extra_body": {"x": 1}}}, "extra_body", "unknown field `x`"),
        ({"extra": {"extra_body": {}, "google": {}}}, "google", "got both"),
        ({"extra": {"reasoning_effort": "low", "google": {"thinking_config": {
            "thinking_budget": 1}}}}, "reasoning_effort", "got both"),
        ({"messages": (TOOL,)}, "messages[0].tool_call_id", "no message before"),
        ({"messages": (USER, ASKED)}, "messages[1].tool_calls[0].function.arguments", "an object"),
        ({"messages": (SVG,)}, "messages[0].content[0].image_url.url", "gs://"),
        ({"messages": ({**USER, "name": "Ann"},)}, "messages[0].name", "no names"),
        ({"messages": ({**SVG, "role": "system"},)}, "messages[0].content[0]", "takes text"),
        ({"messages": ({"role": "system", "content": "x"},)}, "messages", "of the user"),
        ({"messages": (part("input_audio", {"format": "midi", "data": ""}),)},
         "messages[0].content[0].input_audio.format", "wav"),
        ({"messages": (part("file", {"file_data": "x"}),)},
         "messages[0].content[0].file.file_data", "base64"),
        ({"messages": (part("image_url", {"url": "https://x.org/a.png", "detail": "ultra"}),)},
         "messages[0].content[0].image_url.detail", "'auto'"),
        ({"messages": (part("image_url", {"url": "https://x.org/a"}),), "vertex": True},
         "messages[0].content[0].image_url.url", "data URL"),
    ],
)  # fmt: skip
def test_inf_RQ_7_what_gemini_does_not_do_is_refused_by_name(
    fields: dict[str, Any], param: str, says: str
) -> None:
    messages = fields.pop("messages", (USER,))
    with pytest.raises(BadRequest, match=says.replace("[", r"\[")) as caught:
        sent(*messages, **fields)
    assert caught.value.param == param


def test_plain_completions_are_refused() -> None:
    request = Request(id="1", model="m", prompt="Once")
    with pytest.raises(Unsupported, match="no plain completions"):
        encode_call(request, "gemini-2.5-flash", Options(), vertex=False)


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        ({"projekt": "x"}, "did you mean 'project'"),
        ({"project": "x"}, "only for runtime 'vertex'"),
        ({"token_seconds": 0}, "only for|above 0"),
        ({"headers": {"X-Goog-Api-Key": "x"}}, "credentials"),
        ({"thinking": "much"}, "Invalid enum value"),
    ],
)
def test_options(raw: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        read_options("d", raw, vertex=False)
    assert read_options("d", {"project": "p"}, vertex=True).project == "p"


@pytest.mark.parametrize(
    "odd",
    [
        part("input_audio", {"format": {}, "data": ""}),
        part("image_url", {"url": "https://["}),
        part("file", {"file_id": "https://["}),
    ],
)
def test_parts_that_are_nothing_are_the_clients_fault(odd: Any) -> None:
    """Any other error would be counted against the deployment, and so harm everybody."""
    with pytest.raises(BadRequest):
        sent(odd)
