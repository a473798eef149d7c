"""The OpenAPI 3.1 document of what a gateway serves, made of the routes and types it works with.

Source: https://spec.openapis.org/oas/v3.1.0; JSON Schema of the types by ``msgspec``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from .context import Call, Context, Handler
from .routes import Route

_REF: Final = "#/components/schemas/{name}"
_PART: Final = re.compile(r"\{(\w+)\}")
_KEYS: Final[list[dict[str, list[str]]]] = [{"bearer": []}, {"header": []}]

_HEADERS: Final[dict[str, dict[str, Any]]] = {
    "x-session-id": {
        "description": "The conversation this turn belongs to.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[ -~]+$"},
    },
    "x-request-timeout-ms": {
        "description": "How long the client wants to wait, in milliseconds.",
        "schema": {"type": "integer", "minimum": 1, "maximum": 86_400_000},
    },
    "anthropic-beta": {
        "description": "Goes on to Anthropic's own API.",
        "schema": {"type": "string", "pattern": "^[ -~]*$"},
    },
}


def document(routes: Mapping[bytes, Route], version: str) -> dict[str, Any]:
    """The document as plain data."""
    every = [(path.decode(), one) for path, route in routes.items() for one in (route, *route.also)]
    refs, schemas = _schemas(route for _, route in every)
    paths: dict[str, dict[str, Any]] = {}
    for path, route in every:
        item = paths.setdefault(path, {})
        for method in route.methods:
            item[method.decode().lower()] = _operation(path, method, route, refs)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Actinium gateway",
            "version": version,
            "description": "OpenAI's and Anthropic's endpoints in front of any deployment.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "header": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            },
        },
    }


def describing(routes: Mapping[bytes, Route], version: str) -> Route:
    """The route of the document over other routes, and over itself."""
    made: list[bytes] = []

    async def openapi(context: Context, call: Call) -> None:
        """This document."""
        if not made:
            made.append(msgspec.json.encode(document(everything, version)))
        call.reply.send(200, made[0], headers=call.headers())

    handler: Handler = openapi
    own = Route(
        name="openapi", methods=(b"GET", b"HEAD"), handler=handler, scope="open",
        answer=dict[str, Any],
    )  # fmt: skip
    everything = {**routes, b"/openapi.json": own}
    return own


def _schemas(routes: Iterable[Route]) -> tuple[dict[Any, dict[str, Any]], dict[str, Any]]:
    """Where each type's schema is, and all schemas."""
    types: dict[Any, None] = {}
    for route in routes:
        types |= dict.fromkeys(
            t for t in (route.body, route.answer, *dict(route.others).values()) if t is not None
        )
        types[route.faults.shape] = None
    refs, components = msgspec.json.schema_components(types, ref_template=_REF)
    return dict(zip(types, refs, strict=True)), components


def _operation(
    path: str, method: bytes, route: Route, refs: Mapping[Any, dict[str, Any]]
) -> dict[str, Any]:  # fmt: skip
    summary = " ".join((route.handler.__doc__ or "").strip().partition("\n\n")[0].split())
    made: dict[str, Any] = {
        "operationId": re.sub(r"\W+", "_", f"{method.decode().lower()}{path}").strip("_"),
        "summary": summary,
        "tags": ["admin" if route.scope == "admin" else path.split("/")[1] or "gateway"],
        "security": [] if route.scope == "open" else _KEYS,
        "responses": _responses(method, route, refs),
    }
    if parameters := [*_parameters(path, route)]:
        made["parameters"] = parameters
    if route.body is not None:
        fields = msgspec.structs.fields(route.body)
        made["requestBody"] = {
            "required": any(field.required for field in fields),
            "content": {"application/json": {"schema": refs[route.body]}},
        }
    return made


def _parameters(path: str, route: Route) -> Iterable[dict[str, Any]]:
    for name in _PART.findall(path):
        schema = {"type": "string", "minLength": 1}
        yield {"name": name, "in": "path", "required": True, "schema": schema}
    if route.query is not None:
        whole = msgspec.json.schema(route.query)
        fields = whole["$defs"][route.query.__name__]["properties"]
        for name, schema in fields.items():
            # A query has texts and no null: what may be left out is left out.
            choices = [one for one in schema.get("anyOf", ()) if one != {"type": "null"}]
            told = choices[0] if choices else schema
            yield {"name": name, "in": "query", "schema": told}
    for name in route.headers:
        yield {"name": name, "in": "header", **_HEADERS[name]}


def _responses(
    method: bytes, route: Route, refs: Mapping[Any, dict[str, Any]]
) -> dict[str, Any]:  # fmt: skip
    right: dict[str, Any] = {"description": "Done."}
    if method != b"HEAD":
        content: dict[str, Any] = {}
        if route.answer is not None:
            content[route.content_type] = {"schema": refs[route.answer]}
        elif route.status != 204:
            content[route.content_type] = {"schema": {"type": "string"}}
        if route.streams:
            content["text/event-stream"] = {"schema": {"type": "string"}}
        if content:
            right["content"] = content
    wrong: dict[str, Any] = {"description": "Why not, in the shape of this door."}
    if method != b"HEAD":
        wrong["content"] = {"application/json": {"schema": refs[route.faults.shape]}}
    wrong["headers"] = {
        "Retry-After": {
            "description": "Seconds, where the server knows when it will go.",
            "schema": {"type": "integer", "minimum": 1},
        }
    }
    others = {
        str(status): {
            "description": "As it is then.",
            **({"content": {"application/json": {"schema": refs[t]}}} if method != b"HEAD" else {}),
        }
        for status, t in route.others
    }
    return {str(route.status): right, **others, "4XX": wrong, "5XX": wrong}
