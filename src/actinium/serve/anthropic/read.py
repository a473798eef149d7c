"""Bodies -> requests (RQ-7: no field is dropped without an error or a declaration)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from actinium.errors import BadRequest, Unsupported
from actinium.inference.request import Message, Native, Request, Sampling

from ..openai.errors import bad_body
from ..openai.read import check_depth, checked_session
from .blocks import Blocks, need
from .body import Body, CountBody

_BROKEN: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_object = msgspec.json.Decoder(dict[str, Any]).decode


class Behind(msgspec.Struct, frozen=True, kw_only=True):
    """What stands behind a model's name: whether the first deployment takes this wire as it
    comes (``native``), and whether all do that may answer in its place (``only``)."""

    native: bool
    only: bool


class Read(msgspec.Struct, frozen=True, kw_only=True):
    """A request and what of its body had no effect; ``dropped`` is declared to the client."""

    request: Request
    stream: bool
    dropped: tuple[str, ...] = ()


def read_messages(
    raw: bytes, id: str, session: str | None, beta: str | None, behind: Callable[[str], Behind]
) -> Read:
    """The request in the body of /v1/messages. Raises BadRequest and Unsupported.

    Where what is ``behind`` the model takes this wire as it comes, the request carries the body,
    and nothing of it is lost. A session's request never does, since its history is not in the
    body. What cannot be translated is refused unless no other deployment may have to answer.
    """
    fields, body = _decoded(raw, Body)
    session = checked_session(session, "x-session-id")
    there = behind(body.model)
    whole = _native(fields, beta) if session is None and there.native else None
    request, dropped = _request(body, id, fields, whole, only=there.only)
    sampling = Sampling(
        temperature=body.temperature,
        top_p=body.top_p,
        top_k=body.top_k,
        max_tokens=body.max_tokens,
        stop=body.stop_sequences or (),
    )
    user = body.metadata.user_id if body.metadata is not None else None
    request = msgspec.structs.replace(
        request, sampling=sampling, session=session, user=user, stream=bool(body.stream)
    )
    return Read(request=request, stream=request.stream, dropped=dropped)


def read_count(raw: bytes, id: str, beta: str | None, behind: Callable[[str], Behind]) -> Request:
    """The request in the body of /v1/messages/count_tokens."""
    fields, body = _decoded(raw, CountBody)
    there = behind(body.model)
    whole = _native(fields, beta) if there.native else None
    return _request(body, id, fields, whole, only=there.only)[0]


def _decoded(raw: bytes, kind: type[Any]) -> tuple[dict[str, Any], Any]:
    try:
        fields = _object(raw)
        check_depth((fields,))
        return fields, msgspec.convert(fields, kind)
    except _BROKEN as error:
        raise bad_body(error) from None


def _native(fields: dict[str, Any], beta: str | None) -> Native:
    beta = beta or ""
    if len(beta) > 1024 or not all(32 <= ord(c) < 127 for c in beta):
        raise BadRequest(
            "expected at most 1024 printable ASCII characters - at header `anthropic-beta`",
            "anthropic-beta",
        )
    return Native(wire="anthropic", body=fields, beta=beta)


def _request(
    body: CountBody, id: str, fields: dict[str, Any], native: Native | None, *, only: bool
) -> tuple[Request, tuple[str, ...]]:
    """Everything the prompt depends on, and what has no effect."""
    lenient = native is not None and only
    blocks = Blocks(native=lenient)
    messages: list[Message] = blocks.system(body.system)
    for at, turn in enumerate(body.messages):
        messages += blocks.turn(turn, at)
    known = type(body).__struct_fields__
    dropped = blocks.lost
    dropped.update(dict.fromkeys(n for n, v in fields.items() if n not in known and v is not None))
    thinking = body.thinking
    if thinking is not None and thinking.get("type") != "disabled":
        dropped["thinking"] = None
    choice, parallel = _choice(body.tool_choice)
    extra, form = _output(body.output_config)
    request = Request(
        id=id,
        model=body.model,
        messages=tuple(messages),
        tools=_tools(body.tools or (), native=lenient),
        tool_choice=choice,
        parallel_tool_calls=parallel,
        response_format=form,
        extra=extra,
        native=native,
    )
    return request, () if native is not None else tuple(dropped)


def _tools(given: tuple[dict[str, Any], ...], *, native: bool) -> tuple[dict[str, Any], ...]:
    """The tools as functions; Anthropic's own need its own server."""
    tools: list[dict[str, Any]] = []
    for at, tool in enumerate(given):
        where = f"tools[{at}]"
        if tool.get("type") not in (None, "custom"):
            if native:
                continue
            raise Unsupported(
                f"a tool of type {str(tool['type'])[:40]!r} - at `$.{where}`: only a deployment "
                "of Anthropic's own API has it; describe a tool by name and input_schema",
                f"{where}.type",
            )
        function: dict[str, Any] = {"name": need(tool, "name", str, where)}
        if tool.get("description") is not None:
            function["description"] = need(tool, "description", str, where)
        function["parameters"] = need(tool, "input_schema", dict, where)
        if tool.get("strict") is not None:
            function["strict"] = tool["strict"]
        made = {"type": "function", "function": function}
        if tool.get("cache_control") is not None:
            made["cache_control"] = tool["cache_control"]
        tools.append(made)
    return tuple(tools)


def _choice(given: dict[str, Any] | None) -> tuple[str | dict[str, Any] | None, bool | None]:
    """The choice of a tool, and whether several may be called at once."""
    if given is None:
        return None, None
    parallel = False if given.get("disable_parallel_tool_use") else None
    match given.get("type"):
        case "auto" | "none" as kind:
            return kind, parallel
        case "any":
            return "required", parallel
        case "tool":
            name = need(given, "name", str, "tool_choice")
            return {"type": "function", "function": {"name": name}}, parallel
        case kind:
            raise BadRequest(
                f"expected 'auto', 'any', 'tool' or 'none', got {str(kind)[:40]!r} - at "
                "`$.tool_choice.type`",
                "tool_choice.type",
                "invalid_value",
            )


def _output(given: dict[str, Any] | None) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """``reasoning_effort`` and the format of ``output_config``."""
    if given is None:
        return {}, None
    extra = {}
    if given.get("effort") is not None:
        extra["reasoning_effort"] = given["effort"]
    form = given.get("format")
    if form is None:
        return extra, None
    if not isinstance(form, dict) or form.get("type") != "json_schema":
        raise BadRequest(
            'expected {"type": "json_schema", "schema": ...} - at `$.output_config.format`',
            "output_config.format",
            "invalid_value",
        )
    schema = need(form, "schema", dict, "output_config.format")
    return extra, {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
