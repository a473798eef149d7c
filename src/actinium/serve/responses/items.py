"""Input items of the Responses API -> messages in our form.

Items that belong to one turn of the assistant (its thoughts, its text, its calls) become one
message. What has no form of ours is refused by its place.
"""

from __future__ import annotations

from typing import Any

from actinium.errors import BadRequest, Unsupported
from actinium.inference.request import (
    AudioPart,
    FilePart,
    FunctionCall,
    ImagePart,
    Message,
    Part,
    RefusalPart,
    TextPart,
    ToolCall,
)

from ..anthropic.blocks import need
from .body import Item
from .thoughts import unpack

_ROLES = ("user", "assistant", "system", "developer")


class _Turn:
    """The assistant's turn that is being put together."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.calls: list[ToolCall] = []
        self.thoughts: list[dict[str, Any]] = []

    def message(self) -> Message | None:
        if not (self.parts or self.calls or self.thoughts):
            return None
        return Message(
            role="assistant",
            content=_plain(self.parts),
            tool_calls=tuple(self.calls) or None,
            thinking_blocks=tuple(self.thoughts) or None,
        )


def messages_of(items: tuple[Item, ...], lost: dict[str, None]) -> list[Message]:
    """The conversation. ``lost`` gets the names of what has no effect. Raises BadRequest and
    Unsupported."""
    found: list[Message] = []
    turn = _Turn()
    for at, item in enumerate(items):
        where = f"input[{at}]"
        kind = item.get("type", "message")
        if kind == "message":
            role = need(item, "role", str, where)
            if role not in _ROLES:
                raise BadRequest(
                    f"expected one of {', '.join(_ROLES)}, got {role[:32]!r} - at `$.{where}.role`",
                    f"{where}.role",
                    "invalid_value",
                )
            parts = _parts(item.get("content"), f"{where}.content")
            if role == "assistant":
                if turn.parts or turn.calls:
                    turn = _closed(turn, found)
                turn.parts += parts
                continue
            turn = _closed(turn, found)
            found.append(Message(role=role, content=_plain(parts)))  # type: ignore[arg-type]
        elif kind == "function_call":
            function = FunctionCall(
                need(item, "name", str, where), need(item, "arguments", str, where)
            )
            turn.calls.append(ToolCall(id=need(item, "call_id", str, where), function=function))
        elif kind == "function_call_output":
            turn = _closed(turn, found)
            output = item.get("output")
            parts = _parts(output, f"{where}.output")
            called = need(item, "call_id", str, where)
            found.append(Message(role="tool", content=_plain(parts), tool_call_id=called))
        elif kind == "reasoning":
            if turn.parts or turn.calls:
                turn = _closed(turn, found)
            blocks = unpack(item)
            if blocks is None:
                lost[f"{where}.encrypted_content"] = None  # another server's
            else:
                turn.thoughts += blocks
        else:
            raise Unsupported(
                f"an item of type {str(kind)[:40]!r} - at `$.{where}`: there are messages, "
                "function_call, function_call_output and reasoning",
                f"{where}.type",
            )
    _closed(turn, found)
    return found


def _closed(turn: _Turn, found: list[Message]) -> _Turn:
    message = turn.message()
    if message is None:
        return turn
    found.append(message)
    return _Turn()


def _parts(content: Any, where: str) -> list[Part]:
    if isinstance(content, str):
        return [TextPart(content)]
    if not isinstance(content, list):
        raise BadRequest(
            f"expected a text or a list of parts, got `{type(content).__name__}` - at `$.{where}`",
            where,
            "invalid_type",
        )
    return [_part(part, f"{where}[{at}]") for at, part in enumerate(content)]


def _part(part: Any, where: str) -> Part:
    if not isinstance(part, dict):
        raise BadRequest(f"expected an object - at `$.{where}`", where, "invalid_type")
    match part.get("type"):
        case "input_text" | "output_text" | "text" | "summary_text":
            return TextPart(need(part, "text", str, where))
        case "refusal":
            return RefusalPart(need(part, "refusal", str, where))
        case "input_image":
            if part.get("file_id") is not None:
                raise Unsupported(
                    f"an image by file_id - at `$.{where}`: this server keeps no files; send its "
                    "URL or its bytes as image_url",
                    f"{where}.file_id",
                )
            image = {"url": need(part, "image_url", str, where)}
            if part.get("detail") is not None:
                image["detail"] = part["detail"]
            return ImagePart(image)
        case "input_file":
            names = ("file_data", "file_id", "filename", "file_url")
            given = {name: part[name] for name in names if part.get(name) is not None}
            return FilePart(given)
        case "input_audio":
            return AudioPart(need(part, "input_audio", dict, where))
        case kind:
            raise Unsupported(
                f"a part of type {str(kind)[:40]!r} - at `$.{where}`", f"{where}.type"
            )


def _plain(parts: list[Part]) -> str | tuple[Part, ...] | None:
    """Text alone as such: not every chat template and server reads parts."""
    if not parts:
        return None
    if len(parts) == 1 and isinstance(parts[0], TextPart):
        return parts[0].text
    return tuple(parts)
