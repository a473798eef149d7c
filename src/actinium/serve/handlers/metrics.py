"""GET /metrics."""

from __future__ import annotations

from ..context import Call, Context


async def metrics(context: Context, call: Call) -> None:
    """All measures, in the format that the scraper asks for; of all processes of the gateway."""
    from actinium.ops.metrics import render  # prometheus-client loads at the first scrape

    accept = call.request.header(b"accept") or ""
    if context.gather is None:
        body, content_type = render(context.registry, accept)
    else:
        body, content_type = render(await context.gather(), accept, process=False)
    call.reply.send(200, body, content_type.encode(), headers=call.headers())
