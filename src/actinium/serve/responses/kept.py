"""Turns of a session -> the responses they were, and the items that went in.

What a session keeps of an answer is its text, its calls and the thoughts that its provider wants
back: not log probabilities, refusals or other thoughts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

from actinium.inference.request import (
    AudioPart,
    FilePart,
    ImagePart,
    Message,
    Part,
    RefusalPart,
    TextPart,
)
from actinium.inference.session.window import Turn

from .output import Event
from .stream import ending
from .thoughts import pack

_ID: Final = re.compile(r"resp_[0-9a-f]{8,64}(?:-[1-9]\d{0,8})?")


def place_of(id: str) -> tuple[str, int] | None:
    """The session of a response's id and which of its answers it is; None for other texts."""
    if not _ID.fullmatch(id):
        return None
    session, _, turn = id.partition("-")
    return session, int(turn or 1)


def response_of(turn: Turn, id: str) -> Event:
    """The whole response that a turn with a note was."""
    items = items_of(turn.messages[-1:], id.removeprefix("resp_"))
    if turn.finish == "length" and items:
        items[-1]["status"] = "incomplete"
    return {**(turn.note or {}), **ending(turn.finish, items, turn.usage)}


def input_of(turns: Sequence[Turn], session: str) -> list[Event]:
    """What the last of these turns was asked with, from the conversation's beginning on.

    Instructions are no items.
    """
    messages: list[Message] = []
    for turn in turns:
        told = (turn.note or {}).get("instructions")
        messages += (
            m for m in turn.messages if not (told and m.role == "system" and m.content == told)
        )
    return items_of(messages[:-1], f"{session.removeprefix('resp_')}in")


def items_of(messages: Iterable[Message], id: str) -> list[Event]:
    """Messages as items; their ids begin with ``id`` and go on with their places."""
    items: list[Event] = []

    def add(kind: str, short: str, **fields: Any) -> None:
        items.append({"type": kind, "id": f"{short}_{id}{len(items)}", **fields})

    for message in messages:
        for block in message.thinking_blocks or ():
            text = block.get("thinking")
            summary = [{"type": "summary_text", "text": text}] if text else []
            add("reasoning", "rs", summary=summary, encrypted_content=pack([block]))
        parts = _parts(message)
        if message.role == "tool":
            output = message.content if isinstance(message.content, str) else parts
            add("function_call_output", "fco", status="completed", call_id=message.tool_call_id,
                output=output)  # fmt: skip
        elif parts:
            add("message", "msg", status="completed", role=message.role, content=parts)
        for call in message.tool_calls or ():
            add("function_call", "fc", status="completed", call_id=call.id,
                name=call.function.name, arguments=call.function.arguments)  # fmt: skip
    return items


def _parts(message: Message) -> list[Event]:
    content = message.content
    if content is None:
        return []
    parts: tuple[Part, ...] = (TextPart(content),) if isinstance(content, str) else content
    return [_part(part, said=message.role == "assistant") for part in parts]


def _part(part: Part, *, said: bool) -> Event:
    match part:
        case TextPart(text=text) if said:
            return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
        case TextPart(text=text):
            return {"type": "input_text", "text": text}
        case RefusalPart(refusal=refusal):
            return {"type": "refusal", "refusal": refusal}
        case ImagePart(image_url=image):
            return {
                "type": "input_image", "image_url": image["url"],
                "detail": image.get("detail", "auto"),
            }  # fmt: skip
        case AudioPart(input_audio=audio):
            return {"type": "input_audio", "input_audio": audio}
        case FilePart(file=file):
            return {"type": "input_file", **file}
