"""POST /v1/messages and /v1/messages/count_tokens."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing
from functools import partial
from typing import Any, Literal

import msgspec

from actinium.inference.answering import Answering
from actinium.inference.estimate import estimated_input
from actinium.inference.request import Request

from ..anthropic.read import Behind, Read, read_count, read_messages
from ..anthropic.stream import PING, MessageStream, whole
from ..context import Call, Context
from ..events import Events
from ..faults import Faults

_encode = msgspec.json.Encoder().encode


class Counted(msgspec.Struct, frozen=True):
    input_tokens: int


class Answer(msgspec.Struct, frozen=True):
    """A whole answer, as :func:`actinium.serve.anthropic.stream.whole` writes it."""

    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    model: str
    content: list[dict[str, Any]]
    stop_reason: str | None
    stop_sequence: str | None
    usage: dict[str, Any]


async def messages(context: Context, call: Call) -> None:
    """Answers a conversation, as a stream or whole."""
    http = call.request
    inference = context.inference
    read = read_messages(
        http.body,
        call.id,
        http.header(b"x-session-id"),
        http.header(b"anthropic-beta"),
        partial(behind, context),
    )
    request = call.with_deadline(read.request)
    headers = _headers(context, call, read)
    if not read.stream:
        body = whole(await inference.complete(request), call.id, request.model)
        call.reply.send(200, body, headers=headers())
        return
    async with aclosing(inference.generate(request)) as source:
        replica = inference.replica(request.model)
        count = partial(_input_of, replica, request)
        encoder = MessageStream(call.id, request.model, count)
        place = partial(replica.place, request.id)
        await Events(call.reply, headers, place, PING).send(source, encoder.events, encoder.end)


def _input_of(replica: Answering, request: Request) -> int:
    """The input tokens of a request, by its characters where only the server knows."""
    count = replica.runner.count_tokens(request)
    return estimated_input(request) if count is None else count


async def count_tokens(context: Context, call: Call) -> None:
    """Tells the number of input tokens of a conversation."""
    http = call.request
    request = read_count(
        http.body,
        call.id,
        http.header(b"anthropic-beta"),
        partial(behind, context),
    )
    tokens = await context.inference.count(call.with_deadline(request))
    headers = call.headers() + http.route.faults.headers(call.id)
    call.reply.send(200, _encode(Counted(tokens)), headers=headers)


def behind(context: Context, model: str) -> Behind:
    """What of a model's deployments takes Anthropic's requests as they come."""
    inference = context.inference
    natives = [one.capabilities.native == "anthropic" for one in inference.behind(model)]
    return Behind(native=natives[0], only=all(natives))


def _headers(context: Context, call: Call, read: Read) -> Callable[[], bytes]:
    """What gives the headers, once the answer begins."""
    request = read.request
    ignored = context.inference.replica(request.model).ignored(request)
    faults: Faults = call.request.route.faults
    names = (*ignored, *read.dropped)
    return lambda: call.headers(names) + faults.headers(call.id)
