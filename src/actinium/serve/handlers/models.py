"""GET /v1/models and /v1/models/{id}."""

from __future__ import annotations

import msgspec

from actinium.errors import ModelNotFound
from actinium.inference.service import ModelInfo

from ..context import Call, Context
from ..openai.shapes import encode


class Model(msgspec.Struct, frozen=True):
    """OpenAI's four fields, and what this server adds."""

    id: str
    object: str
    created: int
    owned_by: str
    state: str
    context: int | None


class Models(msgspec.Struct, frozen=True):
    object: str
    data: list[Model]


async def models(context: Context, call: Call) -> None:
    """All public names."""
    listed = Models("list", [_model(info) for info in context.inference.models()])
    call.reply.send(200, encode(listed), headers=call.headers())


async def model(context: Context, call: Call) -> None:
    """One name."""
    name = call.param("id")
    for info in context.inference.models():
        if info.id == name:
            call.reply.send(200, encode(_model(info)), headers=call.headers())
            return
    context.inference.replica(name)
    raise ModelNotFound(f"the model {name[:64]!r} does not exist here")


def _model(info: ModelInfo) -> Model:
    return Model(info.id, "model", info.created, "actinium", info.state, info.capabilities.context)
