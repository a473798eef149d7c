"""Bursts -> server-sent events of a chat or a plain completion."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Final

import msgspec
from msgspec import UNSET

from actinium.errors import ProtocolError
from actinium.inference.chunk import Burst, Chunk, Seam, Usage

from .shapes import (
    Delta,
    StreamChoice,
    TextChoice,
    encode,
    logprobs_of,
    text_logprobs_of,
    tool_piece,
    usage_of,
)

DONE: Final = b"data: [DONE]\n\n"
_lines: Final = msgspec.json.Encoder().encode_lines


class EventStream(ABC):
    """What both kinds share: the frame around each event, usage, and the end.

    The frame of an event is the same for the whole answer and is made once; a burst of plain
    text, the bulk of every stream, is encoded in one call and joined with it (about 0.3 us a
    chunk). ``usage`` says whether the client asked for the usage event.
    """

    object = ""
    before_text = b""
    after_text = b""

    def __init__(
        self, id: str, model: str, created: int, fingerprint: str, *, choices: int, usage: bool
    ) -> None:
        start = {"id": id, "object": self.object, "created": created, "model": model}
        start["system_fingerprint"] = fingerprint
        self._open = b"data: " + encode(start)[:-1] + b',"choices":['
        self._close = b'],"usage":null}\n\n' if usage else b"]}\n\n"
        self._text_open = self._open + self.before_text
        self._text_close = self.after_text + self._close
        self._between = self._text_close + self._text_open
        self._wants_usage = usage
        self._started: set[int] = set()
        self._open_choices = set(range(choices))
        self.usage: Usage | None = None

    def events(self, burst: Burst) -> bytes:
        """The events of a burst, ready for the socket."""
        out: list[bytes] = []
        texts: list[str] = []
        started = self._started
        if 0 not in started and burst:
            self._start(burst, out)
        for chunk in burst:
            if (
                chunk.finish is None
                and chunk.index == 0
                and chunk.tool is None
                and chunk.usage is None
                and not chunk.logprobs
                and not chunk.reasoning
                and not chunk.refusal
                and chunk.detail is None
            ):
                texts.append(chunk.text)
                continue
            if texts:
                out.append(self._plain(texts))
                texts = []
            self._rest(chunk, out)
        if texts:
            if not out:
                return self._plain(texts)
            out.append(self._plain(texts))
        return b"".join(out)

    def end(self) -> bytes:
        """The last events. Raises ProtocolError where a choice has not ended."""
        if self._open_choices:
            raise ProtocolError(
                "the answer ended without a finish for choice "
                + ", ".join(map(str, sorted(self._open_choices)))
            )
        if self._wants_usage and self.usage is not None:
            usage = encode(usage_of(self.usage))
            return self._open + b'],"usage":' + usage + b"}\n\n" + DONE
        return DONE

    def _seam(self, seam: Seam) -> bytes:
        """An event without content: a client that does not know ``actinium`` sees nothing."""
        told = encode({"actinium": {"continued": seam}})[1:-1]
        close = b"]," + told + self._close[1:]
        return self._text_open + b'""' + self.after_text + close

    def _plain(self, texts: list[str]) -> bytes:
        parts = _lines(texts).split(b"\n")
        parts.pop()
        return self._text_open + self._between.join(parts) + self._text_close

    def _rest(self, chunk: Chunk, out: list[bytes]) -> None:
        if chunk.usage is not None:
            self.usage = chunk.usage
        if chunk.detail is not None and chunk.detail.seam is not None:
            out.append(self._seam(chunk.detail.seam))
            return
        index = chunk.index
        if chunk.finish is not None:
            self._open_choices.discard(index)
        elif not (
            chunk.text
            or chunk.tool
            or chunk.reasoning
            or chunk.refusal
            or chunk.logprobs
            or chunk.detail
        ):
            return
        if index not in self._started:
            self._begin(chunk, out)
        out += [self._open + piece + self._close for piece in self._pieces(chunk)]

    def _start(self, burst: Burst, out: list[bytes]) -> None:
        """The first event of choice 0 goes before everything else of it."""
        for chunk in burst:
            if chunk.index == 0 and chunk.usage is None:
                self._begin(chunk, out)
                return

    def _begin(self, first: Chunk, out: list[bytes]) -> None:
        self._started.add(first.index)

    @abstractmethod
    def _pieces(self, chunk: Chunk) -> list[bytes]:
        """The choice's part of the events for one chunk."""


class ChatStream(EventStream):
    """``chat.completion.chunk``: the role first, then deltas, then the finish alone."""

    object = "chat.completion.chunk"
    before_text = b'{"index":0,"delta":{"content":'
    after_text = b'},"logprobs":null,"finish_reason":null}'

    def _begin(self, first: Chunk, out: list[bytes]) -> None:
        self._started.add(first.index)
        # A client that joins the pieces of a tool call must not end with an empty text.
        delta = Delta(role="assistant", content="" if first.tool is None else None)
        out.append(self._open + encode(StreamChoice(first.index, delta)) + self._close)

    def _pieces(self, chunk: Chunk) -> list[bytes]:
        index = chunk.index
        pieces = []
        thinking = chunk.detail.thinking() if chunk.detail is not None else None
        if (
            chunk.text
            or chunk.tool
            or chunk.reasoning
            or chunk.refusal
            or chunk.logprobs
            or thinking
        ):
            delta = Delta(
                content=chunk.text or UNSET,
                reasoning_content=chunk.reasoning or UNSET,
                refusal=chunk.refusal or UNSET,
                tool_calls=(tool_piece(chunk),) if chunk.tool is not None else UNSET,
                thinking_blocks=(thinking,) if thinking is not None else UNSET,
            )
            pieces.append(encode(StreamChoice(index, delta, logprobs_of(chunk.logprobs))))
        if chunk.finish is not None:
            pieces.append(encode(StreamChoice(index, Delta(), None, chunk.finish)))
        return pieces


class TextStream(EventStream):
    """``text_completion`` events."""

    object = "text_completion"
    before_text = b'{"text":'
    after_text = b',"index":0,"logprobs":null,"finish_reason":null}'

    def __init__(
        self, id: str, model: str, created: int, fingerprint: str, *, choices: int, usage: bool
    ) -> None:
        super().__init__(id, model, created, fingerprint, choices=choices, usage=usage)
        self._offsets: dict[int, int] = {}

    def _pieces(self, chunk: Chunk) -> list[bytes]:
        offset = self._offsets.get(chunk.index, 0)
        self._offsets[chunk.index] = offset + len(chunk.text)
        logprobs = text_logprobs_of(chunk.logprobs, offset)
        return [encode(TextChoice(chunk.text, chunk.index, logprobs, chunk.finish))]
