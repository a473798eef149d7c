"""Answers of the wire -> chunks, without I/O (WM-1, RQ-5)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from actinium.errors import InferenceError, ProtocolError, ServerError
from actinium.inference.chunk import Burst, Chunk, Finish, TokenLogprob, ToolDelta, Usage
from actinium.inference.estimate import CHARS
from actinium.inference.http import SseDecoder

from .errors import from_event
from .wire import Answer, WireChoice, WireLogprobs, WireText, WireToolCall, WireUsage, decode_answer

_FINISH: Final[dict[str, Finish]] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "model_length": "length",
}
_GAVE_UP: Final = frozenset(("abort", "error", "insufficient_system_resource"))
"""Reasons that are no end of an answer (vLLM and SGLang, OpenRouter and Mistral, DeepSeek)."""

_DONE: Final = b"[DONE]"
_BROKEN: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class EventReader:
    """Events of this wire, decoded -> chunks.

    A finish is taken once per choice and never overwritten by a later event. ``estimate`` gives
    the input tokens where the server tells no usage; the output is then as many as pieces came.
    """

    __slots__ = ("_calls", "_choices", "_counts", "_estimate", "_finished", "_pieces", "_told")

    def __init__(self, choices: int, estimate: Callable[[], int] | None = None) -> None:
        self._choices = choices
        self._estimate = estimate
        self._finished: set[int] = set()
        self._pieces = 0
        self._told = False
        self._calls: dict[tuple[int, int], tuple[str | None, int]] = {}
        self._counts: dict[int, int] = {}

    def take(self, answer: Answer, burst: Burst) -> None:
        """Adds the chunks of an event. Raises the error that it tells of."""
        if answer.choices is None and answer.message is not None:
            raise from_event({"message": answer.message, "type": answer.type, "code": answer.code})
        for choice in answer.choices or ():
            self._take_choice(choice, burst)
        if answer.usage is not None:
            self._told = True
            burst.append(Chunk(usage=usage_of(answer.usage)))

    def count(self, burst: Burst) -> None:
        """Counts the pieces of a burst, for an estimate."""
        self._pieces += len(burst)

    def last(self) -> Burst:
        """What is said at the end: the usage, where nothing has told it."""
        if self._told or self._estimate is None:
            return []
        self._told = True
        usage = Usage(input=self._estimate(), output=self._pieces, source="estimated")
        return [Chunk(usage=usage)]

    def missing_finish(self) -> ProtocolError | None:
        """The error of an answer that ends now, if a choice of it has not."""
        missing = [i for i in range(self._choices) if i not in self._finished]
        if not missing:
            return None
        return ProtocolError(
            "the upstream ended its stream without a finish for choice "
            + ", ".join(map(str, missing))
        )

    def _take_choice(self, choice: WireChoice, burst: Burst) -> None:
        index = choice.index
        finish: Finish | None = None
        if choice.finish_reason and index not in self._finished:
            finish = finish_of(choice.finish_reason)
            self._finished.add(index)
        text = choice.delta or choice.message or WireText(content=choice.text)
        if text.tool_calls:
            text = msgspec.structs.replace(text, tool_calls=self._placed(index, text.tool_calls))
        burst += chunks_of(index, text, choice.logprobs, finish)

    def _placed(self, choice: int, calls: tuple[WireToolCall, ...]) -> tuple[WireToolCall, ...]:
        """The calls with places of their own, from 0 on.

        Some servers give several calls the same one (Ollama), or begin at another: a call begins
        where a name comes with an id that its place has not.
        """
        placed = []
        for at, call in enumerate(calls):
            wire = at if call.index is None else call.index
            known = self._calls.get((choice, wire))
            named = call.function is not None and bool(call.function.name)
            if known is None or (named and call.id and call.id != known[0]):
                known = call.id, self._counts.get(choice, 0)
                self._counts[choice] = known[1] + 1
                self._calls[choice, wire] = known
            placed.append(msgspec.structs.replace(call, index=known[1]))
        return tuple(placed)


class StreamDecoder(EventReader):
    """Bytes of an event stream -> bursts.

    After each :meth:`feed` look at ``error`` (raise it once the burst is delivered) and at
    ``done``; at the end of the bytes call :meth:`end`.
    """

    __slots__ = ("_events", "done", "error")

    def __init__(self, choices: int, estimate: Callable[[], int] | None = None) -> None:
        super().__init__(choices, estimate)
        self._events = SseDecoder()
        self.done = False
        self.error: InferenceError | None = None

    def feed(self, piece: bytes) -> Burst:
        """The chunks that ``piece`` completes; none for keep-alives and role events."""
        burst: Burst = []
        decode, add = decode_answer, burst.append
        try:
            for event in self._events.feed(piece):
                if event == _DONE or event.strip(b' "\t') == _DONE:
                    self.done = True
                    self.error = self.missing_finish()
                    if self.error is None:
                        self._pieces += len(burst)
                        burst += self.last()
                    break
                if not event:
                    continue
                answer = decode(event)
                # The bulk of every stream: one choice with a piece of text and nothing else.
                if (
                    answer.choices is not None
                    and len(answer.choices) == 1
                    and answer.usage is None
                    and answer.error is None
                ):
                    choice = answer.choices[0]
                    text = choice.delta
                    if (
                        text is not None
                        and choice.finish_reason is None
                        and choice.logprobs is None
                        and type(text.content) is str
                        and text.content
                        and text.tool_calls is None
                        and text.reasoning_content is None
                        and text.reasoning is None
                    ):
                        add(Chunk(choice.index, text.content))
                        continue
                if answer.error is not None:
                    self.error = from_event(answer.error)
                    break
                self.take(answer, burst)
            else:
                self._pieces += len(burst)
        except InferenceError as error:
            self.error = error
        except _BROKEN as error:
            self.error = ProtocolError(f"the upstream sent an event that is not its wire: {error}")
        return burst

    def end(self) -> Burst:
        """The bytes are over. Raises ProtocolError where a choice has no finish."""
        error = self.missing_finish()
        if error is not None:
            raise error
        self.done = True
        return self.last()


def decode_whole(body: bytes, choices: int, estimate: Callable[[], int] | None = None) -> Burst:
    """A whole answer -> one burst. Raises ProtocolError where a choice is missing or open."""
    try:
        answer = decode_answer(body)
    except _BROKEN as error:
        raise ProtocolError(f"the upstream's answer is not its wire: {error}") from None
    return whole_of(answer, choices, estimate)


def whole_of(answer: Answer, choices: int, estimate: Callable[[], int] | None = None) -> Burst:
    """The same of an answer that is decoded. ``estimate`` gives the input tokens where the server
    tells no usage."""
    if answer.error is not None:
        raise from_event(answer.error)
    if answer.choices is None and answer.message is not None:
        raise from_event({"message": answer.message, "type": answer.type, "code": answer.code})
    burst: Burst = []
    finished: set[int] = set()
    given = answer.choices or ()
    for choice in given:
        if not choice.finish_reason or choice.index in finished:
            raise ProtocolError(f"the upstream's choice {choice.index} has not one finish")
        finished.add(choice.index)
        finish = finish_of(choice.finish_reason)
        text = choice.message or choice.delta or WireText(content=choice.text)
        usage = answer.usage if choice is given[-1] else None
        burst += chunks_of(choice.index, text, choice.logprobs, finish, usage)
    if len(finished) < choices:
        raise ProtocolError(f"the upstream gave {len(finished)} choices, {choices} were asked for")
    if answer.usage is None and estimate is not None:
        output = sum(len(c.text) + len(c.reasoning) for c in burst) // CHARS
        guess = Usage(input=estimate(), output=max(1, output), source="estimated")
        burst.append(Chunk(usage=guess))
    return burst


def chunks_of(
    index: int,
    text: WireText,
    logprobs: WireLogprobs | None,
    finish: Finish | None,
    usage: WireUsage | None = None,
) -> Burst:
    """The chunks of one choice: text and finish in one, each piece of a tool call in its own."""
    chunks: Burst = []
    for at, call in enumerate(text.tool_calls or ()):
        function = call.function
        delta = ToolDelta(
            index=at if call.index is None else call.index,
            id=call.id,
            name=function.name if function is not None else None,
            arguments=(function.arguments or "") if function is not None else "",
            extra_content=call.extra_content,
        )
        chunks.append(Chunk(index, tool=delta))
    content, reasoning = text.content or "", text.reasoning_content or text.reasoning or ""
    if isinstance(content, tuple):
        content, more = _parts_of(content)
        reasoning += more
    refusal = text.refusal or ""
    tokens = _logprobs_of(logprobs) if logprobs is not None else ()
    if content or reasoning or refusal or tokens or finish is not None:
        used = usage_of(usage) if usage is not None else None
        chunks.append(Chunk(index, content, finish, None, tokens, used, reasoning, refusal))
    return chunks


def finish_of(reason: str) -> Finish:
    """The finish for the wire's word. Raises ServerError where it says that there is none."""
    if reason in _GAVE_UP:
        raise ServerError(f"the upstream gave up in the middle of its answer ({reason})")
    return _FINISH.get(reason, "stop")


def _parts_of(parts: tuple[dict[str, Any], ...]) -> tuple[str, str]:
    """Text and reasoning of content that comes in parts."""
    text = reasoning = ""
    for part in parts:
        inner = part.get("thinking")
        if isinstance(inner, list):
            reasoning += "".join(str(p.get("text", "")) for p in inner if isinstance(p, dict))
        else:
            text += str(part.get("text") or "")
    return text, reasoning


def usage_of(wire: WireUsage) -> Usage:
    inputs = wire.prompt_tokens_details
    outputs = wire.completion_tokens_details
    return Usage(
        input=wire.prompt_tokens,
        output=wire.completion_tokens or 0,
        cached=(inputs.cached_tokens or 0) if inputs is not None else 0,
        reasoning=(outputs.reasoning_tokens or 0) if outputs is not None else 0,
        cache_write=(inputs.cache_write_tokens or 0) if inputs is not None else 0,
    )


def _logprobs_of(wire: WireLogprobs) -> tuple[TokenLogprob, ...]:
    if wire.content is not None:
        return tuple(
            TokenLogprob(
                t.token,
                t.logprob,
                t.bytes,
                tuple((a.token, a.logprob) for a in t.top_logprobs or ()),
            )
            for t in wire.content
        )
    tokens = wire.tokens or ()
    own = wire.token_logprobs or ()
    tops = wire.top_logprobs or ()
    return tuple(
        TokenLogprob(
            token,
            # The first token of an echoed prompt has none.
            (own[i] if i < len(own) else None) or 0.0,
            None,
            tuple((tops[i] or {}).items()) if i < len(tops) else (),
        )
        for i, token in enumerate(tokens)
    )
