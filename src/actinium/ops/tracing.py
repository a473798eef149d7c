"""Traces of requests: which are kept, and where they go."""

from __future__ import annotations

import re
from collections import deque
from typing import Final, Literal, Protocol

import msgspec

from actinium.base.attributes import INPUT_MESSAGES, OUTPUT_MESSAGES
from actinium.base.measures import Reading, Registry
from actinium.base.secret import hidden
from actinium.base.trace import Span, Trace, TraceContext
from actinium.errors import ConfigError

REFERENCES: Final = ("env:", "file:")
_TOP: Final = 1 << 64
_TELLING: Final = re.compile("auth|key|token|secret|password|cookie", re.IGNORECASE)


class TracingSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The section ``[tracing]`` of ``actinium.toml``.

    ``exporter`` ``"otlp"`` sends spans to the collector at ``endpoint`` by HTTP (extra
    ``actinium[otel]``); ``"none"`` keeps none, but still hands a caller's ``traceparent`` on.
    A caller's decision to sample is followed; without a caller ``ratio`` of the traces are. A
    request that failed on this side, or took ``slow`` seconds, is exported though it was not
    sampled. At most ``queue`` traces wait for the collector; what does not fit is dropped and
    counted. They go in batches of up to ``batch``, each ``interval`` seconds; a batch that takes
    ``timeout`` seconds is given up. ``service`` is the name the spans carry. ``headers`` are
    sent with each batch; the last word of a value may be a secret reference ``env:NAME`` or
    ``file:PATH``, which it must be where the header's name says that it is one.
    ``content`` adds prompts and answers to the spans, which else hold none.
    """

    exporter: Literal["none", "otlp"] = "none"
    endpoint: str = "http://127.0.0.1:4318"
    ratio: float = 0.01
    slow: float = 60.0
    service: str = "actinium"
    queue: int = 2048
    batch: int = 512
    interval: float = 1.0
    timeout: float = 10.0
    headers: dict[str, str] = {}
    content: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.ratio <= 1:
            raise ConfigError(f"tracing.ratio: expected 0 to 1, got {self.ratio!r}")
        for name in ("slow", "queue", "batch", "interval", "timeout"):
            if getattr(self, name) <= 0:
                raise ConfigError(
                    f"tracing.{name}: expected a number above 0, got {getattr(self, name)!r}"
                )
        for name, value in self.headers.items():
            if _TELLING.search(name) and not value.rpartition(" ")[2].startswith(REFERENCES):
                raise ConfigError(  # without its value
                    f"tracing.headers: {name} holds a secret; put it into a variable and write for "
                    f'example {name} = "Bearer env:COLLECTOR_TOKEN"'
                )
        if not self.endpoint.startswith(("http://", "https://")):
            raise ConfigError(
                "tracing.endpoint: expected the URL of a collector, got "
                f"{self.endpoint.split('@')[-1][:80]!r}; write for example http://127.0.0.1:4318"
            )


class Exporter(Protocol):
    """Where ended traces go. Neither call waits for anything."""

    def put(self, trace: Trace, spans: list[Span]) -> None:
        """Takes the spans of a trace, or counts them as dropped."""

    def close(self) -> None:
        """Sends what is left, for a bounded time."""


class Memory:
    """An exporter for tests: ``traces`` holds the spans of each trace, the newest 1,000."""

    def __init__(self) -> None:
        self.traces: deque[tuple[Trace, list[Span]]] = deque(maxlen=1000)

    def put(self, trace: Trace, spans: list[Span]) -> None:
        self.traces.append((trace, spans))

    def close(self) -> None: ...


class Tracing:
    """Begins and ends traces; ``exporter`` None builds the one that the settings name.

    Raises MissingExtra where the exporter's packages are not installed, ConfigError and
    MissingCredentials for headers that cannot be resolved.
    """

    def __init__(
        self, settings: TracingSettings | None = None, *, exporter: Exporter | None = None
    ) -> None:
        self.settings = settings = settings or TracingSettings()
        if exporter is None and settings.exporter == "otlp":
            from .otlp import Otlp  # loads OpenTelemetry, which only this needs

            exporter = Otlp(settings)
        self.exporter = exporter
        self.kept = 0
        self._slow = settings.slow * 1e9
        # The later half of an identifier is random wherever it came from; "g" is above all digits.
        self._below = f"{int(settings.ratio * _TOP):016x}" if settings.ratio < 1 else "g"

    def begin(self, origin: TraceContext | None) -> Trace:
        """The trace of a request that came."""
        trace = Trace(origin)
        if origin is not None:
            trace.sampled = origin.sampled
        else:
            trace.sampled = trace.hex[16:] < self._below
        if self.settings.content:
            trace.content = True
        return trace

    def end(self, span: Span, *, failed: bool) -> None:
        """The request is over, and ``span`` its first, which has ended: all are exported, or
        forgotten."""
        trace = span.trace
        spans = trace.spans
        trace.spans = []  # each span knows its trace: no circle is left
        if self.exporter is None:
            trace.untold = []
            return
        if trace.sampled or failed or span.ended - span.began >= self._slow:
            self.kept += 1
            trace.figures()
            if self.settings.content:
                for name, fact in ((INPUT_MESSAGES, "input"), (OUTPUT_MESSAGES, "output")):
                    span.say(name, hidden(trace.facts.get(fact, "")))
            self.exporter.put(trace, spans)
        else:
            trace.untold = []

    def watch(self, registry: Registry) -> None:
        """Adds the measures of tracing itself."""

        def kept() -> list[Reading]:
            return [((), self.kept)]

        registry.view("traces", "Traces that were exported.", (), kept, kind="counter")
        dropped = getattr(self.exporter, "dropped", None)
        if dropped is not None:

            def lost() -> list[Reading]:
                return [((), getattr(self.exporter, "dropped", 0))]

            text = "Spans that no collector took: the queue was full, or it did not answer."
            registry.view("spans_dropped", text, (), lost, kind="counter")

    def close(self) -> None:
        """Sends what is left, for ``timeout`` seconds at most."""
        if self.exporter is not None:
            self.exporter.close()
