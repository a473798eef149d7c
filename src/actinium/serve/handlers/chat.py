"""POST /v1/chat/completions."""

from __future__ import annotations

from contextlib import aclosing
from functools import partial

from actinium.inference.request import Request

from ..context import Call, Context
from ..events import Events
from ..openai.read import Door, read_chat
from ..openai.stream import ChatStream
from ..openai.whole import Collector


async def chat(context: Context, call: Call) -> None:
    """Answers a chat, as a stream or whole."""
    http = call.request
    request, door = read_chat(http.body, call.id, http.header(b"x-session-id"))
    request = call.with_deadline(request)
    inference = context.inference
    if not door.stream:
        whole = Collector(request.n)
        whole.add(await inference.complete(request))
        model = request.model
        body = whole.chat(call.id, model, context.now(), context.fingerprint(model))
        call.reply.send(200, body, headers=_headers(context, call, request, door))
        return
    async with aclosing(inference.generate(request)) as source:
        encoder = ChatStream(
            call.id,
            request.model,
            context.now(),
            context.fingerprint(request.model),
            choices=request.n,
            usage=door.usage,
        )
        headers = _headers(context, call, request, door)
        place = partial(inference.replica(request.model).place, request.id)
        await Events(call.reply, headers, place).send(source, encoder.events, encoder.end)


def _headers(context: Context, call: Call, request: Request, door: Door) -> bytes:
    """The headers of the answer, with the fields of the body that had no effect."""
    ignored = context.inference.replica(request.model).ignored(request)
    if ignored or door.dropped:
        return call.headers((*ignored, *door.dropped))
    return call.headers()
