"""POST /v1/responses."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing
from functools import partial
from typing import Any, Literal

import msgspec

from actinium.errors import ActiniumError

from ..context import Call, Context
from ..events import Events
from ..openai.errors import detail_of
from ..responses.read import Read, read_response, response_id
from ..responses.stream import Frame, ResponseStream, whole


class Answer(msgspec.Struct, frozen=True):
    """A whole response, as :class:`actinium.serve.responses.stream.Frame` writes it."""

    id: str
    object: Literal["response"]
    created_at: int
    status: Literal["completed", "incomplete"]
    model: str
    output: list[dict[str, Any]]
    incomplete_details: dict[str, str] | None
    error: None
    instructions: str | None
    previous_response_id: str | None
    parallel_tool_calls: bool
    tool_choice: str | dict[str, Any]
    tools: list[dict[str, Any]]
    text: dict[str, Any]
    reasoning: dict[str, str | None]
    store: bool
    temperature: float | None
    top_p: float | None
    metadata: dict[str, str]
    usage: dict[str, Any] | None


async def responses(context: Context, call: Call) -> None:
    """Answers a conversation, as a stream or whole."""
    http = call.request
    inference = context.inference
    read = read_response(http.body, call.id, keeps=inference.keeps_sessions)
    request = call.with_deadline(read.request)
    if request.session is not None and request.after:
        call.id = response_id(request.session, request.after + 1)
    headers = _headers(context, call, read)
    frame = Frame(call.id, request.model, context.now(), read.body, store=read.store)
    if read.store:
        request = msgspec.structs.replace(request, note=frame.kept)
    if not request.stream:
        body = whole(await inference.complete(request), frame)
        call.reply.send(200, body, headers=headers())
        return
    encoder = ResponseStream(frame)
    reply = call.reply
    place = partial(inference.replica(request.model).place, request.id)
    async with aclosing(inference.generate(request)) as source:
        try:
            await Events(reply, headers, place).send(source, encoder.events, encoder.end)
        except ActiniumError as error:
            if reply.begun and not reply.ended:
                # The status is out: the error goes in band, and no end mark follows (RQ-5).
                reply.end(encoder.failed(detail_of(error)))
                http.keep_alive = False
            raise


def _headers(context: Context, call: Call, read: Read) -> Callable[[], bytes]:
    """What gives the headers, once the answer begins."""
    request = read.request
    ignored = context.inference.replica(request.model).ignored(request)
    return partial(call.headers, (*ignored, *read.dropped))
