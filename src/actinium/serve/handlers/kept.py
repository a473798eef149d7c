"""GET and DELETE /v1/responses/{id}, GET /v1/responses/{id}/input_items."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl

import msgspec
from msgspec import Meta

from actinium.errors import BadRequest, SessionNotFound, Unsupported
from actinium.inference.session.window import Turn

from ..context import Call, Context
from ..openai.errors import bad_body
from ..openai.shapes import encode
from ..responses.kept import input_of, place_of, response_of


class Page(msgspec.Struct, frozen=True):
    """Which items: at most ``limit`` of those behind the item ``after``, the last ones first or,
    with ``asc``, in their order."""

    limit: Annotated[int, Meta(ge=1, le=100)] = 20
    order: Literal["asc", "desc"] = "desc"
    after: str | None = None


class Items(msgspec.Struct, frozen=True):
    object: Literal["list"]
    data: list[dict[str, Any]]
    first_id: str | None
    last_id: str | None
    has_more: bool


class Erased(msgspec.Struct, frozen=True):
    id: str
    object: Literal["response"]
    deleted: bool


async def retrieve(context: Context, call: Call) -> None:
    """A response that was kept."""
    query = dict(parse_qsl(call.request.query.decode("latin-1")))
    if query.get("stream", "false").lower() != "false":
        raise Unsupported("stream: a kept response comes whole; leave stream out", "stream")
    id = call.param("id")
    _, _, turns = await _found(context, id)
    call.reply.send(200, encode(response_of(turns[-1], id)), headers=call.headers())


async def input_items(context: Context, call: Call) -> None:
    """What a kept response was asked with, what was said before it included."""
    page = _page(call.request.query)
    session, _, turns = await _found(context, call.param("id"))
    items = input_of(turns, session)
    if page.order == "desc":
        items.reverse()
    if page.after is not None:
        ids = [item["id"] for item in items]
        if page.after not in ids:
            raise BadRequest(f"after: there is no item {page.after[:80]!r}", "after")
        del items[: ids.index(page.after) + 1]
    shown = items[: page.limit]
    first, last = (shown[0]["id"], shown[-1]["id"]) if shown else (None, None)
    answer = Items("list", shown, first, last, len(items) > len(shown))
    call.reply.send(200, encode(answer), headers=call.headers())


async def erase(context: Context, call: Call) -> None:
    """Erases a kept response; what later ones stand on goes with the last of them."""
    id = call.param("id")
    session, turn, _ = await _found(context, id)
    await context.inference.erase(session, turn)
    call.reply.send(200, encode(Erased(id, "response", True)), headers=call.headers())


async def _found(context: Context, id: str) -> tuple[str, int, list[Turn]]:
    """The session of a response, which answer of it that is, and the turns up to it.

    Raises SessionNotFound; Unsupported where none are kept.
    """
    if not context.inference.keeps_sessions:
        raise Unsupported(
            "this server keeps no responses: start it with a store, and leave store out of the "
            "request or true"
        )
    missing = SessionNotFound(f"there is no response {id[:80]!r}; it was not kept, or was erased")
    place = place_of(id)
    if place is None:
        raise missing
    session, turn = place
    kept = await context.inference.kept(session)
    last = kept[turn - 1] if turn <= len(kept) else None
    if last is None or last.note is None:
        raise missing
    return session, turn, [one for one in kept[:turn] if one is not None]


def _page(query: bytes) -> Page:
    try:
        told = dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True))
        return msgspec.convert(told, Page, strict=False)
    except msgspec.ValidationError as error:
        raise bad_body(error) from None
