"""The gateway's application: lets requests in, runs handlers, turns errors into answers."""

from __future__ import annotations

import asyncio
import logging
from time import monotonic_ns
from typing import TYPE_CHECKING

from actinium.errors import ActiniumError, InferenceError, ModelNotReady

from .access import Access, Visitor
from .context import Call, Context
from .faults import Faults
from .http.message import HttpRequest, answer, header
from .http.reply import Reply
from .measures import GatewayMeasures
from .openai.errors import (
    INTERNAL,
    Detail,
    detail_of,
    error_body,
    headers_of,
)
from .routes import Route, Routes, faults_of

_log = logging.getLogger("actinium.serve")

if TYPE_CHECKING:
    from .watch import Watch


class GatewayApp:
    """See the module. GW-2: whatever comes in, the answer has its door's shape and a right status.

    An exception nobody foresaw is logged with the request's id; the client gets a 500 that
    tells the id and nothing else.
    """

    def __init__(
        self, context: Context, access: Access, routes: Routes, measures: GatewayMeasures,
        watch: Watch | None = None,
    ) -> None:  # fmt: skip
        self.context = context
        self.access = access
        self.routes = routes
        self._measures = measures
        self._watch = watch

    def admit(self, request: HttpRequest) -> bytes | None:
        """Refuses by the head: unknown paths and methods, wrong keys, a draining server."""
        route = self.routes.find(request)
        if route is None:
            path = request.path[:128].decode("latin-1")
            text = f"there is no {path!r} here; there are: {self.routes.paths}"
            return self._refusal("none", faults_of(request.path), 404, text, "not_found")
        if request.method not in route.methods:
            other = route.for_method(request.method)
            if other is None:
                return self._wrong_method(request, route)
            route = other
        request.route = route
        scope = route.scope
        if scope == "open":
            return None
        try:
            self.access.enter(request, scope)
        except InferenceError as error:
            return self._turned_away(route, error)
        if self.context.draining:
            request.keep_alive = False
            closing = ModelNotReady("the server is being shut down; try another one")
            return self._turned_away(route, closing, keep_alive=False)
        return None

    async def handle(self, request: HttpRequest, reply: Reply) -> None:
        """Runs the handler of an admitted request."""
        route: Route = request.route
        visitor: Visitor | None = request.visitor
        context = self.context if visitor is None else visitor.context
        call = Call(request, reply, context.ids.new(route.prefix), context)
        began = monotonic_ns()
        works = route.scope == "use" and request.method == b"POST"
        watch = self._watch if works else None
        span = watch.begin(call, began) if watch is not None else None
        failure: BaseException | None = None
        try:
            await route.handler(context, call)
        except asyncio.CancelledError as left:
            # The client left, or the server stops: either way nobody reads on.
            failure = left
            reply.status = 499
            reply.ended = False
            raise
        except Exception as error:  # noqa: BLE001 - _fail logs what is not foreseen
            failure = error
            self._fail(call, error)
        finally:
            ended = monotonic_ns()
            if works:
                self._measures.ended(call, began, ended)
            else:
                self._measures.count(route.name, reply.status)
            if span is not None and watch is not None:
                watch.end(span, call, failure, ended)
            reply.close()

    def refuse(self, status: int, text: str, code: str) -> bytes:
        """A request that is no proper HTTP, too large or too late."""
        self._measures.count("none", status)
        return answer(status, error_body(text, code=code), keep_alive=False)

    def slow(self) -> None:
        self._measures.slow()
        _log.info("a reader took nothing for too long and was cut off")

    def _fail(self, call: Call, error: Exception) -> None:
        detail = detail_of(error)
        if detail is INTERNAL or not isinstance(error, ActiniumError):
            _log.error("request %s failed", call.id, exc_info=error)
        faults: Faults = call.request.route.faults
        status = faults.status(error)
        reply = call.reply
        if not reply.begun:
            more = [header(name, value) for name, value in headers_of(error)]
            headers = b"".join((call.headers(), faults.headers(call.id), *more))
            reply.send(status, faults.body(detail, status, call.id), headers=headers)
        elif not reply.ended:
            # The status is out: the error goes in band, and no end mark follows (RQ-5).
            reply.end(faults.event(detail, status, call.id))
            reply.request.keep_alive = False

    def _wrong_method(self, request: HttpRequest, route: Route) -> bytes:
        allow = ", ".join(m.decode() for m in (*route.all_methods, b"OPTIONS"))
        allowed = header("allow", allow)
        if request.method == b"OPTIONS":
            self._measures.count(route.name, 204)
            return answer(204, b"", b"", allowed)
        text = f"{request.path.decode('latin-1')} takes {allow}, not {request.method.decode()}"
        return self._refusal(route.name, route.faults, 405, text, "method_not_allowed", allowed)

    def _turned_away(
        self, route: Route, error: InferenceError, *, keep_alive: bool = True
    ) -> bytes:  # fmt: skip
        status = route.faults.status(error)
        self._measures.count(route.name, status)
        more = header("www-authenticate", "Bearer") if status == 401 else b""
        body = route.faults.body(detail_of(error), status, "")
        return answer(status, body, headers=more, keep_alive=keep_alive)

    def _refusal(
        self,
        endpoint: str,
        faults: Faults,
        status: int,
        text: str,
        code: str,
        headers: bytes = b"",
    ) -> bytes:
        self._measures.count(endpoint, status)
        detail = Detail(text, "invalid_request_error", None, code)
        return answer(status, faults.body(detail, status, ""), headers=headers)
