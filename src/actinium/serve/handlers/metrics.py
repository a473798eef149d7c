"""GET /metrics."""

from __future__ import annotations

from ..context import Call, Context


async def metrics(context: Context, call: Call) -> None:
    """All measures, in the format that the scraper asks for."""
    from actinium.ops.metrics import render  # prometheus-client loads at the first scrape

    accept = call.request.header(b"accept") or ""
    body, content_type = render(context.registry, accept)
    call.reply.send(200, body, content_type.encode(), headers=call.headers())
