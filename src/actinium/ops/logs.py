"""The log of a process: lines for people or for machines, with trace ids and without secrets."""

from __future__ import annotations

import logging
import re
import sys
import traceback
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, Literal

import msgspec

from actinium.base.trace import current
from actinium.errors import ConfigError

from .redact import Redactor
from .writer import CAPACITY, Sink, Writer

_encode: Final = msgspec.json.Encoder().encode
_USUAL: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
"""What each record has; anything else was given as ``extra``."""


class LogSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The section ``[log]`` of ``actinium.toml``.

    ``form`` is ``"console"`` (a line for people) or ``"json"`` (an object in a line). ``requests``
    writes a line with the figures of each request to the gateway. ``content`` adds prompts and
    answers to it, which are written nowhere else. ``redact`` are further regular expressions
    whose matches become ``***``. At most ``queue`` lines wait for the stream.
    """

    form: Literal["console", "json"] = "console"
    requests: bool = False
    content: bool = False
    redact: tuple[str, ...] = ()
    queue: int = CAPACITY

    def __post_init__(self) -> None:
        for pattern in self.redact:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ConfigError(
                    f"log.redact: {pattern[:60]!r} is no regular expression: {error}"
                ) from None
        if self.queue < 100:
            raise ConfigError(f"log.queue: expected 100 lines or more, got {self.queue!r}")


class Record(msgspec.Struct, omit_defaults=True, kw_only=True):
    """A line of the log in its JSON form; times are RFC 3339 in UTC."""

    time: str
    level: str
    logger: str
    message: str
    trace_id: str = ""
    span_id: str = ""
    error: str = ""
    extra: dict[str, str] = {}


class LogHandler(logging.Handler):
    """Hands each record to a :class:`Writer`, formatted, redacted and with the trace it
    belongs to. An exception's text goes through the same redaction."""

    def __init__(self, writer: Writer, settings: LogSettings) -> None:
        super().__init__()
        self.writer = writer
        self._json = settings.form == "json"
        self._redact = Redactor(settings.redact)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self._line(record)
        except Exception:  # noqa: BLE001 - logging's own way to say that a record is malformed
            self.handleError(record)
            return
        self.writer.put(line, important=record.levelno >= logging.WARNING)

    def _line(self, record: logging.LogRecord) -> bytes:
        redact = self._redact
        error = ""
        if record.exc_info and record.exc_info[1] is not None:
            error = redact("".join(traceback.format_exception(record.exc_info[1])).rstrip())
        extra = {
            name: redact(f"{name}={value}")[len(name) + 1 :]
            for name, value in vars(record).items()
            if name not in _USUAL
        }
        span = current.get()
        made = Record(
            time=timestamp(record.created),
            level=record.levelname.lower(),
            logger=record.name,
            message=redact(record.getMessage()),
            trace_id=span.trace.hex if span is not None else "",
            span_id=f"{span.id:016x}" if span is not None else "",
            error=error,
            extra=extra,
        )
        return _encode(made) + b"\n" if self._json else _console(made)


def set_up_logs(
    settings: LogSettings, level: int = logging.INFO, *, sink: Sink | None = None
) -> Writer:
    """Sends the process's log, from ``level`` on, through one writer to stderr or ``sink``.

    Replaces the handlers of the root logger. Close the writer when the process ends in order.
    """
    if sink is None:
        sink = sys.stderr.buffer
    writer = Writer(sink, lambda n: dropped_line(settings, n), capacity=settings.queue)
    root = logging.getLogger()
    root.handlers[:] = [LogHandler(writer, settings)]
    root.setLevel(level)
    return writer


def dropped_line(settings: LogSettings, number: int) -> bytes:
    """The line that tells how many were lost."""
    made = Record(
        time=timestamp(datetime.now(UTC).timestamp()),
        level="warning",
        logger="actinium.ops.logs",
        message=f"{number} lines of the log were dropped: its reader is too slow",
    )
    return _encode(made) + b"\n" if settings.form == "json" else _console(made)


def timestamp(seconds: float) -> str:
    """Unix time as RFC 3339 in UTC with milliseconds."""
    whole = int(seconds)
    return f"{_to_the_second(whole)}.{int((seconds - whole) * 1000):03d}Z"


@lru_cache(4)
def _to_the_second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _console(record: Record) -> bytes:
    """A line for people; line ends within the message are shown, not made."""
    message = record.message.replace("\r", "\\r").replace("\n", "\\n")
    parts = [record.time, record.level.upper(), f"{record.logger}:", message]
    parts += [f"{name}={value!r}" for name, value in record.extra.items()]
    if record.trace_id:
        parts.append(f"trace={record.trace_id}")
    line = " ".join(parts) + "\n"
    if record.error:
        line += record.error + "\n"
    return line.encode("utf-8", "backslashreplace")
