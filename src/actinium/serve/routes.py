"""Which path is answered by what."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import msgspec

from .access import Scope
from .anthropic.body import Body, CountBody
from .anthropic.errors import AnthropicFaults
from .context import Handler
from .faults import Faults
from .handlers.chat import chat
from .handlers.completions import completions
from .handlers.embeddings import List, embeddings
from .handlers.health import Alive, Readiness, healthz, readyz
from .handlers.kept import Erased, Items, Page, erase, input_items, retrieve
from .handlers.messages import Answer, Counted, count_tokens, messages
from .handlers.metrics import metrics
from .handlers.models import Model, Models, model, models
from .handlers.responses import Answer as ResponseAnswer
from .handlers.responses import responses
from .http.message import HttpRequest
from .openai.body import ChatBody, CompletionBody, EmbeddingBody
from .openai.errors import OpenAIFaults
from .openai.shapes import Completed, TextCompleted
from .responses.body import Body as ResponseBody

_OPENAI: Final = OpenAIFaults()
_ANTHROPIC: Final = AnthropicFaults()


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint: its name in measures, its methods, and how its identifiers begin.

    ``scope`` says whose key they want; ``open`` ones are answered while the server drains, too.
    ``faults`` is the shape of their errors. ``also`` are routes of the same path with other
    methods. ``body``, ``query`` and ``answer`` are the types that are read and written, ``headers``
    names of request headers that mean something; ``others`` are types of answers with other
    statuses that are no errors; ``streams`` says that an answer may come as events.
    """

    name: str
    methods: tuple[bytes, ...]
    handler: Handler
    prefix: str = "req-"
    scope: Scope = "use"
    faults: Faults = _OPENAI
    also: tuple[Route, ...] = ()
    body: Any = None
    query: Any = None
    headers: tuple[str, ...] = ()
    answer: Any = None
    content_type: str = "application/json"
    status: int = 200
    others: tuple[tuple[int, Any], ...] = ()
    streams: bool = False

    def joined(self, *more: Route) -> Route:
        """This route with others of the same path."""
        return msgspec.structs.replace(self, also=more)

    def for_method(self, method: bytes) -> Route | None:
        """The route that takes a method, or None."""
        if method in self.methods:
            return self
        return next((route for route in self.also if method in route.methods), None)

    @property
    def all_methods(self) -> tuple[bytes, ...]:
        """Those of ``also``, too."""
        return tuple(method for route in (self, *self.also) for method in route.methods)


_READ: Final = (b"GET", b"HEAD")

_LATE: Final = "x-request-timeout-ms"
_SESSION: Final = "x-session-id"
_BETA: Final = "anthropic-beta"

EXACT: Final = {
    b"/v1/chat/completions": Route(
        name="chat", methods=(b"POST",), handler=chat, prefix="chatcmpl-",
        body=ChatBody, answer=Completed, streams=True, headers=(_SESSION, _LATE),
    ),
    b"/v1/completions": Route(
        name="completions", methods=(b"POST",), handler=completions, prefix="cmpl-",
        body=CompletionBody, answer=TextCompleted, streams=True, headers=(_LATE,),
    ),
    b"/v1/responses": Route(
        name="responses", methods=(b"POST",), handler=responses, prefix="resp_",
        body=ResponseBody, answer=ResponseAnswer, streams=True, headers=(_LATE,),
    ),
    b"/v1/embeddings": Route(
        name="embeddings", methods=(b"POST",), handler=embeddings, prefix="embd-",
        body=EmbeddingBody, answer=List,
    ),
    b"/v1/messages": Route(
        name="messages", methods=(b"POST",), handler=messages, prefix="msg_", faults=_ANTHROPIC,
        body=Body, answer=Answer, streams=True, headers=(_SESSION, _LATE, _BETA),
    ),
    b"/v1/messages/count_tokens": Route(
        name="count_tokens", methods=(b"POST",), handler=count_tokens, faults=_ANTHROPIC,
        body=CountBody, answer=Counted, headers=(_LATE, _BETA),
    ),
    b"/v1/models": Route(name="models", methods=_READ, handler=models, answer=Models),
    b"/healthz": Route(
        name="healthz", methods=_READ, handler=healthz, scope="open", answer=Alive
    ),
    b"/readyz": Route(
        name="readyz", methods=_READ, handler=readyz, scope="open", answer=Readiness,
        others=((503, Readiness),),
    ),
    b"/metrics": Route(
        name="metrics", methods=_READ, handler=metrics, scope="operate",
        content_type="text/plain",
    ),
}  # fmt: skip
TEMPLATES: Final = {
    b"/v1/responses/{id}": Route(
        name="kept_response", methods=_READ, handler=retrieve, answer=ResponseAnswer
    ).joined(Route(name="kept_response", methods=(b"DELETE",), handler=erase, answer=Erased)),
    b"/v1/responses/{id}/input_items": Route(
        name="input_items", methods=_READ, handler=input_items, query=Page, answer=Items
    ),
    b"/v1/models/{id}": Route(name="models", methods=_READ, handler=model, answer=Model),
}
PUBLIC: Final = {**EXACT, **TEMPLATES}


class Routes:
    """Finds the route of a path. ``{name}`` stands for one part of it; at its end for all of the
    rest."""

    def __init__(self, routes: Mapping[bytes, Route]) -> None:
        self._exact = {path: route for path, route in routes.items() if b"{" not in path}
        longest_first = sorted(routes.items(), key=lambda item: -item[0].count(b"/"))
        self._templates = [(_pattern(p), route) for p, route in longest_first if b"{" in p]
        self.paths = ", ".join(path.decode() for path in routes)

    def find(self, request: HttpRequest) -> Route | None:
        """The route of a request's path, or None; sets the request's ``params``."""
        path = request.path
        route = self._exact.get(path)
        if route is not None:
            return route
        for pattern, route in self._templates:
            match = pattern.fullmatch(path)
            if match is not None:
                found = match.groupdict().items()
                request.params = {name: unquote_to_bytes(value).decode("latin-1")
                                  for name, value in found}  # fmt: skip
                return route
        return None


def faults_of(path: bytes) -> Faults:
    """The shape of errors for a path without a route: that of the door it looks like."""
    return _ANTHROPIC if path.startswith(b"/v1/messages") else _OPENAI


def _pattern(template: bytes) -> re.Pattern[bytes]:
    """``/keys/{id}/rotate`` as what it matches."""
    inner, last = rb"(?P<\1>[^/]+)", rb"(?P<\1>.+)"
    text = re.sub(rb"\{(\w+)\}$", last, template)
    return re.compile(re.sub(rb"\{(\w+)\}", inner, text), re.DOTALL)
