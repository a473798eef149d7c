"""A collector of traces on loopback: takes OTLP over HTTP as the protocol has it."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)


class Receiver(ThreadingHTTPServer):
    """``spans`` are those that came, ``heads`` the headers of each batch; ``status`` answers."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.spans: list[Any] = []
        self.services: set[str] = set()
        self.heads: list[dict[str, str]] = []
        self.status = 200
        self.raw = b""
        self.came = threading.Condition()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def wait(self, number: int, seconds: float = 20.0) -> list[Any]:
        """The spans, once so many are there."""
        with self.came:
            assert self.came.wait_for(lambda: len(self.spans) >= number, seconds), self.spans
            return list(self.spans)


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        assert self.path == "/v1/traces"
        assert self.headers["content-type"] == "application/x-protobuf"
        request = ExportTraceServiceRequest.FromString(body)
        with self.server.came:
            self.server.heads.append({k.lower(): v for k, v in self.headers.items()})
            self.server.raw += body
            if self.server.status == 200:
                for resource in request.resource_spans:
                    named = attributes(resource.resource)
                    self.server.services.add(named["service.name"])
                    for scope in resource.scope_spans:
                        self.server.spans += scope.spans
            self.server.came.notify_all()
        answer = ExportTraceServiceResponse().SerializeToString()
        self.send_response(self.server.status)
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None: ...


def attributes(owner: Any) -> dict[str, Any]:
    """The attributes of a span, an event or a resource as plain data."""
    found: dict[str, Any] = {}
    for pair in owner.attributes:
        kind = pair.value.WhichOneof("value")
        value = getattr(pair.value, kind)
        if kind == "array_value":
            value = tuple(one.string_value for one in value.values)
        found[pair.key] = value
    return found


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver while the block runs."""
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
