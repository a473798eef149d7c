"""One line of the log for each request to the gateway, with its figures."""

from __future__ import annotations

from time import monotonic_ns
from typing import Any, Final

import msgspec

from actinium.base.trace import Span

from .logs import LogSettings, timestamp
from .redact import Redactor
from .writer import Writer

FIGURES: Final = {
    "id": "the request's, as the client has it in x-request-id",
    "endpoint": "chat, completions, embeddings, messages ...",
    "status": "of the answer; 499: the client left",
    "seconds": "from the request's arrival to the end of its answer",
    "error": "class of the error that ended it",
    "deployment": "that was asked last",
    "tenant": "whose key it was",
    "attempts": "at deployments",
    "retries": "attempts made again on a deployment",
    "fallbacks": "attempts on another deployment than the first",
    "first_token": "seconds from the sending of an attempt to its first content",
    "limiter": "seconds waited for a limit",
    "queue": "seconds waited for a place",
    "input_tokens": "of all attempts, as their usage tells",
    "output_tokens": "likewise",
    "cached_tokens": "the part of the input that a cache had",
    "cache_write_tokens": "the part of the input that was put into a cache",
    "reasoning_tokens": "the part of the output that was thinking",
    "cost_usd": "by the price table, where the deployment has a price",
    "trace_id": "of the trace, also where it was not exported",
    "span_id": "of its first span here",
    "input": "what the model was given; only with [log] content",
    "output": "the text it gave; only with [log] content",
}
"""What a line says beside time, level, logger and message; what does not apply is left out."""

_encode: Final = msgspec.json.Encoder().encode
_CONTENT: Final = ("input", "output")


class RequestLog:
    """Writes a line of :data:`FIGURES` through a :class:`Writer`, in the form that the settings
    name."""

    def __init__(self, writer: Writer, settings: LogSettings) -> None:
        self.content = settings.content
        self._writer = writer
        self._json = settings.form == "json"
        self._redact = Redactor(settings.redact)

    def ended(self, span: Span, id: str, endpoint: str, status: int, error: str) -> None:
        """Writes the line of a request whose first span has ended."""
        trace = span.trace
        ended = span.ended or monotonic_ns()
        line: dict[str, Any] = {
            "time": timestamp((trace.offset + ended) / 1e9),
            "level": "info" if status < 500 else "warning",
            "logger": "actinium.request",
            "message": "request",
            "id": id,
            "endpoint": endpoint,
            "status": status,
            "seconds": (ended - span.began) / 1e9,
            **trace.figures(),
            "trace_id": trace.hex,
            "span_id": f"{span.id:016x}",
        }
        if error:
            line["error"] = error
        if trace.content:
            self._handle_content(line)
        self._writer.put(_encode(line) + b"\n" if self._json else _console(line))

    def _handle_content(self, line: dict[str, Any]) -> None:
        """Redacts content that was asked for; what only the traces want is left out."""
        for name in _CONTENT:
            content = line.pop(name, "")
            if self.content and content:
                line[name] = self._redact(content)


def _console(line: dict[str, Any]) -> bytes:
    """The same for people: ``name=value`` in one line."""
    shown = [line["time"], line["level"].upper(), "actinium.request:"]
    for name, value in line.items():
        if name in FIGURES:
            if isinstance(value, float):
                value = f"{value:.6g}"
            shown.append(f"{name}={value!r}" if name in _CONTENT else f"{name}={value}")
    return (" ".join(shown) + "\n").encode("utf-8", "backslashreplace")
