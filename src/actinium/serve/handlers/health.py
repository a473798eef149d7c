"""GET /healthz and /readyz."""

from __future__ import annotations

from typing import Any

from ..context import Call, Context
from ..openai.shapes import encode


async def healthz(context: Context, call: Call) -> None:
    """Alive: the loop turns and answers."""
    call.reply.send(200, b'{"status":"ok"}', headers=call.headers())


async def readyz(context: Context, call: Call) -> None:
    """Ready: at least one deployment serves and nothing is being shut down; else 503.

    With keys of tenants, only the operator is told of the deployments.
    """
    health = context.inference.ready()
    ready = health.ok and not context.draining
    answer: dict[str, Any] = {"status": "ready" if ready else "not ready"}
    if not ready:
        answer["reason"] = "the server is being shut down" if context.draining else health.reason
    if context.may_see_all(call.request):
        answer["deployments"] = context.inference.statistics()
    elif not ready and not context.draining:
        answer["reason"] = "no deployment serves"
    call.reply.send(200 if ready else 503, encode(answer), headers=call.headers())
