"""From the tokens of one choice to its chunks: text, tool calls, log-probabilities, finish."""

from __future__ import annotations

import secrets
from collections import deque

import msgspec

from ...chunk import Chunk, Finish, TokenLogprob, ToolDelta
from .plan import Plan
from .stops import StopFilter
from .vocabulary import Detokeniser, Vocabulary


class _Call(msgspec.Struct):
    name: str
    arguments: msgspec.Raw


class Answer:
    """The state of one choice between its tokens; ``finish`` is set once it has ended.

    ``call`` is what has been written of the call that is open (None: none is).

    A call is given whole, as one :class:`ToolDelta`, when it is complete; what the model wrote
    as a call that is none (cut off, not JSON) is given as text, so that nothing is lost and no
    broken call looks like one. Stop strings apply to text, not to calls. Entries of
    ``logprobs`` leave with the chunk that shows the last character of their token.
    """

    def __init__(
        self,
        index: int,
        plan: Plan,
        vocabulary: Vocabulary,
        stop_ids: frozenset[int],
        call_id: int | None,
        *,
        forced_call: str | None,
        one_call: bool,
    ) -> None:
        self.index = index
        self.finish: Finish | None = None
        self._vocabulary = vocabulary
        self._stop_ids = stop_ids
        self._call_id = call_id
        self._one_call = one_call
        self._text = Detokeniser(vocabulary)
        self._stops = StopFilter(plan.stop)
        self.call: bytes | None = None if forced_call is None else forced_call.encode()
        self._call_start = 0
        self._calls = 0
        self._entries: deque[tuple[int, int, TokenLogprob]] = deque()
        self._seen = 0
        self._shown = 0

    def push(self, token: int, entry: TokenLogprob | None) -> Chunk | None:
        """Takes one token; returns what can be shown now, with ``finish`` where it ended."""
        if token in self._stop_ids:
            return self.end("stop")
        if token == self._call_id:
            return self._open_call()
        start = self._seen
        text = self._text.push(token)
        self._seen += len(text)
        if entry is not None:
            # A token that leaves a character unfinished is shown when that character is.
            self._entries.append((start, self._seen + self._text.pending, entry))
        if self.call is not None:
            self.call += self._vocabulary.pieces[token]
            return None
        return self._show(text)

    def end(self, finish: Finish) -> Chunk:
        """Ends the choice: flushes what was held back."""
        tool, text = self._close_call()
        if self.finish is not None:
            return self._chunk(text, None)
        text += self._stops.push(self._flush())
        if self._stops.stopped:
            finish = "stop"
        else:
            text += self._stops.finish()
            if finish == "stop" and self._calls:
                finish = "tool_calls"
        self.finish = finish
        return self._chunk(text, tool)

    def _show(self, text: str) -> Chunk | None:
        shown = self._stops.push(text) if text else ""
        if self._stops.stopped:
            self.finish = "stop"
            return self._chunk(shown, None)
        if not shown and not self._due():
            return None
        return self._chunk(shown, None)

    def _open_call(self) -> Chunk | None:
        tool, text = self._close_call()
        if self.finish is not None:
            return self._chunk(text, None)
        text += self._stops.push(self._flush())
        if self._stops.stopped:
            self.finish = "stop"
        elif self._one_call and self._calls:
            text += self._stops.finish()
            self.finish = "tool_calls"
        self.call = b""
        self._call_start = self._seen
        if tool is None and not text and self.finish is None:
            return None
        return self._chunk(text, tool)

    def _close_call(self) -> tuple[ToolDelta | None, str]:
        """The open call as a delta, or its text where it is no call."""
        if self.call is None:
            return None, ""
        self._flush()
        written = self.call.decode("utf-8", "replace")
        self.call = None
        try:
            call = msgspec.json.decode(written, type=_Call)
            arguments = bytes(call.arguments).decode()
            msgspec.json.decode(arguments, type=dict)
        except msgspec.DecodeError:
            text = self._stops.push(written)
            if self._stops.stopped:
                self.finish = "stop"
            return None, text
        # What became a call is no text: positions go on as if it had not been written.
        self._seen = self._call_start
        while self._entries and self._entries[-1][0] >= self._call_start:
            self._entries.pop()
        self._calls += 1
        delta = ToolDelta(
            index=self._calls - 1,
            id=f"call_{secrets.token_hex(12)}",
            name=call.name,
            arguments=arguments,
        )
        return delta, ""

    def _flush(self) -> str:
        rest = self._text.finish()
        self._seen += len(rest)
        return rest

    def _due(self) -> bool:
        return bool(self._entries) and self._entries[0][1] <= self._shown

    def _chunk(self, text: str, tool: ToolDelta | None) -> Chunk:
        self._shown += len(text)
        if not self._entries:
            return Chunk(index=self.index, text=text, finish=self.finish, tool=tool)
        ready: list[TokenLogprob] = []
        while self._entries:
            start, end, entry = self._entries[0]
            # At the end a token that shows a part of itself counts as shown.
            if end > self._shown and not (self.finish and start < self._shown):
                break
            self._entries.popleft()
            ready.append(entry)
        return Chunk(
            index=self.index,
            text=text,
            finish=self.finish,
            tool=tool,
            logprobs=tuple(ready),
        )
