"""POST /v1/chat/completions."""

from __future__ import annotations

import asyncio

import msgspec

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
    deadline = call.deadline(asyncio.get_running_loop().time())
    if deadline is not None:
        request = msgspec.structs.replace(request, deadline=deadline)
    source = context.inference.generate(request)
    try:
        headers = call.headers(_ignored(context, request, door))
        if door.stream:
            encoder = ChatStream(
                call.id,
                request.model,
                context.now(),
                context.fingerprint(request.model),
                choices=request.n,
                usage=door.usage,
            )
            await Events(call.reply, headers).send(source, encoder.events, encoder.end)
            return
        whole = Collector(request.n)
        async for burst in source:
            whole.add(burst)
    finally:
        await source.aclose()
    body = whole.chat(call.id, request.model, context.now(), context.fingerprint(request.model))
    call.reply.send(200, body, headers=headers)


def _ignored(context: Context, request: Request, door: Door) -> tuple[str, ...]:
    """The fields of the body that have no effect on this runner."""
    if not request.extra:
        return door.dropped
    runner = context.inference.replica(request.model).runner
    if runner.capabilities().passthrough:
        return door.dropped
    # Metadata is the client's own note; it has no effect anywhere.
    return (*(k for k in request.extra if k != "metadata"), *door.dropped)
