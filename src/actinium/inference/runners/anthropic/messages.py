"""A conversation in our form -> ``system`` and ``messages`` of the wire.

The API wants turns of user and assistant in alternation and all results of one round of calls
in one user turn: neighbours of the same role become one turn. Empty texts, which the API
refuses, are left out.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from actinium.errors import BadRequest, Unsupported
from actinium.inference.request import (
    FilePart,
    ImagePart,
    Message,
    Part,
    RefusalPart,
    TextPart,
    ToolCall,
)

Block = dict[str, Any]

_DATA_URL: Final = re.compile(r"data:([a-z0-9.+-]+/[a-z0-9.+-]+);base64,(.*)", re.DOTALL)
_IMAGES: Final = ("image/jpeg", "image/png", "image/gif", "image/webp")


def conversation(
    messages: tuple[Message, ...], *, later_system: bool
) -> tuple[list[Block], list[dict[str, Any]]]:
    """The blocks of ``system`` and the turns.

    The system messages at the front are the system prompt; later ones become turns of their
    own with ``later_system``, else text of the user. Raises BadRequest and Unsupported.
    """
    system: list[Block] = []
    turns: list[dict[str, Any]] = []
    for at, message in enumerate(messages):
        blocks = _blocks(message, at)
        role = message.role
        if role in ("system", "developer"):
            if not turns:
                system += blocks
                continue
            role = "system" if later_system else "user"
        elif role == "tool":
            role = "user"
        if not blocks:
            continue
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        else:
            turns.append({"role": role, "content": blocks})
    if not turns:
        raise BadRequest(
            "expected at least one message of a user that is not empty - at `$.messages`",
            "messages",
        )
    return system, turns


def _blocks(message: Message, at: int) -> list[Block]:
    if message.role == "tool":
        return [_result(message, at)]
    blocks: list[Block] = []
    if message.role == "assistant":
        # The API verifies thinking by its signature; without one it would refuse the turn.
        blocks += [
            block
            for block in message.thinking_blocks or ()
            if block.get("signature") or block.get("type") == "redacted_thinking"
        ]
    blocks += _content(message, at)
    for n, call in enumerate(message.tool_calls or ()):
        blocks.append(_call(call, f"messages[{at}].tool_calls[{n}]"))
    return blocks


def _content(message: Message, at: int) -> list[Block]:
    content = message.content
    if content is None or content == "":
        return []
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    made = (_part(part, f"messages[{at}].content[{n}]") for n, part in enumerate(content))
    return [block for block in made if block is not None]


def _part(part: Part, where: str) -> Block | None:
    if isinstance(part, RefusalPart):
        return {"type": "text", "text": part.refusal} if part.refusal else None
    if isinstance(part, TextPart):
        if not part.text:
            return None
        block: Block = {"type": "text", "text": part.text}
    elif isinstance(part, ImagePart):
        block = {"type": "image", "source": _image(part.image_url.get("url"), where)}
    elif isinstance(part, FilePart):
        block = _document(part.file, where)
    else:
        raise Unsupported(
            f"Anthropic's Messages API takes no audio - at `$.{where}`; send its text", where
        )
    if part.cache_control is not None:
        block["cache_control"] = part.cache_control
    return block


def _image(url: Any, where: str) -> Block:
    where = f"{where}.image_url.url"
    if isinstance(url, str):
        if url.startswith("https://"):
            return {"type": "url", "url": url}
        found = _DATA_URL.fullmatch(url)
        if found is not None and found[1] in _IMAGES:
            return {"type": "base64", "media_type": found[1], "data": found[2]}
    raise Unsupported(
        "expected an image as an https URL or as data:image/(jpeg|png|gif|webp);base64,..., got "
        f"{str(url)[:40]!r} - at `$.{where}`",
        where,
    )


def _document(file: dict[str, Any], where: str) -> Block:
    """A PDF by its content."""
    found = _DATA_URL.fullmatch(str(file.get("file_data") or ""))
    if found is None or found[1] != "application/pdf":
        raise Unsupported(
            "expected a PDF as file_data 'data:application/pdf;base64,...' (ids of files belong "
            f"to the server that gave them) - at `$.{where}.file`",
            f"{where}.file",
        )
    source = {"type": "base64", "media_type": found[1], "data": found[2]}
    block: Block = {"type": "document", "source": source}
    if file.get("filename") is not None:
        block["title"] = file["filename"]
    return block


def _call(call: ToolCall, where: str) -> Block:
    text = call.function.arguments
    try:
        given = msgspec.json.decode(text) if text.strip() else {}
    except (msgspec.DecodeError, RecursionError):
        given = None
    if not isinstance(given, dict):
        raise BadRequest(
            f"expected a JSON object as the arguments of a call, got {text[:60]!r} - at "
            f"`$.{where}.function.arguments`",
            f"{where}.function.arguments",
        )
    return {"type": "tool_use", "id": call.id, "name": call.function.name, "input": given}


def _result(message: Message, at: int) -> Block:
    if not message.tool_call_id:
        raise BadRequest(
            f"a tool message needs a tool_call_id - at `$.messages[{at}]`",
            f"messages[{at}].tool_call_id",
        )
    block: Block = {"type": "tool_result", "tool_use_id": message.tool_call_id}
    content = message.content
    if isinstance(content, str):
        block["content"] = content
    elif content:
        block["content"] = _content(message, at)
    return block
