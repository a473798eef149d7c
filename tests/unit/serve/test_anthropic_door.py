"""Bodies and answers of /v1/messages, without I/O but for the gateway's own errors."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actinium.errors import BadRequest, InferenceError, ProtocolError, Unsupported
from actinium.inference.chunk import Burst, Chunk, Detail, ToolDelta, Usage
from actinium.inference.request import FilePart, ImagePart, TextPart
from actinium.serve.anthropic.read import Behind, Read, read_count, read_messages
from actinium.serve.anthropic.stream import MessageStream, whole
from actinium.testkit.gateway import served
from actinium.testkit.rawhttp import ask, get, post

BOTH = Behind(native=True, only=True)
NONE = Behind(native=False, only=False)
MARK = {"type": "ephemeral"}


def read(*content: Any, native: bool = False, beta: str | None = None, **fields: Any) -> Read:
    body = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}
    if content:
        body["messages"] = [{"role": "user", "content": list(content)}]
    raw = msgspec.json.encode(body | fields)
    return read_messages(raw, "msg_1", None, beta, lambda model: Behind(native=native, only=native))


def text(value: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": value, **more}


def test_the_least() -> None:
    got = read()
    request = got.request
    assert [(m.role, m.content) for m in request.messages] == [("user", "hi")]
    assert request.sampling.max_tokens == 5 and not request.stream and got.dropped == ()
    assert request.native is None


def test_fields() -> None:
    form = {"type": "json_schema", "schema": {"type": "object"}}
    request = read(
        system=[text("a", cache_control=MARK), text("b")],
        temperature=0.5,
        top_p=0.9,
        top_k=3,
        stop_sequences=["X"],
        stream=True,
        metadata={"user_id": "u"},
        output_config={"effort": "low", "format": form},
        thinking={"type": "disabled"},
    ).request
    assert request.messages[0].content == (TextPart("a", MARK), TextPart("b"))
    sampling = request.sampling
    assert (sampling.temperature, sampling.top_p, sampling.top_k) == (0.5, 0.9, 3)
    assert sampling.stop == ("X",) and request.stream and request.user == "u"
    assert request.extra == {"reasoning_effort": "low"}
    schema = {"name": "answer", "schema": {"type": "object"}}
    assert request.response_format == {"type": "json_schema", "json_schema": schema}


def test_parts() -> None:
    got = read(
        text("see"),
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}},
        {"type": "image", "cache_control": MARK, "source":
            {"type": "url", "url": "https://h/x.png"}},
        {"type": "document", "title": "a.pdf", "source":
            {"type": "base64", "media_type": "application/pdf", "data": "aGk="}},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "t"}},
    )  # fmt: skip
    assert got.request.messages[0].content == (
        TextPart("see"),
        ImagePart({"url": "data:image/png;base64,aGk="}),
        ImagePart({"url": "https://h/x.png"}, MARK),
        FilePart({"file_data": "data:application/pdf;base64,aGk=", "filename": "a.pdf"}),
        TextPart("t"),
    )


def test_inf_WM_3_calls_thinking_and_results() -> None:
    thought = {"type": "thinking", "thinking": "hm", "signature": "s"}
    turns = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": [
            thought, text("so"),
            {"type": "tool_use", "id": "c", "name": "f", "input": {"x": 1}, "extra_content": {}}]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "c", "content": [text("r")], "is_error": True},
            text("and?")]},
    ]  # fmt: skip
    got = read(messages=turns)
    _, assistant, result, user = got.request.messages
    assert assistant.content == "so" and assistant.thinking_blocks == (thought,)
    assert assistant.tool_calls is not None
    call = assistant.tool_calls[0]
    assert (call.id, call.function.name, call.function.arguments) == ("c", "f", '{"x":1}')
    assert call.extra_content == {}, "what a provider wants back with its call"
    assert (result.role, result.tool_call_id, result.content) == ("tool", "c", "r")
    assert (user.role, user.content) == ("user", "and?")
    assert got.dropped == ("messages[].content[].is_error",)


def test_tools_and_choices() -> None:
    schema = {"type": "object"}
    tool = {"name": "f", "description": "d", "input_schema": schema, "strict": True,
            "cache_control": MARK, "type": "custom"}  # fmt: skip
    request = read(tools=[tool], tool_choice={"type": "any", "disable_parallel_tool_use": True})
    assert request.request.tools == (
        {"type": "function", "cache_control": MARK, "function":
            {"name": "f", "description": "d", "parameters": schema, "strict": True}},
    )  # fmt: skip
    assert request.request.tool_choice == "required"
    assert request.request.parallel_tool_calls is False
    for choice, made in (
        ({"type": "auto"}, "auto"),
        ({"type": "none"}, "none"),
        ({"type": "tool", "name": "f"}, {"type": "function", "function": {"name": "f"}}),
    ):
        assert read(tools=[tool], tool_choice=choice).request.tool_choice == made


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": [{}]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]},
         "messages[0].content[0].text"),
        ({"messages": [{"role": "user", "content": [text("x", cache_control=1)]}]},
         "messages[0].content[0].cache_control"),
        ({"messages": [{"role": "user", "content": [text("x"), {"type": "tool_result"}]}]},
         "messages[0].content[1].tool_use_id"),
        ({"messages": [{"role": "assistant", "content": [{"type": "tool_use", "input": {}}]}]},
         "messages[0].content[0].id"),
        ({"tools": [{"name": "f"}]}, "tools[0].input_schema"),
        ({"tool_choice": {"type": "x"}}, "tool_choice.type"),
        ({"tool_choice": {"type": "tool"}}, "tool_choice.name"),
        ({"output_config": {"format": {"type": "x"}}}, "output_config.format"),
        ({"temperature": 1.5}, "temperature"),
    ],
)  # fmt: skip
def test_inf_GW_2_bad_bodies_say_where(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        read(**fields)
    assert caught.value.param == param and not isinstance(caught.value, Unsupported)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": [{"role": "user", "content": [text("x"), {"type": "search_result"}]}]},
         "messages[0].content[1]"),
        ({"messages": [{"role": "assistant", "content": [{"type": "server_tool_use"}]}]},
         "messages[0].content[0]"),
        ({"messages": [{"role": "user", "content": [
            {"type": "image", "source": {"type": "file", "file_id": "f"}}]}]},
         "messages[0].content[0].source"),
        ({"messages": [{"role": "user", "content": [
            {"type": "document", "source": {"type": "content", "content": []}}]}]},
         "messages[0].content[0].source"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools[0].type"),
    ],
)  # fmt: skip
def test_inf_RQ_7_what_has_no_form_of_ours_is_refused_or_goes_as_it_came(
    fields: dict[str, Any], param: str
) -> None:
    with pytest.raises(Unsupported) as caught:
        read(**fields)
    assert caught.value.param == param
    got = read(native=True, beta="b1", unheard_of=1, **fields)
    native = got.request.native
    assert native is not None and native.body["unheard_of"] == 1 and native.beta == "b1"
    assert got.dropped == ()
    raw = msgspec.json.encode(
        {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}], **fields}
    )
    with pytest.raises(Unsupported):  # another wire may have to answer in its place
        read_messages(raw, "i", None, None, lambda model: Behind(native=True, only=False))


def test_inf_RQ_7_what_is_left_out_is_declared() -> None:
    got = read(thinking={"type": "enabled", "budget_tokens": 1024}, container="c", nothing=None)
    assert got.dropped == ("container", "thinking")


def test_a_sessions_request_does_not_go_as_it_came() -> None:
    raw = msgspec.json.encode(
        {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]}
    )
    got = read_messages(raw, "i", "anna", None, lambda model: BOTH).request
    assert got.session == "anna" and got.native is None
    assert read_count(raw, "i", None, lambda model: BOTH).native is not None


def test_a_beta_header_that_would_break_a_head_is_refused() -> None:
    with pytest.raises(BadRequest, match="anthropic-beta"):
        read(native=True, beta="a\r\nx: y")


@given(st.binary(max_size=200))
def test_fuzzed_bodies_never_raise_outside_inference_error(raw: bytes) -> None:
    with pytest.raises(InferenceError):
        read_messages(raw, "i", None, None, lambda model: NONE)


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(
        ["text", "image", "tool_use", "tool_result", "user", "assistant", "base64", "auto", "x"]
    ),
    lambda v: st.lists(v, max_size=3) | st.dictionaries(
        st.sampled_from(["type", "text", "source", "content", "role", "input", "id", "name",
                         "tool_use_id", "cache_control", "data", "media_type", "title"]),
        v, max_size=5),
    max_leaves=12,
)  # fmt: skip


@given(_VALUES, _VALUES, _VALUES, st.booleans())
def test_fuzzed_json_never_raises_outside_inference_error(
    block: Any, tool: Any, choice: Any, native: bool
) -> None:
    for role in ("user", "assistant"):
        turns = [{"role": role, "content": [block, block]}]
        try:
            read(messages=turns, tools=[tool], tool_choice=choice, native=native)
        except InferenceError:
            continue


def folded(burst: Burst) -> tuple[list[str], dict[str, Any]]:
    stream = MessageStream("msg_1", "m", lambda: 3)
    raw = b"".join(stream.events([chunk]) for chunk in burst) + stream.end()
    kinds = [line[7:] for line in raw.decode().split("\n") if line.startswith("event: ")]
    return kinds, msgspec.json.decode(whole(burst, "msg_1", "m"))


def test_a_text() -> None:
    kinds, body = folded(
        [Chunk(0, "Hi"), Chunk(0, "!", "stop", usage=Usage(input=9, output=2, cached=4))]
    )
    assert kinds == [
        "message_start", "ping", "content_block_start", "content_block_delta",
        "content_block_delta", "content_block_stop", "message_delta", "message_stop",
    ]  # fmt: skip
    assert body["content"] == [text("Hi!")]
    assert (body["stop_reason"], body["stop_sequence"]) == ("end_turn", None)
    assert body["usage"] == {
        "input_tokens": 5, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 4,
        "output_tokens": 2,
    }  # fmt: skip


def test_blocks_open_and_close_in_their_order() -> None:
    block = {"type": "web_search_tool_result", "tool_use_id": "s", "content": []}
    _, body = folded(
        [
            Chunk(0, reasoning="a"),
            Chunk(0, detail=Detail(signature="sig")),
            Chunk(0, detail=Detail(redacted="data")),
            Chunk(0, reasoning="b"),
            Chunk(0, "text"),
            Chunk(0, detail=Detail(citation={"type": "x"})),
            Chunk(0, detail=Detail(block=block)),
            Chunk(0, tool=ToolDelta(0, "c0", "f", extra_content={"google": {}})),
            Chunk(0, tool=ToolDelta(1, "c1", "g")),
            Chunk(0, tool=ToolDelta(0, arguments='{"x":')),
            Chunk(0, tool=ToolDelta(1, arguments="[]")),
            Chunk(0, tool=ToolDelta(0, arguments="1}")),
            Chunk(0, finish="tool_calls"),
        ]
    )
    assert body["content"] == [
        {"type": "thinking", "thinking": "a", "signature": "sig"},
        {"type": "redacted_thinking", "data": "data"},
        {"type": "thinking", "thinking": "b", "signature": ""},
        text("text", citations=[{"type": "x"}]),
        block,
        {
            "type": "tool_use",
            "id": "c0",
            "name": "f",
            "input": {"x": 1},
            "extra_content": {"google": {}},
        },
        {"type": "tool_use", "id": "c1", "name": "g", "input": {"INVALID_JSON": "[]"}},
    ]
    assert body["stop_reason"] == "tool_use"


@pytest.mark.parametrize(
    ("chunk", "reason", "stop"),
    [
        (Chunk(0, finish="length"), "max_tokens", None),
        (Chunk(0, finish="content_filter"), "refusal", None),
        (Chunk(0, finish="stop", detail=Detail(stop="END")), "stop_sequence", "END"),
        (Chunk(0, finish="stop", detail=Detail(reason="pause_turn")), "pause_turn", None),
        (Chunk(0, finish="stop", refusal="no"), "refusal", None),
    ],
)
def test_reasons(chunk: Chunk, reason: str, stop: str | None) -> None:
    _, body = folded([chunk])
    assert (body["stop_reason"], body["stop_sequence"]) == (reason, stop)


def test_inf_RQ_5_an_answer_without_a_finish_is_none() -> None:
    stream = MessageStream("i", "m", lambda: None)
    stream.events([Chunk(0, "x")])
    with pytest.raises(ProtocolError):
        stream.end()
    with pytest.raises(ProtocolError):
        whole([Chunk(0, "x")], "i", "m")
    late = [Chunk(0, tool=ToolDelta(0, "c", "f")), Chunk(0, "x"), Chunk(0, tool=ToolDelta(0))]
    with pytest.raises(ProtocolError, match="had gone on"):
        whole(late, "i", "m")


def test_inf_GW_2_every_error_of_this_door_has_its_shape() -> None:
    async def main() -> None:
        async with served(api_key="sk-right") as s:
            key = "x-api-key: sk-right\r\n"
            path = "/v1/messages"
            for raw, status, kind in (
                (post({}, path), 401, "authentication_error"),
                (post({}, path, "x-api-key: sk-wrong\r\n"), 401, "authentication_error"),
                (post({}, path, key), 400, "invalid_request_error"),
                (post(b"{", path, key), 400, "invalid_request_error"),
                (post({}, "/v1/messages/x", key), 404, "not_found_error"),
                (get(path, headers=key), 405, "invalid_request_error"),
                (post({"model": "x", "max_tokens": 1, "messages": [
                    {"role": "user", "content": "x"}]}, path, key), 404, "not_found_error"),
            ):  # fmt: skip
                got = await ask(s.port, raw)
                assert (got.status, got.json["type"]) == (status, "error")
                assert got.json["error"]["type"] == kind and got.json["error"]["message"]
            count = post(
                {"model": "m", "messages": [{"role": "user", "content": "x"}]},
                "/v1/messages/count_tokens", key,
            )  # fmt: skip
            got = await ask(s.port, count)
            assert got.status == 400 and "only its server knows" in got.json["error"]["message"]

    asyncio.run(main())
