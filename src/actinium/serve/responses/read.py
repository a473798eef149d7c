"""Bodies -> requests (RQ-7: no field is dropped without an error or a declaration)."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from actinium.errors import BadRequest, Unsupported
from actinium.inference.request import Message, Request, Sampling

from ..openai.errors import bad_body
from ..openai.read import check_depth
from .body import Body, Format
from .items import messages_of
from .kept import place_of

_BROKEN: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_object = msgspec.json.Decoder(dict[str, Any]).decode
_PASSED: Final = ("service_tier", "safety_identifier", "prompt_cache_key", "prompt_cache_retention")
_LOGPROBS: Final = "message.output_text.logprobs"
_INCLUDED: Final = frozenset((_LOGPROBS, "reasoning.encrypted_content"))


class Read(msgspec.Struct, frozen=True, kw_only=True):
    """A request, the body it was made of, and what of that had no effect, to be declared."""

    request: Request
    body: Body
    store: bool
    dropped: tuple[str, ...] = ()


def read_response(raw: bytes, id: str, *, keeps: bool) -> Read:
    """The request in the body of /v1/responses. Raises BadRequest and Unsupported.

    ``keeps`` says that this server keeps conversations: an answer then belongs to a session named
    after the first response, and ``previous_response_id`` is that session and how many turns it
    had.
    """
    try:
        fields = _object(raw)
        check_depth((fields,))
        body = msgspec.convert(fields, Body)
    except _BROKEN as error:
        raise bad_body(error) from None
    _refuse(body)
    known = Body.__struct_fields__
    lost = {n: None for n, v in fields.items() if n not in known and n not in _PASSED and v}
    session, after = _conversation(body, id, keeps=keeps)
    messages: list[Message] = []
    if body.instructions:
        messages.append(Message(role="system", content=body.instructions))
    if isinstance(body.input, str):
        messages.append(Message(role="user", content=body.input))
    else:
        messages += messages_of(body.input, lost)
    if not messages:
        raise BadRequest("expected at least one item - at `$.input`", "input", "invalid_value")
    _declare(body, lost)
    if body.store and not keeps:
        lost["store"] = None
    request = Request(
        id=id,
        model=body.model,
        messages=tuple(messages),
        sampling=_sampling(body),
        tools=tuple(_tool(tool, f"tools[{at}]") for at, tool in enumerate(body.tools or ())),
        tool_choice=_choice(body.tool_choice),
        parallel_tool_calls=body.parallel_tool_calls,
        response_format=_format(body.text.format) if body.text is not None else None,
        user=body.user,
        extra=_extra(body, fields),
        stream=bool(body.stream),
        session=session,
        after=after,
    )
    return Read(request=request, body=body, store=session is not None, dropped=tuple(lost))


def response_id(session: str, turn: int) -> str:
    """The id of a session's answer; the first one is the session's own name."""
    return session if turn == 1 else f"{session}-{turn}"


def _refuse(body: Body) -> None:
    if body.background:
        raise Unsupported("background: answers are made while you wait", "background")
    if body.conversation is not None:
        raise Unsupported(
            "conversation: this server keeps none; use previous_response_id", "conversation"
        )
    if body.prompt is not None:
        raise Unsupported("prompt: this server keeps no templates; send the text", "prompt")
    if body.truncation not in (None, "auto", "disabled"):
        raise BadRequest(
            f"expected 'auto' or 'disabled', got {body.truncation[:32]!r} - at `$.truncation`",
            "truncation",
            "invalid_value",
        )


def _conversation(body: Body, id: str, *, keeps: bool) -> tuple[str | None, int | None]:
    """The session of the answer, and how many turns it must have."""
    previous = body.previous_response_id
    if previous is None:
        return (id, 0) if keeps and body.store is not False else (None, None)
    if not keeps:
        raise Unsupported(
            "previous_response_id: this server keeps no conversations; send the whole conversation "
            "in input, or start the server with a store",
            "previous_response_id",
        )
    place = place_of(previous)
    if place is None:
        raise BadRequest(
            f"previous_response_id: {previous[:80]!r} is no response of this server",
            "previous_response_id",
            "previous_response_not_found",
        )
    if body.store is False:
        raise Unsupported(
            "store: false with previous_response_id: a turn of a kept conversation is kept", "store"
        )
    return place


def _declare(body: Body, lost: dict[str, None]) -> None:
    """Names what is understood and has no effect here."""
    if body.truncation == "auto":
        lost["truncation"] = None
    reasoning = body.reasoning
    if reasoning is not None and (reasoning.summary or reasoning.generate_summary):
        lost["reasoning.summary"] = None  # what there is of thoughts is sent anyway
    for name in body.include or ():
        if name not in _INCLUDED:
            lost[f"include[{name}]"] = None


def _sampling(body: Body) -> Sampling:
    logprobs = body.top_logprobs
    if logprobs is None and _LOGPROBS in (body.include or ()):
        logprobs = 0
    return Sampling(
        temperature=body.temperature,
        top_p=body.top_p,
        max_tokens=body.max_output_tokens,
        logprobs=logprobs,
    )


def _extra(body: Body, fields: dict[str, Any]) -> dict[str, Any]:
    extra = {name: fields[name] for name in _PASSED if fields.get(name) is not None}
    if body.metadata:
        extra["metadata"] = body.metadata
    if body.reasoning is not None and body.reasoning.effort is not None:
        extra["reasoning_effort"] = body.reasoning.effort
    if body.text is not None and body.text.verbosity is not None:
        extra["verbosity"] = body.text.verbosity
    return extra


def _tool(tool: dict[str, Any], where: str) -> dict[str, Any]:
    """A function in the form of chat; other tools run on OpenAI's servers."""
    if tool.get("type") != "function":
        raise Unsupported(
            f"a tool of type {str(tool.get('type'))[:40]!r} - at `$.{where}`: only functions, "
            "which the client calls itself, are taken",
            f"{where}.type",
        )
    if not isinstance(tool.get("name"), str):
        raise BadRequest(
            f"expected a function with a name - at `$.{where}.name`",
            f"{where}.name",
            "missing_required_parameter",
        )
    names = ("name", "description", "parameters", "strict")
    return {
        "type": "function",
        "function": {name: tool[name] for name in names if tool.get(name) is not None},
    }


def _choice(given: str | dict[str, Any] | None) -> str | dict[str, Any] | None:
    match given:
        case None | str():
            return given
        case {"type": "function", "name": str(name)}:
            return {"type": "function", "function": {"name": name}}
        case {"type": "allowed_tools", "mode": mode, "tools": [*tools]}:
            allowed = [
                {"type": "function", "function": {"name": tool.get("name")}}
                for tool in tools
                if isinstance(tool, dict)
            ]
            return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": allowed}}
    raise Unsupported(
        f"tool_choice: {str(given)[:80]}: there are 'none', 'auto', 'required', a function and "
        "allowed_tools",
        "tool_choice",
    )


def _format(given: Format | None) -> dict[str, Any] | None:
    if given is None or given.type == "text":
        return None
    if given.type != "json_schema":
        return {"type": given.type}
    if given.schema is None or given.name is None:
        raise BadRequest(
            "expected name and schema - at `$.text.format`",
            "text.format",
            "missing_required_parameter",
        )
    schema: dict[str, Any] = {"name": given.name, "schema": given.schema}
    if given.strict is not None:
        schema["strict"] = given.strict
    if given.description is not None:
        schema["description"] = given.description
    return {"type": "json_schema", "json_schema": schema}
