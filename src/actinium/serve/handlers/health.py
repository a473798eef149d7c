"""GET /healthz and /readyz."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from ..context import Call, Context
from ..openai.shapes import encode


class Alive(msgspec.Struct, frozen=True):
    status: str


class Readiness(msgspec.Struct):
    """``reason`` says why it is not ready."""

    status: str
    reason: str | UnsetType = UNSET
    deployments: dict[str, Any] | UnsetType = UNSET


_ALIVE: Final = Alive("ok")


async def healthz(context: Context, call: Call) -> None:
    """Alive: the loop turns and answers."""
    call.reply.send(200, encode(_ALIVE), headers=call.headers())


async def readyz(context: Context, call: Call) -> None:
    """Ready: at least one deployment serves and nothing is being shut down; else 503.

    With keys of tenants, only the operator is told of the deployments.
    """
    health = context.inference.ready()
    ready = health.ok and not context.draining
    answer = Readiness("ready" if ready else "not ready")
    seen = context.may_see_all(call.request)
    if seen:
        answer.deployments = context.inference.statistics()
    if context.draining:
        answer.reason = "the server is being shut down"
    elif not ready:
        answer.reason = (health.reason or "") if seen else "no deployment serves"
    call.reply.send(200 if ready else 503, encode(answer), headers=call.headers())
