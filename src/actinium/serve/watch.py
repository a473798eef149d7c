"""Watches requests: a trace and a line of the log for each, where somebody asked for them."""

from __future__ import annotations

from typing import Final

from actinium.base import attributes as a
from actinium.base.trace import Span, Value, current, read_context
from actinium.ops.requests import RequestLog
from actinium.ops.tracing import Tracing

from .context import Call
from .routes import EXACT

_PATHS: Final = {route.name: path.decode() for path, route in EXACT.items()}
_NAMES: Final = {name: f"POST {path}" for name, path in _PATHS.items()}


class RequestSpan(Span):
    """The first span of a request; ``failure`` is the class of the error that ended it."""

    kind = "server"
    failure = ""
    call: Call  # set by who makes it: one call less for each request

    def about(self) -> dict[str, Value]:
        """The attributes of the conventions for servers."""
        call = self.call
        name: str = call.request.route.name
        said: dict[str, Value] = {
            a.METHOD: "POST",
            a.ROUTE: _PATHS.get(name, name),
            a.STATUS: call.reply.status,
            a.REQUEST_ID: call.id,
            **super().about(),
        }
        facts = self.trace.figures()
        for key, fact in ((a.DEPLOYMENT, "deployment"), (a.TENANT, "tenant")):
            if fact in facts:
                said[key] = facts[fact]
        if self.failure:
            said[a.ERROR] = self.failure
        return said


class Watch:
    """Begins and ends the first span of each request."""

    def __init__(self, tracing: Tracing | None, log: RequestLog | None) -> None:
        self._tracing = tracing or Tracing()
        self._log = log
        self._content = log is not None and log.content

    def begin(self, call: Call, began: int) -> RequestSpan:
        """A request came, at a monotonic time in nanoseconds; its span is the current one of this
        task from here on."""
        http = call.request
        origin = None
        if b"traceparent" in http.headers:
            origin = read_context(http.header(b"traceparent"), http.header(b"tracestate"))
        trace = self._tracing.begin(origin)
        if self._content:
            trace.content = True
        name: str = http.route.name
        span = RequestSpan(trace, _NAMES.get(name, name), None, began)
        span.call = call
        current.set(span)
        return span

    def end(self, span: RequestSpan, call: Call, error: BaseException | None, ended: int) -> None:
        """The answer is over, or the client left (499)."""
        failed = False
        if error is not None:
            span.failure = type(error).__name__
            # A client that leaves, or that asked for what there is not, is no failure of ours.
            failed = call.reply.status >= 500 or call.reply.status == 200
        span.ended = ended
        if failed:
            span.error = span.failure
        if self._log is not None:
            name: str = call.request.route.name
            self._log.ended(span, call.id, name, call.reply.status, span.failure)
        self._tracing.end(span, failed=failed)
