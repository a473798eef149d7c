"""Server-sent events, decoded as the bytes come, without I/O.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html, sections 9.2.5 and
9.2.6 (byte order mark, CR, LF or CRLF as line end, comments, fields with several ``data``
lines). WM-1: any split of the bytes gives the same events.
"""

from __future__ import annotations

from actinium.errors import ProtocolError

_BOM = b"\xef\xbb\xbf"
MAX_EVENT = 4 * 1024 * 1024


class SseDecoder:
    """Feed it bytes, get the ``data`` of each complete event, as bytes.

    Events are dispatched at their empty line; one without ``data`` gives nothing. ``comments``
    counts comment lines: a sign of life. ``error`` fields (older llama-server) count as ``data``;
    ``event``, ``id`` and ``retry`` are read and left out, since no server of OpenAI's wire gives
    them a meaning. Raises ProtocolError where one event is longer than ``limit`` bytes.
    """

    __slots__ = ("_data", "_first", "_held", "_limit", "_rest", "_skip_lf", "comments")

    def __init__(self, limit: int = MAX_EVENT) -> None:
        self._rest = b""
        self._data: list[bytes] = []
        self._held = 0
        self._first = True
        self._skip_lf = False
        self._limit = limit
        self.comments = 0

    def feed(self, piece: bytes) -> list[bytes]:
        """The data of the events that ``piece`` completes."""
        if self._skip_lf:
            if not piece:
                return []
            self._skip_lf = False
            piece = piece.removeprefix(b"\n")  # the second half of a CRLF
        text = self._rest + piece if self._rest else piece
        if self._first:
            if len(text) < 3 and _BOM.startswith(text):
                self._rest = text
                return []
            self._first = False
            text = text.removeprefix(_BOM)
        if b"\r" in text and text[-1] != 13:  # no CRLF is cut in two: all line ends may be LF
            text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if self._data or b"\r" in text:
            return self._feed_lines(text)
        return self._feed_plain(text)

    def _feed_plain(self, text: bytes) -> list[bytes]:
        """The usual shape: LF only, one ``data:`` line per event. About 0.1 us an event."""
        if text[:6] == b"data: " and len(text) <= self._limit:
            # Whole events of one line each have two line ends each and nothing else.
            end = text.rfind(b"\n\n") + 2
            plain = text[6 : end - 2].split(b"\n\ndata: ")
            if end > 1 and text.count(b"\n", 0, end) == 2 * len(plain):
                self._rest = text[end:]
                return plain
        return self._feed_blocks(text)

    def _feed_blocks(self, text: bytes) -> list[bytes]:
        blocks = text.split(b"\n\n")
        self._rest = blocks.pop()
        if len(self._rest) > self._limit:
            raise self._too_long()
        events: list[bytes] = []
        for block in blocks:
            if block.startswith(b"data: ") and b"\n" not in block:
                if len(block) - 6 > self._limit:
                    raise self._too_long()
                events.append(block[6:])
            elif block:
                events += self._lines(block.split(b"\n"))
                events += self._lines([b""])
        return events

    def _feed_lines(self, text: bytes) -> list[bytes]:
        # A CR at the end ends its line now; an LF that follows belongs to it.
        self._skip_lf = text.endswith(b"\r")
        if b"\r" in text:
            text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        lines = text.split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) + self._held > self._limit:
            raise self._too_long()
        return self._lines(lines)

    def _lines(self, lines: list[bytes]) -> list[bytes]:
        events: list[bytes] = []
        data = self._data
        for line in lines:
            if not line:
                if data:
                    events.append(b"\n".join(data))
                    data.clear()
                    self._held = 0
                continue
            if line[0] == 58:  # ':'
                self.comments += 1
                continue
            field, _, value = line.partition(b":")
            if field == b"data" or field == b"error":
                data.append(value[1:] if value[:1] == b" " else value)
                self._held += len(value)
                if self._held > self._limit:
                    raise self._too_long()
        return events

    def _too_long(self) -> ProtocolError:
        return ProtocolError(f"the upstream sent an event longer than {self._limit} bytes")
