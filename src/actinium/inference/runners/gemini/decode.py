"""Answers of the wire -> chunks, without I/O (WM-1, RQ-5)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from actinium.base.ids import Ids
from actinium.errors import BadRequest, InferenceError, ProtocolError, Unsupported
from actinium.inference.chunk import Burst, Chunk, Finish, TokenLogprob, ToolDelta, Usage
from actinium.inference.http import SseDecoder

from .errors import blocked, from_event
from .wire import (
    Answer,
    WireCall,
    WireCandidate,
    WireLogprobs,
    WirePart,
    WireUsage,
    decode_answer,
    decode_answers,
    decode_usage,
)

_FINISH: Final[dict[str, Finish]] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "CONTINUATION": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "MODEL_ARMOR": "content_filter",
    "ESCALATION": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
    "IMAGE_OTHER": "content_filter",
}
"""Others (OTHER, LANGUAGE, NO_IMAGE, and what is yet to come) end as ``stop``."""

_FAILED: Final = frozenset(("MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "MALFORMED_RESPONSE",
                            "TOO_MANY_TOOL_CALLS"))  # fmt: skip
_BROKEN: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_NO_USAGE: Final = msgspec.Raw()
_ids: Final = Ids()


def new_call_id() -> str:
    """An id for a call that came without."""
    return _ids.new("call_")


class StreamDecoder:
    """Bytes of an event stream -> bursts.

    After each :meth:`feed` look at ``error`` (raise it once the burst is delivered) and at
    ``done``: the wire has no mark for the end of a stream, but its last event has both the last
    finish and the usage. At the end of the bytes call :meth:`end`. A finish is taken once per
    choice.
    """

    __slots__ = ("_calls", "_choices", "_events", "_finished", "_new_id", "_usage", "done", "error")

    def __init__(self, choices: int, new_id: Callable[[], str] = new_call_id) -> None:
        self._events = SseDecoder()
        self._choices = choices
        self._new_id = new_id
        self._finished: set[int] = set()
        self._calls: dict[int, int] = {}
        self._usage = _NO_USAGE
        self.done = False
        self.error: InferenceError | None = None

    def feed(self, piece: bytes) -> Burst:
        """The chunks that ``piece`` completes."""
        burst: Burst = []
        decode, add = decode_answer, burst.append
        try:
            for event in self._events.feed(piece):
                if not event:
                    continue
                answer = decode(event)
                candidates = answer.candidates
                # The bulk of every stream: one candidate with a piece of text and nothing else.
                if candidates is not None and len(candidates) == 1 and answer.error is None:
                    one = candidates[0]
                    content = one.content
                    if (
                        one.finish_reason is None
                        and one.logprobs_result is None
                        and content is not None
                        and content.parts is not None
                        and len(content.parts) == 1
                        and 0 <= one.index < self._choices
                        and one.index not in self._finished
                    ):
                        part = content.parts[0]
                        if part.text and not part.thought:
                            if len(answer.usage_metadata):
                                self._usage = answer.usage_metadata
                            add(Chunk(one.index, part.text))
                            continue
                self.take(answer, burst)
        except InferenceError as error:
            self.error = error
        except _BROKEN as error:
            self.error = ProtocolError(f"the upstream sent an event that is not its wire: {error}")
        return burst

    def end(self) -> Burst:
        """The bytes are over. Raises ProtocolError where a choice has no finish."""
        missing = [i for i in range(self._choices) if i not in self._finished]
        if missing:
            raise ProtocolError(
                "the upstream ended its answer without a finish for choice "
                + ", ".join(map(str, missing))
            )
        self.done = True
        return []

    def take(self, answer: Answer, burst: Burst) -> None:
        """Adds the chunks of one answer or event. Raises what it says instead of an answer."""
        if answer.error is not None:
            raise from_event(answer.error)
        for candidate in answer.candidates or ():
            self._take_candidate(candidate, burst)
        feedback = answer.prompt_feedback
        if feedback is not None and feedback.block_reason and not answer.candidates:
            raise blocked(feedback.block_reason, feedback.block_reason_message)
        if len(answer.usage_metadata):
            self._usage = answer.usage_metadata
        if len(self._usage) and len(self._finished) >= self._choices:
            usage = decode_usage(self._usage)
            self._usage = _NO_USAGE
            if usage is not None:
                burst.append(Chunk(usage=usage_of(usage)))
                self.done = True

    def _take_candidate(self, candidate: WireCandidate, burst: Burst) -> None:
        index, reason = candidate.index, candidate.finish_reason
        if not 0 <= index < self._choices:
            raise ProtocolError(f"the upstream sent choice {index}, {self._choices} were asked for")
        parts = candidate.content.parts if candidate.content is not None else None
        chunks: Burst = []
        for part in parts or ():
            self._take_part(index, part, chunks)
        if chunks and index in self._finished:
            raise ProtocolError(f"the upstream went on with choice {index} after its finish")
        if candidate.logprobs_result is not None:
            _attach(index, _logprobs_of(candidate.logprobs_result), chunks)
        burst += chunks
        if reason is None or index in self._finished:
            return
        if reason in _FAILED or reason == "MISSING_THOUGHT_SIGNATURE":
            raise _failed(reason, candidate.finish_message)
        finish = _FINISH.get(reason, "stop")
        if finish == "stop" and index in self._calls:
            finish = "tool_calls"
        self._finished.add(index)
        burst.append(Chunk(index, "", finish))

    def _take_part(self, index: int, part: WirePart, chunks: Burst) -> None:
        if part.function_call is not None:
            chunks.append(Chunk(index, tool=self._call(index, part, part.function_call)))
        elif part.text:
            if part.thought:
                chunks.append(Chunk(index, reasoning=part.text))
            else:
                chunks.append(Chunk(index, part.text))
        elif len(part.inline_data) or len(part.file_data):
            raise Unsupported(
                "the model answered with an image, audio or a file, which a chat's answer cannot "
                "carry; ask a model that answers in text"
            )
        elif len(part.executable_code) or len(part.code_execution_result):
            raise Unsupported(
                "the model answered with code it ran, which a chat's answer cannot carry"
            )

    def _call(self, index: int, part: WirePart, call: WireCall) -> ToolDelta:
        if not call.name:
            raise ProtocolError("the upstream sent a function call without a name")
        at = self._calls.get(index, 0)
        self._calls[index] = at + 1
        signature = part.thought_signature
        extra: dict[str, Any] | None = None
        if signature:
            extra = {"google": {"thought_signature": signature}}
        return ToolDelta(at, call.id or self._new_id(), call.name, _arguments(call.args), extra)


def decode_whole(body: bytes, choices: int, new_id: Callable[[], str] = new_call_id) -> Burst:
    """A whole answer -> one burst. Raises ProtocolError where a choice is missing or open.

    A stream that came as one JSON array, because something on the way took the wish for events
    out of the URL, is read as well.
    """
    decoder = StreamDecoder(choices, new_id)
    burst: Burst = []
    try:
        if body.lstrip()[:1] == b"[":
            for answer in decode_answers(body):
                decoder.take(answer, burst)
        else:
            decoder.take(decode_answer(body), burst)
    except _BROKEN as error:
        raise ProtocolError(f"the upstream's answer is not its wire: {error}") from None
    decoder.end()
    return burst


def usage_of(wire: WireUsage) -> Usage:
    thoughts = wire.thoughts_token_count or 0
    return Usage(
        input=(wire.prompt_token_count or 0) + (wire.tool_use_prompt_token_count or 0),
        output=(wire.candidates_token_count or 0) + thoughts,
        cached=wire.cached_content_token_count or 0,
        reasoning=thoughts,
    )


def _failed(reason: str, message: str | None) -> InferenceError:
    why = f": {message[:512]}" if message else ""
    if reason == "MISSING_THOUGHT_SIGNATURE":
        return BadRequest(
            "the upstream misses the thought signature of an earlier call; send each tool call "
            f"back with its extra_content{why}",
            "messages",
        )
    return ProtocolError(f"the model's call of a function failed ({reason}){why}")


def _arguments(raw: msgspec.Raw) -> str:
    """The arguments as compact JSON text, their numbers as they came."""
    text = bytes(msgspec.json.format(raw, indent=-1))
    if text == b"null":
        return "{}"
    if text[:1] != b"{":
        raise ProtocolError("the upstream sent the arguments of a call as something else than {}")
    return text.decode()


def _attach(index: int, tokens: tuple[TokenLogprob, ...], chunks: Burst) -> None:
    """Puts the tokens of an event onto its last text."""
    if not tokens:
        return
    for at in range(len(chunks) - 1, -1, -1):
        if chunks[at].text:
            chunks[at] = Chunk(index, chunks[at].text, logprobs=tokens)
            return
    chunks.append(Chunk(index, logprobs=tokens))


def _logprobs_of(wire: WireLogprobs) -> tuple[TokenLogprob, ...]:
    tops = wire.top_candidates or ()
    return tuple(
        TokenLogprob(
            chosen.token,
            chosen.log_probability,
            None,
            tuple((t.token, t.log_probability) for t in tops[at].candidates or ())
            if at < len(tops)
            else (),
        )
        for at, chosen in enumerate(wire.chosen_candidates or ())
    )
