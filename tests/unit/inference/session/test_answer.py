"""The message that the chunks of one answer are."""

from __future__ import annotations

from actinium.inference.chunk import Chunk, Detail, ToolDelta
from actinium.inference.session.answer import Answer


def test_inf_WM_2_thinking_is_kept_as_its_provider_wants_it_back() -> None:
    answer = Answer()
    answer.add([Chunk(0, reasoning="a"), Chunk(0, reasoning="b")])
    answer.add([Chunk(0, detail=Detail(signature="s")), Chunk(0, detail=Detail(redacted="r"))])
    answer.add([Chunk(0, reasoning="c"), Chunk(0, detail=Detail(signature="t"))])
    answer.add([Chunk(0, tool=ToolDelta(0, "id", "f", "{}")), Chunk(0, finish="tool_calls")])
    message = answer.message()
    assert message.thinking_blocks == (
        {"type": "thinking", "thinking": "ab", "signature": "s"},
        {"type": "redacted_thinking", "data": "r"},
        {"type": "thinking", "thinking": "c", "signature": "t"},
    )
    assert message.tool_calls is not None and message.tool_calls[0].id == "id"


def test_an_answer_without_thinking_has_none() -> None:
    answer = Answer()
    answer.add([Chunk(0, "x", detail=Detail(stop="END")), Chunk(0, reasoning="unsigned")])
    assert answer.message().thinking_blocks is None
