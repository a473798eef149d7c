"""Requests -> bodies of /responses.

Source: https://platform.openai.com/docs/api-reference/responses/create. What this half of the wire
lacks is refused by its name. Nothing is kept at the server: thinking that must come back is asked
for in its encrypted form.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from actinium.errors import BadRequest, Unsupported
from actinium.inference.request import (
    AudioPart,
    FilePart,
    ImagePart,
    Message,
    Part,
    RefusalPart,
    Request,
    TextPart,
)

from ...lacking import refuse

EXTRAS: Final = frozenset(
    ("reasoning_effort", "verbosity", "metadata", "service_tier", "safety_identifier",
     "prompt_cache_key", "prompt_cache_retention")
)  # fmt: skip
"""Fields of ``Request.extra`` that have a counterpart."""

_LACKS: Final = ("n", "stop", "seed", "presence_penalty", "frequency_penalty", "repetition_penalty",
                 "top_k", "logit_bias")  # fmt: skip
_INSTEAD: Final = ", or serve this deployment with options.api = 'chat'"
_NAMED: Final = EXTRAS - {"reasoning_effort", "verbosity"}
_encode = msgspec.json.Encoder().encode
Json = dict[str, Any]


def encode_response(request: Request, model: str) -> bytes:
    """The body for a chat. Raises BadRequest and Unsupported, naming the field."""
    refuse(request, "the Responses API", _LACKS, instead=_INSTEAD)
    sampling = request.sampling
    include = ["reasoning.encrypted_content"]
    body: Json = {"model": model, "input": _input(request.messages), "store": False}
    if request.stream:
        body["stream"] = True
    for name in ("temperature", "top_p"):
        value = getattr(sampling, name)
        if value is not None:
            body[name] = value
    if sampling.max_tokens is not None:
        body["max_output_tokens"] = sampling.max_tokens
    if sampling.logprobs is not None:
        include.append("message.output_text.logprobs")
        body["top_logprobs"] = sampling.logprobs
    if request.tools:
        body["tools"] = [_tool(tool, at) for at, tool in enumerate(request.tools)]
    if request.tool_choice is not None:
        body["tool_choice"] = _choice(request.tool_choice)
    if request.parallel_tool_calls is not None:
        body["parallel_tool_calls"] = request.parallel_tool_calls
    text: Json = {}
    if request.response_format is not None:
        text["format"] = _format(request.response_format)
    if "verbosity" in request.extra:
        text["verbosity"] = request.extra["verbosity"]
    if text:
        body["text"] = text
    if "reasoning_effort" in request.extra:
        body["reasoning"] = {"effort": request.extra["reasoning_effort"], "summary": "auto"}
    if request.user is not None:
        body["user"] = request.user
    for name in sorted(_NAMED & request.extra.keys()):
        body[name] = request.extra[name]
    body["include"] = include
    return _encode(body)


def _input(messages: tuple[Message, ...]) -> list[Json]:
    items: list[Json] = []
    for at, message in enumerate(messages):
        where = f"messages[{at}]"
        if message.role == "tool":
            items.append(
                {
                    "type": "function_call_output",
                    "call_id": message.tool_call_id or "",
                    "output": _content(message, "input_text", where) or "",
                }
            )
            continue
        if message.role != "assistant":
            items.append(
                {"role": message.role, "content": _content(message, "input_text", where) or ""}
            )
            continue
        items += [_thought(block) for block in message.thinking_blocks or () if _is_ours(block)]
        content = _content(message, "output_text", where)
        if content:
            items.append({"role": "assistant", "content": content})
        for call in message.tool_calls or ():
            items.append(
                {
                    "type": "function_call",
                    "call_id": call.id,
                    "name": call.function.name,
                    "arguments": call.function.arguments,
                }
            )
    return items


def _is_ours(block: Json) -> bool:
    """Whether a thought is of this wire: its signature is the item's id and what it holds."""
    signature = block.get("signature")
    return isinstance(signature, str) and signature.startswith("rs_") and " " in signature


def _thought(block: Json) -> Json:
    id, _, encrypted = str(block["signature"]).partition(" ")
    text = block.get("thinking")
    summary = [{"type": "summary_text", "text": text}] if text else []
    return {"type": "reasoning", "id": id, "summary": summary, "encrypted_content": encrypted}


def _content(message: Message, text: str, where: str) -> str | list[Json] | None:
    content = message.content
    if content is None or isinstance(content, str):
        return content
    return [_part(part, text, f"{where}.content[{at}]") for at, part in enumerate(content)]


def _part(part: Part, text: str, where: str) -> Json:
    match part:
        case TextPart():
            return {"type": text, "text": part.text}
        case ImagePart():
            url = part.image_url.get("url")
            if not isinstance(url, str):
                raise BadRequest(f"expected a URL - at `$.{where}.image_url.url`", where)
            detail = part.image_url.get("detail", "auto")
            return {"type": "input_image", "image_url": url, "detail": detail}
        case FilePart():
            return {"type": "input_file", **part.file}
        case RefusalPart():
            return {"type": "refusal", "refusal": part.refusal}
        case AudioPart():
            raise Unsupported(f"the Responses API takes no audio - at `$.{where}`", where)


def _tool(tool: Json, at: int) -> Json:
    function = tool.get("function")
    if tool.get("type", "function") != "function" or not isinstance(function, dict):
        raise Unsupported(
            f"a tool of type {str(tool.get('type'))[:40]!r} - at `$.tools[{at}]`; this runner "
            "takes functions",
            f"tools[{at}].type",
        )
    if not isinstance(function.get("name"), str):
        raise BadRequest(
            f"expected a function with a name - at `$.tools[{at}].function`",
            f"tools[{at}].function.name",
        )
    made = {"type": "function", "parameters": None, "strict": False, **function}
    return made


def _choice(choice: str | Json) -> Any:
    match choice:
        case str():
            return choice
        case {"type": "function", "function": {"name": str(name)}}:
            return {"type": "function", "name": name}
        case {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": [*tools]}}:
            named = [_named(tool) for tool in tools]
            if None not in named:
                return {"type": "allowed_tools", "mode": mode, "tools": named}
    raise BadRequest(
        f'expected "auto", "none", "required", a function or allowed_tools, got {str(choice)[:80]}',
        "tool_choice",
    )


def _named(tool: Any) -> Json | None:
    match tool:
        case {"function": {"name": str(name)}}:
            return {"type": "function", "name": name}
    return None


def _format(given: Json) -> Json:
    if given.get("type") != "json_schema":
        return given
    schema = given.get("json_schema")
    if not isinstance(schema, dict):
        raise BadRequest(
            "expected an object - at `$.response_format.json_schema`", "response_format.json_schema"
        )
    return {"type": "json_schema", **schema}
