"""Bodies -> requests (RQ-7: no field is dropped without an error or a declaration)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, TypeVar

import msgspec

from actinium.errors import BadRequest, Unsupported
from actinium.inference.request import EmbedRequest, Message, Request

from .body import (
    ChatBody,
    Common,
    CompletionBody,
    EmbeddingBody,
    StrictChatBody,
    StrictCompletionBody,
)
from .errors import bad_body

_MAX_DEPTH: Final = 64
_MAX_INPUTS: Final = 2048
_BROKEN: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_MESSAGE_FIELDS: Final = frozenset(Message.__struct_fields__)

_strict_chat = msgspec.json.Decoder(StrictChatBody).decode
_chat = msgspec.json.Decoder(ChatBody).decode
_strict_completion = msgspec.json.Decoder(StrictCompletionBody).decode
_completion = msgspec.json.Decoder(CompletionBody).decode
_embedding = msgspec.json.Decoder(EmbeddingBody).decode
_object = msgspec.json.Decoder(dict[str, Any]).decode

B = TypeVar("B", bound=Common)


class Door(msgspec.Struct, frozen=True, kw_only=True):
    """What of a body concerns the door and not the model.

    ``dropped`` names fields that no runner gets; they are declared to the client.
    """

    stream: bool
    usage: bool
    dropped: tuple[str, ...] = ()


def read_chat(raw: bytes, id: str, session: str | None) -> tuple[Request, Door]:
    """The request in the body of /v1/chat/completions. Raises BadRequest and Unsupported.

    A session is named by the header (``session``), else by ``metadata.session_id``, else by a
    ``user`` of the form ``session:<id>``.
    """
    extra: dict[str, Any] = {}
    dropped: tuple[str, ...] = ()
    body: ChatBody
    try:
        body = _strict_chat(raw)
    except _BROKEN as error:
        if not _is_unknown_field(error):
            raise bad_body(error) from None
        body, extra, dropped = _read_loose_chat(raw)
    if body.metadata:
        extra["metadata"] = body.metadata
    if body.tools is not None or body.response_format is not None or extra:
        check_depth((body.tools, body.tool_choice, body.response_format, extra))
    parted = [
        message
        for message in body.messages
        if type(message.content) is not str
        or message.tool_calls is not None
        or message.thinking_blocks is not None
    ]
    if parted:
        check_depth(tuple(_free(parted)))
    alternatives = None
    if body.logprobs or body.top_logprobs:
        alternatives = _logprobs(body)
    if session is not None or body.metadata or body.user is not None:
        session = _session(body, session)
    request = Request(
        id=id,
        model=body.model,
        messages=body.messages,
        sampling=body.sampling(body.max_completion_tokens or body.max_tokens, alternatives),
        n=body.n or 1,
        tools=body.tools or (),
        tool_choice=body.tool_choice,
        parallel_tool_calls=body.parallel_tool_calls,
        response_format=body.response_format,
        session=session,
        user=body.user,
        extra=extra,
        stream=bool(body.stream),
    )
    return request, _door(body, dropped)


def read_completion(raw: bytes, id: str, session: str | None) -> tuple[tuple[Request, ...], Door]:
    """The requests in the body of /v1/completions, one per prompt.

    Raises BadRequest and Unsupported (token ids, ``echo``, ``suffix``, ``best_of``, sessions).
    """
    extra: dict[str, Any] = {}
    try:
        body: CompletionBody = _strict_completion(raw)
    except _BROKEN as error:
        if not _is_unknown_field(error):
            raise bad_body(error) from None
        body, extra = _loose(raw, _completion, CompletionBody)
        check_depth((extra,))
    if session is not None:
        raise Unsupported(
            "a session holds a chat; use /v1/chat/completions with it", "x-session-id"
        )
    _refuse_completion_extras(body)
    prompts = _texts(body.prompt, "prompt", 128)
    sampling = body.sampling(body.max_tokens, body.logprobs)
    requests = tuple(
        Request(
            id=id if len(prompts) == 1 else f"{id}-{index}",
            model=body.model,
            prompt=prompt,
            sampling=sampling,
            n=body.n or 1,
            user=body.user,
            extra=extra,
            stream=bool(body.stream),
        )
        for index, prompt in enumerate(prompts)
    )
    return requests, _door(body, ())


def read_embedding(raw: bytes, id: str) -> tuple[EmbedRequest, str]:
    """The request and its encoding format, ``float`` or ``base64``."""
    try:
        body = _embedding(raw)
    except _BROKEN as error:
        raise bad_body(error) from None
    form = body.encoding_format or "float"
    if form not in ("float", "base64"):
        raise BadRequest(
            f"expected 'float' or 'base64', got {form[:32]!r} - at `$.encoding_format`",
            "encoding_format",
            "invalid_value",
        )
    inputs = _texts(body.input, "input", _MAX_INPUTS)
    request = EmbedRequest(id=id, model=body.model, inputs=inputs, dimensions=body.dimensions)
    return request, form


def _is_unknown_field(error: Exception) -> bool:
    return isinstance(error, msgspec.ValidationError) and "unknown field" in str(error)


def _read_loose_chat(raw: bytes) -> tuple[ChatBody, dict[str, Any], tuple[str, ...]]:
    body, extra = _loose(raw, _chat, ChatBody)
    dropped: dict[str, None] = {}
    for message in _object(raw)["messages"]:
        for key, value in message.items():
            # Clients send their last answer back whole; its empty fields say nothing.
            if key not in _MESSAGE_FIELDS and value not in (None, [], {}, ""):
                dropped[f"messages[].{key}"] = None
    return body, extra, tuple(dropped)


def _loose(raw: bytes, decode: Any, kind: type[B]) -> tuple[B, dict[str, Any]]:
    """The body with its unknown fields beside it."""
    try:
        body: B = decode(raw)
        everything = _object(raw)
    except _BROKEN as error:
        raise bad_body(error) from None
    known = kind.__struct_fields__
    return body, {k: v for k, v in everything.items() if k not in known and v is not None}


def _free(messages: Iterable[Message]) -> Iterator[Any]:
    """What of messages is kept as it was sent, and can be nested."""
    for message in messages:
        if isinstance(message.content, tuple):
            for part in message.content:
                yield from (getattr(part, name) for name in part.__struct_fields__)
        for call in message.tool_calls or ():
            yield call.extra_content
        yield from message.thinking_blocks or ()


def check_depth(values: tuple[Any, ...]) -> None:
    """Level by level, so that the depth of the input is never the depth of our stack."""
    level = [v for v in values if isinstance(v, (dict, list, tuple))]
    for _ in range(_MAX_DEPTH):
        deeper: list[Any] = []
        for value in level:
            items = value.values() if isinstance(value, dict) else value
            deeper += [v for v in items if isinstance(v, (dict, list, tuple))]
        if not deeper:
            return
        level = deeper
    raise BadRequest(
        f"the JSON of the body is nested deeper than {_MAX_DEPTH} levels", code="invalid_json"
    )


def _logprobs(body: ChatBody) -> int:
    if not body.logprobs:
        raise BadRequest(
            "top_logprobs needs logprobs: true beside it", "top_logprobs", "invalid_value"
        )
    return body.top_logprobs or 0


def _session(body: ChatBody, header: str | None) -> str | None:
    session, where = header, "x-session-id"
    if session is None and body.metadata:
        session, where = body.metadata.get("session_id"), "metadata.session_id"
    if session is None and body.user is not None and body.user.startswith("session:"):
        session, where = body.user[8:], "user"
    return checked_session(session, where)


def checked_session(session: str | None, where: str) -> str | None:
    """A session's name as it is. Raises BadRequest naming ``where`` it came from."""
    if session is not None and not (
        0 < len(session) <= 128 and session.isascii() and session.isprintable()
    ):
        raise BadRequest(
            "a session id: expected 1 to 128 printable ASCII characters, got "
            f"{len(session)} characters" + ("" if session.isascii() else ", some not ASCII"),
            where,
            "invalid_value",
        )
    return session


def _door(body: Common, dropped: tuple[str, ...]) -> Door:
    options = body.stream_options
    if options is not None and not body.stream:
        raise BadRequest(
            "stream_options needs stream: true beside it", "stream_options", "invalid_value"
        )
    return Door(
        stream=bool(body.stream),
        usage=options is not None and bool(options.include_usage),
        dropped=dropped,
    )


def _refuse_completion_extras(body: CompletionBody) -> None:
    if body.echo:
        raise Unsupported("echo is not supported; put prompt and answer together yourself", "echo")
    if body.suffix:
        raise Unsupported("suffix (text after the gap) is not supported; leave it out", "suffix")
    if body.best_of is not None and body.best_of != (body.n or 1):
        raise Unsupported(
            f"best_of is not supported; leave it out or set it to n ({body.n or 1})", "best_of"
        )


def _texts(
    value: str | tuple[str | int | tuple[int, ...], ...], field: str, limit: int
) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    if not value or len(value) > limit:
        raise BadRequest(
            f"expected 1 to {limit} texts, got {len(value)} - at `$.{field}`",
            field,
            "invalid_value",
        )
    texts = [item for item in value if isinstance(item, str)]
    if len(texts) != len(value):
        raise Unsupported(f"{field}: token ids are not supported; send the text", field)
    return tuple(texts)
