"""POST /v1/completions: plain text, one or several prompts."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from functools import partial

from actinium.inference.chunk import Burst, Chunk, Usage, total_of
from actinium.inference.request import Request

from ..context import Call, Context
from ..events import Events
from ..merge import merged
from ..openai.read import read_completion
from ..openai.stream import TextStream
from ..openai.whole import Collector, text_body


async def completions(context: Context, call: Call) -> None:
    """Answers all prompts at once; choice ``p * n + c`` is choice ``c`` of prompt ``p``."""
    http = call.request
    requests, door = read_completion(http.body, call.id, http.header(b"x-session-id"))
    requests = tuple(map(call.with_deadline, requests))
    first = requests[0]
    call.asks(first)
    fingerprint = context.fingerprint(first.model)
    sources = [context.inference.generate(request) for request in requests]
    passed = context.inference.replica(first.model).capabilities.passthrough
    headers = partial(call.headers, () if passed else tuple(first.extra))
    async with aclosing(merged(sources)) as answers:
        if door.stream:
            encoder = TextStream(
                call.id,
                first.model,
                context.now(),
                fingerprint,
                choices=first.n * len(requests),
                usage=door.usage,
            )
            numbered = _numbered(answers, requests)
            async with aclosing(numbered):
                place = partial(context.inference.replica(first.model).place, first.id)
                await Events(call.reply, headers, place).send(numbered, encoder.events, encoder.end)
            return
        parts = [Collector(request.n) for request in requests]
        async for at, burst in answers:
            parts[at].add(burst)
    places = [(at * first.n, part) for at, part in enumerate(parts)]
    body = text_body(call.id, first.model, context.now(), fingerprint, places)
    call.reply.send(200, body, headers=headers())


async def _numbered(
    answers: AsyncGenerator[tuple[int, Burst]], requests: Sequence[Request]
) -> AsyncGenerator[Burst]:
    """The bursts of all prompts with the choices' places in the whole answer."""
    n = requests[0].n
    last: dict[int, Usage] = {}
    async for at, burst in answers:
        if at == 0 and len(requests) == 1:
            yield burst
            continue
        moved: Burst = []
        for chunk in burst:
            usage = chunk.usage
            if usage is not None:
                last[at] = usage
                usage = None
                for part in last.values():
                    usage = total_of(usage, part)
            moved.append(
                Chunk(
                    chunk.index + at * n, chunk.text, chunk.finish, chunk.tool, chunk.logprobs,
                    usage, chunk.reasoning, chunk.refusal,
                )
            )  # fmt: skip
        yield moved
