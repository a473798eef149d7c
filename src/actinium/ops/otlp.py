"""Spans to a collector by OTLP over HTTP, from a thread of its own."""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from time import monotonic
from typing import Final

from actinium.base.attributes import ERROR
from actinium.base.secret import Secret, read_secret
from actinium.base.trace import Kind, Span, Trace
from actinium.errors import MissingExtra

from .tracing import REFERENCES, TracingSettings

try:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import Event, ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExportResult
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import (
        SpanContext,
        SpanKind,
        Status,
        StatusCode,
        TraceFlags,
        TraceState,
    )
except ImportError as error:
    raise MissingExtra("otel", "the export of traces") from error

_KINDS: Final[dict[Kind, SpanKind]] = {
    "internal": SpanKind.INTERNAL,
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
}
_SCOPE: Final = InstrumentationScope("actinium")

_log = logging.getLogger("actinium.ops.otlp")


class Otlp:
    """The request path only appends to a queue; a thread converts, encodes and sends.

    ``dropped`` counts the spans that found the queue full and those of batches the collector
    did not take. A collector that is away is reported once, and again when it is back.
    """

    def __init__(self, settings: TracingSettings) -> None:
        # Held, so that their values are known as secrets while this lives.
        self._secrets: list[Secret] = []
        headers = {name: self._resolved(value) for name, value in settings.headers.items()}
        self.dropped = 0
        self.exported = 0
        self._settings = settings
        self._resource = Resource.create({"service.name": settings.service})
        self._exporter = OTLPSpanExporter(
            endpoint=settings.endpoint.rstrip("/") + "/v1/traces",
            headers=headers,
            timeout=settings.timeout,
        )
        self._queue: deque[tuple[Trace, list[Span]]] = deque()
        self._wake = threading.Event()
        self._closing = False
        self._away = False
        # It says of each batch what we say once, and repeats what clients wrote into a tracestate.
        for name in ("opentelemetry.exporter", "opentelemetry.trace"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._thread = threading.Thread(target=self._run, name="actinium-otlp", daemon=True)
        self._thread.start()

    def _resolved(self, value: str) -> str:
        """The value of a header; its last word may be a reference to a secret."""
        scheme, space, reference = value.rpartition(" ")
        if not reference.startswith(REFERENCES):
            return value
        secret = read_secret(reference, os.environ)
        self._secrets.append(secret)
        return scheme + space + secret.reveal()

    def put(self, trace: Trace, spans: list[Span]) -> None:
        """Takes the spans of a trace, or counts them as dropped."""
        queue = self._queue
        if len(queue) >= self._settings.queue or self._closing:
            self.dropped += len(spans)
            return
        queue.append((trace, spans))
        if len(queue) == self._settings.batch:
            self._wake.set()

    def close(self) -> None:
        """Sends what is left, for ``timeout`` seconds at most."""
        if self._closing:
            return
        self._closing = True
        self._wake.set()
        self._thread.join(self._settings.timeout)
        self._exporter.shutdown()  # type: ignore[no-untyped-call]  # ends a pause between two tries as well

    def _run(self) -> None:
        while not self._closing:
            self._wake.wait(self._settings.interval)
            self._wake.clear()
            self._send()
        until = monotonic() + self._settings.timeout
        while self._queue and not self._away and monotonic() < until:
            self._send()
        while self._queue:
            self.dropped += len(self._queue.popleft()[1])

    def _send(self) -> None:
        """One batch; whatever goes wrong in it ends here."""
        batch: list[ReadableSpan] = []
        queue = self._queue
        for _ in range(min(self._settings.batch, len(queue))):
            trace, spans = queue.popleft()
            try:
                batch += [_converted(trace, span, self._resource) for span in spans]
            except Exception:  # noqa: BLE001 - one that cannot be told must not end the thread
                self.dropped += len(spans)
        if not batch:
            return
        try:
            taken = self._exporter.export(batch) is SpanExportResult.SUCCESS
        except Exception:  # noqa: BLE001 - a collector must not end the thread
            taken = False
        if taken:
            self.exported += len(batch)
        else:
            self.dropped += len(batch)
        if taken == self._away:
            self._away = not taken
            text = "does not take spans; they are dropped" if self._away else "takes spans again"
            level = logging.WARNING if self._away else logging.INFO
            endpoint = self._settings.endpoint.rsplit("@", 1)[-1]
            _log.log(level, "the trace collector at %s %s", endpoint, text)


def _converted(trace: Trace, span: Span, resource: Resource) -> ReadableSpan:
    """A span as OpenTelemetry's SDK has it."""
    origin = trace.origin
    flags = TraceFlags(TraceFlags.SAMPLED)
    state = TraceState.from_header([origin.state]) if origin is not None and origin.state else None
    parent: SpanContext | None = None
    if span.parent is not None:
        parent = SpanContext(trace.id, span.parent.id, False, flags, state)
    elif origin is not None:
        parent = SpanContext(origin.trace_id, origin.span_id, True, flags, state)
    offset = trace.offset
    said = span.about()
    if span.error is not None:
        said = {ERROR: span.error, **said}
    return ReadableSpan(
        name=span.name,
        context=SpanContext(trace.id, span.id, False, flags, state),
        parent=parent,
        resource=resource,
        attributes=said,
        events=[Event(e.name, e.attributes, e.at + offset) for e in span.events or ()],
        kind=_KINDS[span.kind],
        status=Status(StatusCode.ERROR if span.error is not None else StatusCode.UNSET),
        start_time=span.began + offset,
        end_time=(span.ended or span.began) + offset,
        instrumentation_scope=_SCOPE,
    )
