"""POST /v1/embeddings."""

from __future__ import annotations

import base64
from array import array
from typing import Final

import msgspec

from actinium.inference.runner import Embedding

from ..context import Call, Context
from ..openai.read import read_embedding
from ..openai.shapes import encode


class Item(msgspec.Struct, frozen=True):
    object: str
    index: int
    embedding: tuple[float, ...] | str


class Cost(msgspec.Struct, frozen=True):
    prompt_tokens: int
    total_tokens: int


class List(msgspec.Struct, frozen=True):
    object: str
    data: list[Item]
    model: str
    usage: Cost


async def embeddings(context: Context, call: Call) -> None:
    """Answers with one vector per text, in their order."""
    request, form = read_embedding(call.request.body, call.id)
    call.asks(request)
    answer = await context.inference.embed(request)
    body = encode(_list(answer, request.model, form))
    call.reply.send(200, body, headers=call.headers())


_LITTLE: Final = array("f", [1.0]).tobytes() == b"\x00\x00\x80\x3f"


def _list(answer: Embedding, model: str, form: str) -> List:
    items = [
        Item("embedding", index, _base64(vector) if form == "base64" else vector)
        for index, vector in enumerate(answer.vectors)
    ]
    return List("list", items, model, Cost(answer.input_tokens, answer.input_tokens))


def _base64(vector: tuple[float, ...]) -> str:
    """Float32, little-endian, as the official clients ask for by default."""
    numbers = array("f", vector)
    if not _LITTLE:
        numbers.byteswap()
    return base64.b64encode(numbers.tobytes()).decode()
