"""The message that the chunks of an answer are."""

from __future__ import annotations

import msgspec

from actinium.inference.chunk import Chunk, ToolDelta
from actinium.inference.request import Message
from actinium.inference.session.answer import Answer


def test_a_session_keeps_what_a_provider_wants_back_with_its_calls() -> None:
    signature = {"google": {"thought_signature": "c2ln"}}
    answer = Answer()
    answer.add([Chunk(tool=ToolDelta(0, "a", "now", "{", signature))])
    answer.add(
        [Chunk(tool=ToolDelta(0, arguments="}")), Chunk(tool=ToolDelta(1, "b", "now", "{}"))]
    )
    answer.add([Chunk(finish="tool_calls")])
    message = answer.message()
    assert message.tool_calls is not None
    first, second = message.tool_calls
    assert (first.function.arguments, first.extra_content) == ("{}", signature)
    assert second.extra_content is msgspec.UNSET
    stored = msgspec.msgpack.encode(message)
    assert msgspec.msgpack.decode(stored, type=Message) == message
    assert b"extra_content" not in msgspec.json.encode(second)
