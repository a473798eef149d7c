"""POST /v1/chat/completions."""

from __future__ import annotations

from contextlib import aclosing
from functools import partial

from ..context import Call, Context
from ..events import Events
from ..openai.read import read_chat
from ..openai.stream import ChatStream
from ..openai.whole import Collector


async def chat(context: Context, call: Call) -> None:
    """Answers a chat, as a stream or whole."""
    http = call.request
    request, door = read_chat(http.body, call.id, http.header(b"x-session-id"))
    request = call.with_deadline(request)
    inference = context.inference
    model = request.model
    # Asked before the answer is made: the name may have gone when it is there.
    fingerprint = context.fingerprint(model)
    replica = inference.replica(model)
    ignored = (*replica.ignored(request), *door.dropped)
    if not door.stream:
        whole = Collector(request.n)
        whole.add(await inference.complete(request))
        body = whole.chat(call.id, model, context.now(), fingerprint)
        call.reply.send(200, body, headers=call.headers(ignored))
        return
    async with aclosing(inference.generate(request)) as source:
        encoder = ChatStream(
            call.id,
            model,
            context.now(),
            fingerprint,
            choices=request.n,
            usage=door.usage,
        )
        place = partial(replica.place, request.id)
        headers = partial(call.headers, ignored)
        await Events(call.reply, headers, place).send(source, encoder.events, encoder.end)
