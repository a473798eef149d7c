"""Traces as plain objects, without any library: what one request did in this process, and when.

The lower layers write here what they do for a request, if somebody watches it: ``current`` holds
the span that is under way, or None, and then nothing is written. ``actinium.ops.tracing`` begins
and ends traces, and sends them somewhere.

    span = current.get()
    if span is not None:
        span.event("retry")

The context that crosses processes is that of W3C Trace Context (level 2): ``traceparent`` and
``tracestate``.
"""

from __future__ import annotations

import os
import re
from contextvars import ContextVar
from time import monotonic_ns, time_ns
from typing import Any, Final, Literal, NamedTuple

Kind = Literal["internal", "server", "client"]
Value = str | bool | int | float | tuple[str, ...]
"""What an attribute can be."""

MOST_SPANS: Final = 128
"""Spans of one trace in one process that are kept; further ones are counted in ``lost``."""
MOST_EVENTS: Final = 64

_STATE_BYTES: Final = 512
_PARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_DIGITS: Final = 44
"""Hexadecimal digits of a trace's identifier (32) and of the stem of its spans' (12)."""
_drawings: list[str] = []


def _drawn() -> str:
    """Random digits for one trace; many are drawn at once, as each draw is a system call."""
    if not _drawings:
        digits = os.urandom(_DIGITS * 128).hex()
        _drawings.extend(digits[at : at + _DIGITS] for at in range(0, len(digits), _DIGITS))
    return _drawings.pop()


class TraceContext(NamedTuple):
    """A span of another process: what a ``traceparent`` says."""

    trace_id: int
    span_id: int
    sampled: bool
    state: str = ""


def read_context(traceparent: str | None, tracestate: str | None = None) -> TraceContext | None:
    """The context of a caller's headers; None where there is none or it is malformed.

    All-zero identifiers and version ``ff`` are malformed; a higher version is read as far as it
    is known. A ``tracestate`` of more than 512 bytes, or that is not printable ASCII, is left out.
    """
    if traceparent is None:
        return None
    match = _PARENT.fullmatch(traceparent.strip())
    if match is None:
        return None
    version, trace, span, flags, more = match.groups()
    if version == "ff" or (version == "00" and more) or not int(trace, 16) or not int(span, 16):
        return None
    state = (tracestate or "").strip()
    if len(state) > _STATE_BYTES or not (state.isascii() and state.isprintable()):
        state = ""
    return TraceContext(int(trace, 16), int(span, 16), bool(int(flags, 16) & 1), state)


class Event(NamedTuple):
    """Something that happened during a span; ``at`` is monotonic nanoseconds."""

    name: str
    at: int
    attributes: dict[str, Value]


class Trace:
    """The spans of one request in this process, and the figures of the whole.

    ``facts`` is what a line of the log says of the request, see ``actinium.ops.requests``; what
    its spans know of it, and ``cost`` (USD), is added by :meth:`figures` when somebody looks.
    ``content`` says that somebody asked for prompts and answers, which are left out otherwise.
    """

    content = False
    made = 0
    cost = 0.0
    _offset = 0

    def __init__(self, origin: TraceContext | None = None, *, sampled: bool = False) -> None:
        self.origin = origin
        drawn = _drawings.pop() if _drawings else _drawn()
        self.hex = drawn[:32] if origin is None else f"{origin.trace_id:032x}"
        self._stem = drawn[32:]  # of its spans: unique in a trace of many processes
        self.sampled = sampled
        self.spans: list[Span] = []
        self.facts: dict[str, Any] = {}
        self.untold: list[Span] = []

    @property
    def id(self) -> int:
        """The identifier as a number."""
        return int(self.hex, 16)

    @property
    def offset(self) -> int:
        """Turns the spans' monotonic times into Unix time."""
        if not self._offset:
            self._offset = time_ns() - monotonic_ns()
        return self._offset

    def figures(self) -> dict[str, Any]:
        """All facts, with those that the spans in ``untold`` still had for themselves."""
        untold, self.untold = self.untold, []
        for span in untold:
            span.tell(self.facts)
        if self.cost:
            self.facts["cost_usd"] = self.cost
        return self.facts

    @property
    def lost(self) -> int:
        """Spans beyond the bound, which are not kept."""
        return max(0, self.made - MOST_SPANS)


class Span:
    """One piece of work: from its making to :meth:`end`. Times are monotonic nanoseconds; who has
    just read that clock gives ``began``.

    What it says of the work is made by :meth:`about` when somebody wants to see it, which for
    most spans is never.
    """

    # Set where they differ: most spans never touch them.
    kind: Kind = "internal"
    events: list[Event] | None = None
    error: str | None = None
    ended = 0
    _said: dict[str, Value] | None = None

    def __init__(self, trace: Trace, name: str, parent: Span | None = None, began: int = 0) -> None:
        self.trace = trace
        self.name = name
        self.parent = parent
        made = trace.made = trace.made + 1
        self._number = made & 0xFFFF
        if made <= MOST_SPANS:
            trace.spans.append(self)
        self.began = began or monotonic_ns()

    @property
    def id(self) -> int:
        """The identifier as a number."""
        return int(f"{self.trace._stem}{self._number:04x}", 16)

    def child(self, name: str) -> Span:
        """A span of this process within this one, which begins now."""
        return Span(self.trace, name, self)

    def say(self, name: str, value: Value) -> None:
        """Adds an attribute."""
        if self._said is None:
            self._said = {}
        self._said[name] = value

    def about(self) -> dict[str, Value]:
        """The attributes."""
        return self._said or {}

    def tell(self, facts: dict[str, Any]) -> None:
        """Adds to the figures of the request what this piece of work has."""

    def event(self, name: str, attributes: dict[str, Value] | None = None) -> None:
        """Something happened now."""
        if self.events is None:
            self.events = []
        if len(self.events) < MOST_EVENTS:
            self.events.append(Event(name, monotonic_ns(), attributes or {}))

    def end(self, error: BaseException | None = None) -> None:
        """The work is over; of an error only the name of its class is kept: its text may hold
        what nobody should read. A second end means nothing."""
        if not self.ended:
            self.ended = monotonic_ns()
            if error is not None:
                self.error = type(error).__name__

    @property
    def seconds(self) -> float:
        """How long it took, so far or in all."""
        return ((self.ended or monotonic_ns()) - self.began) / 1e9

    def headers(self) -> bytes:
        """The lines of a head that carry this span to a server."""
        trace = self.trace
        flag = "01" if trace.sampled else "00"
        line = f"traceparent: 00-{trace.hex}-{trace._stem}{self._number:04x}-{flag}\r\n"
        if trace.origin is not None and trace.origin.state:
            line += f"tracestate: {trace.origin.state}\r\n"
        return line.encode("ascii")


current: ContextVar[Span | None] = ContextVar("actinium_span", default=None)
"""The span under way in this task, or None where nobody watches."""


def with_context(message: bytes, span: Span) -> bytes:
    """A whole HTTP request with the span's headers after its first line."""
    return message.replace(b"\r\n", b"\r\n" + span.headers(), 1)
