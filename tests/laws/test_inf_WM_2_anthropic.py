"""What comes in at Anthropic's door goes out to Anthropic's API as the same conversation.

The way leads through our own form: the body is read for a runner of another wire, and then
encoded by the runner of this one. Nothing may be lost or change its place (WM-2, WM-3).
"""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from actinium.inference.runners.anthropic import Options
from actinium.inference.runners.anthropic.encode import encode_call
from actinium.serve.anthropic.read import Behind, read_messages

_WORDS = st.text(min_size=1, max_size=12)
_MARKS = st.sampled_from([{}, {"cache_control": {"type": "ephemeral"}}])
_TEXT = st.builds(lambda text, mark: {"type": "text", "text": text, **mark}, _WORDS, _MARKS)
_IMAGE = st.builds(
    lambda source, mark: {"type": "image", "source": source, **mark},
    st.sampled_from(
        [
            {"type": "base64", "media_type": "image/png", "data": "aGk="},
            {"type": "url", "url": "https://example.org/a.webp"},
        ]
    ),
    _MARKS,
)
_PDF = st.builds(
    lambda title: {
        "type": "document",
        "source": {"type": "base64", "media_type": "application/pdf", "data": "aGk="},
        **title,
    },
    st.sampled_from([{}, {"title": "a.pdf"}]),
)
_JSON = st.dictionaries(_WORDS, st.none() | st.booleans() | st.integers(-9, 9) | _WORDS, max_size=3)
_THOUGHT = st.one_of(
    st.builds(
        lambda text, sign: {"type": "thinking", "thinking": text, "signature": sign}, _WORDS, _WORDS
    ),
    st.builds(lambda data: {"type": "redacted_thinking", "data": data}, _WORDS),
)


@st.composite
def _conversation(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Turns of user and assistant in alternation; each call has its result in the next turn."""
    turns: list[dict[str, Any]] = []
    calls: list[str] = []
    for number in range(draw(st.integers(1, 3))):
        results: list[dict[str, Any]] = []
        for call in calls:
            content = draw(_WORDS | st.lists(_TEXT | _IMAGE, min_size=2, max_size=2))
            results.append({"type": "tool_result", "tool_use_id": call, "content": content})
        said = draw(st.lists(_TEXT | _IMAGE | _PDF, min_size=0 if results else 1, max_size=3))
        turns.append({"role": "user", "content": results + said})
        calls = [f"call_{number}_{n}" for n in range(draw(st.integers(0, 2)))]
        used = [
            {"type": "tool_use", "id": call, "name": draw(_WORDS), "input": draw(_JSON)}
            for call in calls
        ]
        thoughts = draw(st.lists(_THOUGHT, max_size=2))
        texts = draw(st.lists(_TEXT, min_size=0 if used else 1, max_size=2))
        turns.append({"role": "assistant", "content": thoughts + texts + used})
    return turns


@given(
    _conversation(),
    st.lists(_TEXT, max_size=2),
    st.lists(st.builds(lambda name, schema: {"name": name, "input_schema": schema},
                       _WORDS, st.just({"type": "object", "properties": {}})), max_size=2),
    st.sampled_from([None, {"type": "auto"}, {"type": "any"}, {"type": "none"},
                     {"type": "tool", "name": "f"},
                     {"type": "auto", "disable_parallel_tool_use": True}]),
    st.booleans(),
)  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_inf_WM_2_a_conversation_survives_our_own_form(
    turns: list[dict[str, Any]],
    system: list[dict[str, Any]],
    tools: list[dict[str, Any]],
    choice: dict[str, Any] | None,
    stream: bool,
) -> None:
    body: dict[str, Any] = {"model": "m", "max_tokens": 9, "messages": turns, "top_k": 4}
    body |= {"stop_sequences": ["X"], "metadata": {"user_id": "u"}, "temperature": 0.5}
    if system:
        body["system"] = system
    if tools:
        body["tools"] = tools
        if choice is not None:
            body["tool_choice"] = choice
    if stream:
        body["stream"] = True
    none = Behind(native=False, only=False)
    read = read_messages(msgspec.json.encode(body), "i", None, None, lambda model: none)
    assert read.dropped == ()
    assert msgspec.json.decode(encode_call(read.request, "m", Options())) == body, "WM-2"
