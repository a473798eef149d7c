"""Puts the chunks of one answer together into the message they are."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from ..chunk import Burst, Detail, Finish, ToolDelta, Usage
from ..request import FunctionCall, Message, ToolCall


class Answer:
    """Collects the first choice of a stream."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._reasoning = ""
        self._thinking: list[dict[str, str]] = []
        self._calls: dict[int, list[str]] = {}
        self._names: dict[int, tuple[str, str]] = {}
        self._extra: dict[int, dict[str, Any]] = {}
        self.finish: Finish | None = None
        self.usage: Usage | None = None

    def add(self, burst: Burst) -> None:
        for chunk in burst:
            if chunk.text:
                self._text.append(chunk.text)
            if chunk.reasoning:
                self._reasoning += chunk.reasoning
            if chunk.detail is not None:
                self._add_thinking(chunk.detail)
            if chunk.tool is not None:
                self._add_call(chunk.tool)
            self.finish = chunk.finish or self.finish
            self.usage = chunk.usage or self.usage

    def _add_call(self, delta: ToolDelta) -> None:
        call_id, name = self._names.get(delta.index, ("", ""))
        self._names[delta.index] = (delta.id or call_id, delta.name or name)
        self._calls.setdefault(delta.index, []).append(delta.arguments)
        if delta.extra_content is not None:
            self._extra[delta.index] = delta.extra_content

    def _add_thinking(self, detail: Detail) -> None:
        block = detail.thinking(self._reasoning)
        if block is not None:
            self._thinking.append(block)
            self._reasoning = ""

    def message(self) -> Message:
        """The assistant's message so far."""
        calls = tuple(
            ToolCall(
                id=self._names[index][0],
                function=FunctionCall(name=self._names[index][1], arguments="".join(parts)),
                extra_content=self._extra.get(index, UNSET),
            )
            for index, parts in sorted(self._calls.items())
        )
        text = "".join(self._text)
        return Message(
            role="assistant",
            content=text if text or not calls else None,
            tool_calls=calls or None,
            thinking_blocks=tuple(self._thinking) or None,
        )
