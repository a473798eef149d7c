"""Requests -> bodies of the wire, without I/O.

Source: https://docs.anthropic.com/en/api/messages. What the wire lacks is refused by its name;
what has no effect on the answer's text (a participant's name, an image's detail) is named by
:func:`ignored`.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from actinium.errors import BadRequest, Unsupported
from actinium.inference.request import ImagePart, Request

from ..lacking import refuse
from .messages import conversation
from .options import Options

EXTRAS: Final = frozenset(("reasoning_effort", "thinking", "service_tier"))
"""Fields of ``Request.extra`` that have a counterpart."""

_API: Final = "Anthropic's Messages API"
_LACKS: Final = ("n", "presence_penalty", "frequency_penalty", "repetition_penalty", "seed",
                 "logit_bias", "logprobs")  # fmt: skip
_FRAME: Final = frozenset(("model", "stream"))
_encode = msgspec.json.Encoder().encode


def encode_call(request: Request, model: str, options: Options) -> bytes:
    """The body of /v1/messages. Raises BadRequest and Unsupported, naming the field."""
    native = request.native
    if native is not None and native.wire == "anthropic":
        body = {name: value for name, value in native.body.items() if name not in _FRAME}
    else:
        body = _body(request, options)
    body = {"model": model, **body}
    if request.stream:
        body["stream"] = True
    try:
        return _encode(body)
    except RecursionError:  # the arguments of a call came as text and are an object here
        raise BadRequest("the messages are nested too deep", "messages") from None


def encode_count(request: Request, model: str, options: Options) -> bytes:
    """The body of /v1/messages/count_tokens: what of the call the prompt depends on."""
    whole: dict[str, Any] = msgspec.json.decode(encode_call(request, model, options))
    counted = ("model", "messages", "system", "tools", "tool_choice", "thinking", "output_config")
    return _encode({name: whole[name] for name in counted if name in whole})


def ignored(request: Request) -> tuple[str, ...]:
    """The fields of messages that have no counterpart and no effect."""
    if request.native is not None:
        return ()
    names: dict[str, None] = {}
    for message in request.messages:
        if message.name is not None:
            names["messages[].name"] = None
        if isinstance(message.content, tuple):
            for part in message.content:
                if isinstance(part, ImagePart) and part.image_url.get("detail", "auto") != "auto":
                    names["messages[].content[].image_url.detail"] = None
    return tuple(names)


def _body(request: Request, options: Options) -> dict[str, Any]:
    sampling = request.sampling
    _refuse_what_is_lacking(request)
    system, messages = conversation(request.messages, later_system=options.system_messages)
    body: dict[str, Any] = {"max_tokens": sampling.max_tokens or options.max_tokens}
    if system:
        body["system"] = system
    body["messages"] = messages
    for name in ("temperature", "top_p", "top_k"):
        value = getattr(sampling, name)
        if value is not None:
            body[name] = value
    if sampling.stop:
        body["stop_sequences"] = sampling.stop
    if request.tools:
        body["tools"] = [_tool(tool, at) for at, tool in enumerate(request.tools)]
    choice = _choice(request)
    if choice is not None:
        body["tool_choice"] = choice
    if request.user is not None:
        body["metadata"] = {"user_id": request.user}
    output = _output(request)
    if output:
        body["output_config"] = output
    for name in ("thinking", "service_tier"):
        if name in request.extra:
            body[name] = request.extra[name]
    return body


def _refuse_what_is_lacking(request: Request) -> None:
    heat = request.sampling.temperature
    if request.prompt is not None:
        raise Unsupported(f"{_API} does no plain completions; use messages", "prompt")
    if heat is not None and heat > 1:
        raise Unsupported(f"{_API} takes a temperature from 0 to 1, got {heat:g}", "temperature")
    refuse(request, _API, _LACKS)


def _tool(tool: dict[str, Any], at: int) -> dict[str, Any]:
    """A function as a tool, with its cache mark."""
    kind = tool.get("type", "function")
    function = tool.get("function")
    if kind != "function":
        raise Unsupported(
            f"a tool of type {kind!r} - at `$.tools[{at}]`; this runner takes functions, and "
            "Anthropic's own tools through /v1/messages",
            f"tools[{at}].type",
        )
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise BadRequest(
            f"expected a function with a name - at `$.tools[{at}]`", f"tools[{at}].function"
        )
    made: dict[str, Any] = {"name": function["name"]}
    if function.get("description") is not None:
        made["description"] = function["description"]
    made["input_schema"] = function.get("parameters") or {"type": "object", "properties": {}}
    if function.get("strict") is not None:
        made["strict"] = function["strict"]
    if tool.get("cache_control") is not None:
        made["cache_control"] = tool["cache_control"]
    return made


def _choice(request: Request) -> dict[str, Any] | None:
    choice = request.tool_choice
    made: dict[str, Any]
    match choice:
        case None:
            if request.parallel_tool_calls is not False or not request.tools:
                return None
            made = {"type": "auto"}
        case "auto" | "none":
            made = {"type": choice}
        case "required":
            made = {"type": "any"}
        case {"type": "function", "function": {"name": str(name)}}:
            made = {"type": "tool", "name": name}
        case _:
            raise Unsupported(
                'expected "auto", "none", "required" or {"type": "function", "function": '
                f'{{"name": ...}}}}, got {str(choice)[:80]!r} - at `$.tool_choice`',
                "tool_choice",
            )
    if request.parallel_tool_calls is False and made["type"] != "none":
        made["disable_parallel_tool_use"] = True
    return made


def _output(request: Request) -> dict[str, Any]:
    """``output_config``: the effort of thinking, and the schema of the answer."""
    made: dict[str, Any] = {}
    effort = request.extra.get("reasoning_effort")
    if effort is not None:
        made["effort"] = effort
    match request.response_format:
        case None | {"type": "text"}:
            pass
        case {"type": "json_schema", "json_schema": {"schema": dict(schema)}}:
            made["format"] = {"type": "json_schema", "schema": schema}
        case other:
            raise Unsupported(
                "Anthropic's Messages API holds an answer to a JSON schema only; write "
                '{"type": "json_schema", "json_schema": {"name": ..., "schema": ...}}, got '
                f"{str(other.get('type'))[:40]!r} - at `$.response_format`",
                "response_format",
            )
    return made
