"""Lines of the log: their forms, their trace, and what happens when nobody reads them."""

from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from actinium.base.measures import Registry
from actinium.base.secret import Secret
from actinium.base.trace import Span, Trace, current
from actinium.errors import ConfigError
from actinium.ops import LogSettings, RequestLog, Writer, set_up_logs


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    logger = logging.getLogger()
    handlers, level = logger.handlers[:], logger.level
    yield logger
    logger.handlers[:] = handlers
    logger.setLevel(level)


def lines(sink: io.BytesIO) -> list[Any]:
    return [json.loads(line) for line in sink.getvalue().splitlines()]


def test_a_line_is_an_object_with_its_trace(root: logging.Logger) -> None:
    sink = io.BytesIO()
    writer = set_up_logs(LogSettings(form="json"), sink=sink)
    span = Span(Trace(), "x")
    token = current.set(span)
    try:
        logging.getLogger("some.where").info("two\nlines of %s", "text", extra={"shard": 3})
    finally:
        current.reset(token)
    logging.getLogger("some.where").debug("not asked for")
    writer.close()
    (line,) = lines(sink)
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "info",
        "logger": "some.where",
        "message": "two\nlines of text",
        "trace_id": f"{span.trace.id:032x}",
        "span_id": f"{span.id:016x}",
        "extra": {"shard": "3"},
    }


def test_secrets_are_in_no_part_of_a_line(root: logging.Logger) -> None:
    sink = io.BytesIO()
    secret = Secret("hush-hush-hush")
    log = logging.getLogger("some.where")
    for form in ("json", "console"):
        writer = set_up_logs(LogSettings(form=form), sink=sink)  # type: ignore[arg-type]
        log.warning("key %s", secret.reveal(), extra={"api_key": "another-one"})
        try:
            raise ValueError(f"refused {secret.reveal()} with authorization: third-one")
        except ValueError:
            log.exception("failed")
        writer.close()
    text = sink.getvalue().decode()
    assert "ValueError" in text and "test_logs.py" in text
    for value in ("hush-hush-hush", "another-one", "third-one"):
        assert value not in text


def test_lines_for_people_cannot_be_forged(root: logging.Logger) -> None:
    sink = io.BytesIO()
    writer = set_up_logs(LogSettings(), sink=sink)
    logging.getLogger("x").error("a\n2026-01-01T00:00:00.000Z INFO x: forged")
    writer.close()
    assert sink.getvalue().count(b"\n") == 1


class Stuck:
    """A stream that takes nothing until it is let go."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.entered = threading.Event()
        self.written = b""

    def write(self, data: bytes) -> None:
        self.entered.set()
        self.go.wait()
        self.written += data

    def flush(self) -> None: ...


def test_a_reader_that_is_stuck_loses_lines_that_are_counted_and_told() -> None:
    sink = Stuck()
    writer = Writer(sink, lambda n: b"dropped %d\n" % n, capacity=100)
    registry = Registry()
    writer.watch(registry)
    writer.put(b"first\n", important=True)
    sink.entered.wait()
    for _ in range(95):
        writer.put(b"info\n")
    assert writer.dropped == 5  # the last tenth is for warnings
    for _ in range(12):
        writer.put(b"warning\n", important=True)
    assert writer.dropped == 7
    (view,) = [m for m in registry if m.name == "log_records_dropped"]
    assert view.readings() == [((), 7)]  # type: ignore[union-attr]
    sink.go.set()
    writer.close()
    assert sink.written.count(b"info") == 90 and sink.written.count(b"warning") == 10
    assert sink.written.endswith(b"dropped 7\n")


def test_a_stream_that_was_closed_ends_nothing() -> None:
    sink = io.BytesIO()
    writer = Writer(sink, lambda n: b"", capacity=100)
    sink.close()
    writer.put(b"line\n")
    writer.close()
    writer.close()
    writer.put(b"after\n")
    assert writer.dropped == 1


@pytest.mark.parametrize("form", ["json", "console"])
def test_the_line_of_a_request_has_its_figures_and_no_content(form: Any) -> None:
    sink = io.BytesIO()
    settings = LogSettings(form=form)
    writer = Writer(sink, lambda n: b"")
    trace = Trace()
    trace.content = True  # the traces want it, the log does not
    span = Span(trace, "POST /v1/chat/completions")
    trace.facts = {"deployment": "m", "input_tokens": 7, "cost_usd": 0.25, "input": "the prompt"}
    span.end()
    RequestLog(writer, settings).ended(span, "id-1", "chat", 200, "")
    writer.close()
    text = sink.getvalue().decode()
    assert "the prompt" not in text
    if form == "json":
        line = json.loads(text)
        assert (line["deployment"], line["input_tokens"], line["cost_usd"]) == ("m", 7, 0.25)
        assert line["trace_id"] == f"{trace.id:032x}" and "output_tokens" not in line
    else:
        assert "id=id-1 endpoint=chat status=200" in text and "input_tokens=7 cost_usd=0.25" in text


def test_content_is_written_where_it_was_asked_for_and_redacted() -> None:
    sink = io.BytesIO()
    writer = Writer(sink, lambda n: b"")
    span = Span(Trace(), "x")
    span.trace.content = True
    span.trace.facts = {"input": "my api_key=verysecret", "output": "I see"}
    RequestLog(writer, LogSettings(form="json", content=True)).ended(span, "1", "chat", 200, "")
    writer.close()
    (line,) = lines(sink)
    assert line["input"] == "my api_key=***" and line["output"] == "I see"


def test_settings_that_cannot_be_meant() -> None:
    with pytest.raises(ConfigError, match="no regular expression"):
        LogSettings(redact=("(",))
    with pytest.raises(ConfigError, match="100 lines or more"):
        LogSettings(queue=5)
