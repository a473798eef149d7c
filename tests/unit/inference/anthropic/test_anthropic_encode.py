"""Requests in our form -> bodies of Anthropic's wire."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from actinium.errors import BadRequest, Unsupported
from actinium.inference.request import (
    AudioPart,
    FilePart,
    FunctionCall,
    ImagePart,
    Message,
    Native,
    RefusalPart,
    Request,
    Sampling,
    TextPart,
    ToolCall,
)
from actinium.inference.runners.anthropic import Options
from actinium.inference.runners.anthropic.encode import encode_call, encode_count, ignored

MARK = {"type": "ephemeral"}


def user(content: Any = "hi") -> Message:
    return Message(role="user", content=content)


def request(*messages: Message, **fields: Any) -> Request:
    return Request(id="r", model="m", messages=messages or (user(),), **fields)


def sent(asked: Request, **options: Any) -> Any:
    return msgspec.json.decode(encode_call(asked, "claude-x", Options(**options)))


def test_the_least() -> None:
    assert sent(request(stream=False)) == {
        "model": "claude-x",
        "max_tokens": 4096,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
    }
    assert sent(request())["stream"] is True
    assert sent(request(), max_tokens=7)["max_tokens"] == 7


def test_every_field_that_has_a_counterpart() -> None:
    got = sent(
        request(
            sampling=Sampling(temperature=0.5, top_p=0.9, top_k=4, max_tokens=10, stop=("A", "B")),
            user="u1",
            response_format={
                "type": "json_schema",
                "json_schema": {"name": "n", "schema": {"type": "object"}},
            },
            extra={
                "reasoning_effort": "high",
                "thinking": {"type": "adaptive"},
                "service_tier": "auto",
            },
        )
    )
    assert (got["temperature"], got["top_p"], got["top_k"]) == (0.5, 0.9, 4)
    assert got["max_tokens"] == 10 and got["stop_sequences"] == ["A", "B"]
    assert got["metadata"] == {"user_id": "u1"}
    form = {"type": "json_schema", "schema": {"type": "object"}}
    assert got["output_config"] == {"effort": "high", "format": form}
    assert got["thinking"] == {"type": "adaptive"} and got["service_tier"] == "auto"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"sampling": Sampling(presence_penalty=1.0)}, "presence_penalty"),
        ({"sampling": Sampling(frequency_penalty=1.0)}, "frequency_penalty"),
        ({"sampling": Sampling(repetition_penalty=1.1)}, "repetition_penalty"),
        ({"sampling": Sampling(seed=1)}, "seed"),
        ({"sampling": Sampling(logit_bias={"1": 2.0})}, "logit_bias"),
        ({"sampling": Sampling(logprobs=1)}, "logprobs"),
        ({"sampling": Sampling(temperature=1.5)}, "temperature"),
        ({"n": 2}, "n"),
        ({"prompt": "x"}, "prompt"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"tool_choice": "sometimes"}, "tool_choice"),
        ({"tools": ({"type": "web_search"},)}, "tools[0].type"),
    ],
)
def test_inf_RQ_7_what_the_wire_lacks_is_refused_by_name(
    fields: dict[str, Any], param: str
) -> None:
    with pytest.raises(Unsupported) as caught:
        sent(request(**fields))
    assert caught.value.param == param
    assert "Anthropic" in str(caught.value) or param in str(caught.value)


def test_inf_RQ_7_what_has_no_effect_is_named() -> None:
    image = ImagePart({"url": "https://h/x.png", "detail": "high"})
    asked = request(Message(role="user", content=(image,), name="Ann"))
    assert ignored(asked) == ("messages[].name", "messages[].content[].image_url.detail")
    assert ignored(request()) == ()


def test_system_messages() -> None:
    messages = (
        Message(role="system", content="one"),
        Message(role="developer", content=(TextPart("two", MARK), TextPart(""))),
        user(),
        Message(role="system", content="later"),
        user("again"),
    )
    got = sent(request(*messages))
    assert got["system"] == [
        {"type": "text", "text": "one"},
        {"type": "text", "text": "two", "cache_control": MARK},
    ]
    assert [t["role"] for t in got["messages"]] == ["user"]
    assert [b["text"] for b in got["messages"][0]["content"]] == ["hi", "later", "again"]
    kept = sent(request(*messages), system_messages=True)
    assert [t["role"] for t in kept["messages"]] == ["user", "system", "user"]


def test_parts() -> None:
    got = sent(
        request(
            user(
                (
                    TextPart("see"),
                    ImagePart({"url": "data:image/png;base64,aGk="}, MARK),
                    ImagePart({"url": "https://h/x.png"}),
                    FilePart(
                        {"file_data": "data:application/pdf;base64,aGk=", "filename": "a.pdf"}
                    ),
                )
            )
        )
    )
    assert got["messages"][0]["content"] == [
        {"type": "text", "text": "see"},
        {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/png", "data": "aGk="},
            "cache_control": MARK,
        },
        {"type": "image", "source": {"type": "url", "url": "https://h/x.png"}},
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "aGk="},
            "title": "a.pdf",
        },
    ]


@pytest.mark.parametrize(
    ("part", "param"),
    [
        (ImagePart({"url": "http://h/x.png"}), "messages[0].content[0].image_url.url"),
        (ImagePart({"url": "data:image/tiff;base64,aGk="}), "messages[0].content[0].image_url.url"),
        (ImagePart({}), "messages[0].content[0].image_url.url"),
        (FilePart({"file_id": "f1"}), "messages[0].content[0].file"),
        (AudioPart({"data": ""}), "messages[0].content[0]"),
    ],
)
def test_parts_that_cannot_go(part: Any, param: str) -> None:
    with pytest.raises(Unsupported) as caught:
        sent(request(user((part,))))
    assert caught.value.param == param


def test_inf_WM_3_calls_results_and_thinking() -> None:
    thought = {"type": "thinking", "thinking": "hm", "signature": "s"}
    unsigned = {"type": "thinking", "thinking": "hm", "signature": ""}
    hidden = {"type": "redacted_thinking", "data": "d"}
    calls = tuple(
        ToolCall(id=f"c{n}", function=FunctionCall(name="f", arguments=text))
        for n, text in enumerate(('{"x": 1}', ""))
    )
    got = sent(
        request(
            user(),
            Message(
                role="assistant",
                content="so",
                tool_calls=calls,
                thinking_blocks=(thought, unsigned, hidden),
            ),
            Message(role="tool", tool_call_id="c0", content="r0"),
            Message(role="tool", tool_call_id="c1", content=(TextPart("r1"),)),
            user("and?"),
            Message(role="assistant", content=(RefusalPart("no"),)),
            Message(role="assistant", content=""),
            user(""),
        )
    )
    assert got["messages"][1:] == [
        {
            "role": "assistant",
            "content": [
                thought,
                hidden,
                {"type": "text", "text": "so"},
                {"type": "tool_use", "id": "c0", "name": "f", "input": {"x": 1}},
                {"type": "tool_use", "id": "c1", "name": "f", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "c0", "content": "r0"},
                {
                    "type": "tool_result",
                    "tool_use_id": "c1",
                    "content": [{"type": "text", "text": "r1"}],
                },
                {"type": "text", "text": "and?"},
            ],
        },
        {"role": "assistant", "content": [{"type": "text", "text": "no"}]},
    ]


def test_messages_that_cannot_be() -> None:
    call = ToolCall(id="c", function=FunctionCall(name="f", arguments="[1]"))
    for messages, param in (
        ((user(), Message(role="assistant", tool_calls=(call,))),
         "messages[1].tool_calls[0].function.arguments"),
        ((user(), Message(role="tool", content="x")), "messages[1].tool_call_id"),
        ((Message(role="system", content="x"),), "messages"),
        ((user(""),), "messages"),
    ):  # fmt: skip
        with pytest.raises(BadRequest) as caught:
            sent(request(*messages))
        assert caught.value.param == param


def test_tools() -> None:
    schema = {"type": "object", "properties": {}}
    tools = (
        {"type": "function", "cache_control": MARK,
         "function": {"name": "a", "description": "d", "parameters": schema, "strict": True}},
        {"type": "function", "function": {"name": "b"}},
    )  # fmt: skip
    got = sent(request(tools=tools, parallel_tool_calls=False))
    assert got["tools"] == [
        {"name": "a", "description": "d", "input_schema": schema, "strict": True,
         "cache_control": MARK},
        {"name": "b", "input_schema": schema},
    ]  # fmt: skip
    assert got["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}
    for choice, made in (
        ("auto", {"type": "auto"}),
        ("none", {"type": "none"}),
        ("required", {"type": "any"}),
        ({"type": "function", "function": {"name": "b"}}, {"type": "tool", "name": "b"}),
    ):
        assert sent(request(tools=tools, tool_choice=choice))["tool_choice"] == made
    assert "tool_choice" not in sent(request(tools=tools))
    with pytest.raises(BadRequest):
        sent(request(tools=({"type": "function", "function": {}},)))


def test_inf_RQ_7_a_native_request_goes_as_it_came() -> None:
    body = {"model": "m", "stream": False, "max_tokens": 3, "messages": [], "new_field": [1]}
    asked = request(native=Native(wire="anthropic", body=body), user="other", n=3)
    assert sent(asked) == {
        "model": "claude-x", "max_tokens": 3, "messages": [], "new_field": [1], "stream": True,
    }  # fmt: skip
    assert ignored(asked) == ()
    other = request(native=Native(wire="other", body=body))
    assert sent(other)["max_tokens"] == 4096, "another wire's body is nothing to this one"


def test_count() -> None:
    asked = request(sampling=Sampling(max_tokens=5, temperature=0.5), stream=False)
    got = msgspec.json.decode(encode_count(asked, "claude-x", Options()))
    assert set(got) == {"model", "messages"}


def test_arguments_nested_too_deep_are_the_clients_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """The text of a call's arguments can be read at a depth at which it cannot be written."""

    def refuse(body: Any) -> bytes:
        raise RecursionError

    monkeypatch.setattr("actinium.inference.runners.anthropic.encode._encode", refuse)
    with pytest.raises(BadRequest, match="nested too deep"):
        sent(request(user()))
