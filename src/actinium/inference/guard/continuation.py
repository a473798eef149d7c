"""What a client has of an answer so far, and the request for the rest of it."""

from __future__ import annotations

import msgspec

from actinium.errors import InferenceError, StreamInterrupted

from ..chunk import Burst, Chunk, Detail, Seam, Usage, total_of
from ..estimate import CHARS
from ..request import Message, Native, Part, Request, TextPart


class Spoken:
    """The text of one answer, over all who spoke it.

    Only what is text alone can be gone on with: one choice, no call of a tool, no refusal, no
    finish, no format that an answer must have from its beginning. Reasoning may come before it;
    that of whoever goes on is left out, since it would come twice. The text that the next one is
    given has no blanks at its end, which some servers refuse; blanks that it then begins with are
    left out as far as they were there already.
    """

    def __init__(self, request: Request) -> None:
        format = request.response_format
        self._request = request
        self._plain = request.n == 1 and (format is None or format.get("type") == "text")
        self._text: list[str] = []
        self._chunks = 0
        self._tail = ""
        self._used: Usage | None = None  # by those that broke off
        self._from = ""
        self._reason = ""
        self.sent = 0

    @property
    def broken(self) -> bool:
        """Whether somebody broke off before."""
        return bool(self._from)

    def take(self, burst: Burst, name: str) -> Burst:
        """What the client gets of a burst of the deployment ``name``."""
        if self._from:
            burst = self._joined(burst, name)
        for chunk in burst:
            if chunk.text:
                self._text.append(chunk.text)
                self._chunks += 1
            if (
                chunk.finish is not None
                or chunk.tool is not None
                or chunk.refusal
                or chunk.index
                or _content(chunk.detail)
            ):
                self._plain = False
        self.sent += len(burst)
        return burst

    def can_go_on(self, error: Exception) -> bool:
        """Whether somebody else may go on after this error."""
        cause = error.cause if isinstance(error, StreamInterrupted) else error
        return self._plain and isinstance(cause, InferenceError) and cause.falls_back

    def rest(self, error: Exception, name: str, used: Usage) -> Request:
        """The deployment ``name`` broke off and has used so much: the request for the rest."""
        cause = error.cause if isinstance(error, StreamInterrupted) else error
        self._used = total_of(self._used, used)
        self._from = name
        self._reason = getattr(cause, "wire_code", None) or type(cause).__name__
        text = "".join(self._text)
        request = self._request
        begun = text.rstrip()
        self._tail = text[len(begun) :]
        sampling = request.sampling
        if sampling.max_tokens is not None:
            made = max(self._chunks, len(text) // CHARS)
            left = max(1, sampling.max_tokens - made)
            sampling = msgspec.structs.replace(sampling, max_tokens=left)
        request = msgspec.structs.replace(request, sampling=sampling, estimate=None)
        if request.prompt is not None:
            self._tail = ""  # a plain text goes on from where it is
            return msgspec.structs.replace(request, prompt=request.prompt + text)
        if not begun:
            return request
        native = request.native and _begun_native(request.native, begun, sampling.max_tokens)
        messages = _begun(request.messages, begun)
        return msgspec.structs.replace(request, messages=messages, native=native, prefill=True)

    def _joined(self, burst: Burst, name: str) -> Burst:
        """A burst of who goes on: the seam before its first text, nothing that was there."""
        joined: Burst = []
        for chunk in burst:
            text = chunk.text
            if text and self._tail:
                while text and self._tail and text[0] == self._tail[0]:
                    text, self._tail = text[1:], self._tail[1:]
                if text:
                    self._tail = ""
            usage = chunk.usage and total_of(self._used, chunk.usage)
            if not (text or chunk.finish or chunk.tool or chunk.refusal or usage):
                continue
            if self._reason:
                after = sum(map(len, self._text))
                seam = Seam(source=self._from, target=name, after=after, reason=self._reason)
                joined.append(Chunk(detail=Detail(seam=seam)))
                self._reason = ""
            joined.append(
                Chunk(
                    chunk.index, text, chunk.finish, chunk.tool, chunk.logprobs, usage, "",
                    chunk.refusal, chunk.detail if chunk.finish or _content(chunk.detail) else None,
                )
            )  # fmt: skip
        return joined


def _content(detail: Detail | None) -> bool:
    """Whether a detail is content that stands beside the text."""
    return detail is not None and (detail.block is not None or detail.citation is not None)


def _begun(messages: tuple[Message, ...], text: str) -> tuple[Message, ...]:
    """The conversation with the answer's beginning, which its client may have begun itself."""
    last = messages[-1] if messages else None
    if last is None or last.role != "assistant" or last.tool_calls:
        return (*messages, Message(role="assistant", content=text))
    if isinstance(last.content, tuple):
        content: str | tuple[Part, ...] = (*last.content, TextPart(text=text))
    else:
        content = (last.content or "") + text
    return (*messages[:-1], msgspec.structs.replace(last, content=content))


def _begun_native(native: Native, text: str, max_tokens: int | None) -> Native:
    """The same for a request of Anthropic's wire."""
    body = dict(native.body)
    if max_tokens is not None:
        body["max_tokens"] = max_tokens
    *before, last = body["messages"]
    if last["role"] != "assistant":
        before.append(last)
        last = {"role": "assistant", "content": text}
    elif isinstance(last["content"], str):
        last = {**last, "content": last["content"] + text}
    else:
        last = {**last, "content": [*last["content"], {"type": "text", "text": text}]}
    body["messages"] = [*before, last]
    return msgspec.structs.replace(native, body=body)
