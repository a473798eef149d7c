"""Content blocks of Anthropic's wire -> messages in our form.

What has no form of ours is refused by its place, unless the runner behind takes the whole
request as it came (``native``): then nothing depends on this reading.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from msgspec import UNSET

from actinium.errors import BadRequest, Unsupported
from actinium.inference.request import (
    FilePart,
    FunctionCall,
    ImagePart,
    Message,
    Part,
    TextPart,
    ToolCall,
)

from .body import Block, Turn

T = TypeVar("T")


class Blocks:
    """Reads the turns of one request. ``lost`` names what was left out without a refusal."""

    def __init__(self, *, native: bool) -> None:
        self._native = native
        self.lost: dict[str, None] = {}

    def system(self, given: str | tuple[Block, ...] | None) -> list[Message]:
        if not given:
            return []
        content = given if isinstance(given, str) else self._parts(given, "system")
        return [Message(role="system", content=content)]

    def turn(self, turn: Turn, at: int) -> list[Message]:
        """The messages of a turn: each result of a tool is one of its own."""
        if isinstance(turn.content, str):
            return [Message(role=turn.role, content=turn.content)]
        where = f"messages[{at}].content"
        if turn.role == "assistant":
            return [self._assistant(turn.content, where)]
        messages: list[Message] = []
        parts: list[Block] = []
        first = 0
        for n, block in enumerate(turn.content):
            if block.get("type") != "tool_result":
                first = first if parts else n
                parts.append(block)
                continue
            if parts:
                messages.append(self._said(turn, parts, where, first))
                parts = []
            messages.append(self._result(block, f"{where}[{n}]"))
        if parts or not messages:
            messages.append(self._said(turn, parts, where, first))
        return messages

    def _said(self, turn: Turn, blocks: list[Block], where: str, first: int) -> Message:
        return Message(role=turn.role, content=self._parts(tuple(blocks), where, first))

    def _assistant(self, blocks: tuple[Block, ...], where: str) -> Message:
        calls: list[ToolCall] = []
        thinking: list[Block] = []
        rest: list[Part] = []
        for n, block in enumerate(blocks):
            place = f"{where}[{n}]"
            match block.get("type"):
                case "thinking" | "redacted_thinking":
                    thinking.append(block)
                case "tool_use":
                    calls.append(self._call(block, place))
                case _:
                    rest += self._part(block, place)
        return Message(
            role="assistant",
            content=_plain(rest) if rest or not calls else None,
            tool_calls=tuple(calls) or None,
            thinking_blocks=tuple(thinking) or None,
        )

    def _call(self, block: Block, where: str) -> ToolCall:
        arguments = msgspec.json.encode(need(block, "input", dict, where)).decode()
        extra = block.get("extra_content")
        return ToolCall(
            id=need(block, "id", str, where),
            extra_content=extra if isinstance(extra, dict) else UNSET,
            function=FunctionCall(name=need(block, "name", str, where), arguments=arguments),
        )

    def _result(self, block: Block, where: str) -> Message:
        if block.get("is_error"):
            self.lost["messages[].content[].is_error"] = None
        content = block.get("content")
        if isinstance(content, list):
            content = self._parts(tuple(content), f"{where}.content")
        elif content is not None and not isinstance(content, str):
            raise _wrong(f"{where}.content", "text or blocks", content)
        return Message(
            role="tool",
            tool_call_id=need(block, "tool_use_id", str, where),
            content=content or "",
        )

    def _parts(
        self, blocks: tuple[Block, ...], where: str, first: int = 0
    ) -> str | tuple[Part, ...]:
        parts: list[Part] = []
        for n, block in enumerate(blocks):
            if not isinstance(block, dict):
                raise _wrong(f"{where}[{first + n}]", "a block", block)
            parts += self._part(block, f"{where}[{first + n}]")
        return _plain(parts)

    def _part(self, block: Block, where: str) -> list[Part]:
        mark = block.get("cache_control")
        if mark is not None and not isinstance(mark, dict):
            raise _wrong(f"{where}.cache_control", "an object", mark)
        match block.get("type"):
            case "text":
                return [TextPart(need(block, "text", str, where), mark)]
            case "image":
                url = self._image(need(block, "source", dict, where), where)
                return [ImagePart({"url": url}, mark)] if url is not None else []
            case "document":
                return self._document(block, mark, where)
            case None:
                raise BadRequest(f"a block needs a type - at `$.{where}`", f"{where}.type")
            case kind:
                self._cannot(f"a block of type {str(kind)[:40]!r}", where)
                return []

    def _image(self, source: Block, where: str) -> str | None:
        where = f"{where}.source"
        match source.get("type"):
            case "base64":
                kind = need(source, "media_type", str, where)
                return f"data:{kind};base64,{need(source, 'data', str, where)}"
            case "url":
                return need(source, "url", str, where)
            case kind:
                self._cannot(f"an image from {str(kind)[:40]!r}", where)
                return None

    def _document(self, block: Block, mark: Block | None, where: str) -> list[Part]:
        source = need(block, "source", dict, where)
        where = f"{where}.source"
        match source.get("type"):
            case "base64":
                kind = need(source, "media_type", str, where)
                file = {"file_data": f"data:{kind};base64,{need(source, 'data', str, where)}"}
                if isinstance(block.get("title"), str):
                    file["filename"] = block["title"]
                return [FilePart(file, mark)]
            case "text":
                return [TextPart(need(source, "data", str, where), mark)]
            case kind:
                self._cannot(f"a document from {str(kind)[:40]!r}", where)
                return []

    def _cannot(self, what: str, where: str) -> None:
        if not self._native:
            raise Unsupported(
                f"{what} - at `$.{where}`: only a deployment of Anthropic's own API takes it",
                where,
            )


def need(block: dict[str, Any], field: str, kind: type[T], where: str) -> T:
    """A field that must be there. Raises BadRequest saying what was expected, got, and where."""
    value = block.get(field)
    if not isinstance(value, kind):
        raise _wrong(f"{where}.{field}", f"`{kind.__name__}`", value)
    return value


def _wrong(where: str, expected: str, got: Any) -> BadRequest:
    kind = "nothing" if got is None else f"`{type(got).__name__}`"
    return BadRequest(f"expected {expected}, got {kind} - at `$.{where}`", where, "invalid_type")


def _plain(parts: list[Part]) -> str | tuple[Part, ...]:
    """One unmarked text as such: not every chat template and server reads parts."""
    if not parts:
        return ""
    if len(parts) == 1 and isinstance(parts[0], TextPart) and parts[0].cache_control is None:
        return parts[0].text
    return tuple(parts)
