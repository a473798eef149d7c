"""Trace context as W3C writes it, and spans as plain objects."""

from __future__ import annotations

import pytest

from actinium.base.trace import (
    MOST_EVENTS,
    MOST_SPANS,
    Span,
    Trace,
    TraceContext,
    read_context,
    with_context,
)

GOOD = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE = 0x0AF7651916CD43DD8448EB211C80319C
SPAN = 0xB7AD6B7169203331


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (GOOD, TraceContext(TRACE, SPAN, True)),
        (f"  {GOOD} ", TraceContext(TRACE, SPAN, True)),
        (GOOD[:-2] + "00", TraceContext(TRACE, SPAN, False)),
        (GOOD[:-2] + "03", TraceContext(TRACE, SPAN, True)),
        ("cc" + GOOD[2:], TraceContext(TRACE, SPAN, True)),
        ("cc" + GOOD[2:] + "-what-the-future-brings", TraceContext(TRACE, SPAN, True)),
        ("ff" + GOOD[2:], None),
        (GOOD + "-more", None),
        ("cc" + GOOD[2:] + ".more", None),
        (GOOD.upper(), None),
        ("00-" + "0" * 32 + "-b7ad6b7169203331-01", None),
        ("00-0af7651916cd43dd8448eb211c80319c-" + "0" * 16 + "-01", None),
        (GOOD[:-1], None),
        ("", None),
        (None, None),
    ],
)
def test_golden_headers(header: str | None, found: TraceContext | None) -> None:
    assert read_context(header) == found


@pytest.mark.parametrize(
    ("state", "kept"),
    [
        ("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"),
        ("x=" + "y" * 600, ""),
        ("a=b\r\nevil: yes", ""),
        ("a=ü", ""),
        (None, ""),
    ],
)
def test_a_tracestate_that_could_not_go_on_is_left_out(state: str | None, kept: str) -> None:
    context = read_context(GOOD, state)
    assert context is not None and context.state == kept


def test_a_span_goes_on_in_the_headers_of_a_request() -> None:
    trace = Trace(read_context(GOOD, "rojo=1"), sampled=True)
    span = Span(trace, "x")
    sent = with_context(b"POST /v1 HTTP/1.1\r\nHost: a\r\n\r\n{}\r\n", span)
    first, parent, state, rest = sent.split(b"\r\n", 3)
    assert first == b"POST /v1 HTTP/1.1" and rest == b"Host: a\r\n\r\n{}\r\n"
    assert state == b"tracestate: rojo=1"
    assert read_context(parent.decode().removeprefix("traceparent: ")) == TraceContext(
        TRACE, span.id, True
    )


def test_a_trace_is_bounded() -> None:
    trace = Trace()
    root = Span(trace, "root")
    for _ in range(MOST_SPANS + 9):
        root.child("more")
        root.event("again")
    assert len(trace.spans) == MOST_SPANS and trace.lost == 10
    assert root.events is not None and len(root.events) == MOST_EVENTS


def test_of_an_error_only_the_class_is_kept() -> None:
    span = Span(Trace(), "x")
    span.end(ValueError("the prompt of a client"))
    assert span.error == "ValueError" and span.ended >= span.began
    first = span.ended
    span.end()
    assert span.ended == first and span.error == "ValueError"


def test_identifiers_differ() -> None:
    traces = [Trace() for _ in range(1000)]
    assert len({trace.id for trace in traces}) == 1000 and all(trace.id for trace in traces)
    spans = [Span(traces[0], "x") for _ in range(1000)]
    assert len({span.id for span in spans}) == 1000
