"""What a runner answers with: a sequence of chunks, each a small immutable piece."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Finish = Literal["stop", "length", "tool_calls", "content_filter"]


class TokenLogprob(msgspec.Struct, frozen=True):
    """Natural-log probability of one token of the answer, with the best alternatives."""

    token: str
    logprob: float
    bytes: tuple[int, ...] | None = None
    top: tuple[tuple[str, float], ...] = ()


class ToolDelta(msgspec.Struct, frozen=True):
    """A piece of a tool call: ``id`` and ``name`` come once, ``arguments`` in pieces.

    ``extra_content`` comes once as well: see :class:`~actinium.inference.request.ToolCall`.
    """

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""
    extra_content: dict[str, Any] | None = None


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of the whole request so far; the last one seen is the truth, never add them up.

    ``input`` includes ``cached`` (read from a cache of prompts) and ``cache_write`` (put into
    it); ``output`` includes ``reasoning``.
    """

    input: int = 0
    output: int = 0
    cached: int = 0
    reasoning: int = 0
    cache_write: int = 0
    source: Literal["wire", "estimated"] = "wire"


def total_of(left: Usage | None, right: Usage) -> Usage:
    """The usage of two different requests together."""
    if left is None:
        return right
    return Usage(
        input=left.input + right.input,
        output=left.output + right.output,
        cached=left.cached + right.cached,
        reasoning=left.reasoning + right.reasoning,
        cache_write=left.cache_write + right.cache_write,
        source=left.source if left.source == right.source else "estimated",
    )


class Seam(msgspec.Struct, frozen=True, kw_only=True):
    """The place where another deployment goes on with an answer that broke off.

    ``after`` counts the characters of text before it; ``reason`` is the code of the error.
    """

    source: str
    target: str
    after: int
    reason: str


class Detail(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What few wires can say; a door of another wire leaves it out.

    ``signature`` ends the thinking whose text is the ``reasoning`` before it; ``redacted`` is a
    whole piece of thinking that nobody may read. Clients send both back unchanged. ``citation``
    belongs to the text before it; ``block`` is a whole content block of no other kind, such as
    the result of a tool that the provider ran itself. ``stop`` is the stop sequence that was
    met; ``reason`` is the provider's word for the finish where it says more than ``finish``.
    ``seam`` stands alone in its chunk, before the first text of who goes on.
    """

    signature: str = ""
    redacted: str = ""
    citation: dict[str, Any] | None = None
    block: dict[str, Any] | None = None
    stop: str = ""
    reason: str = ""
    seam: Seam | None = None

    def thinking(self, text: str = "") -> dict[str, str] | None:
        """The block of thinking that this ends, with the ``text`` before it, or is; or None."""
        if self.redacted:
            return {"type": "redacted_thinking", "data": self.redacted}
        if self.signature:
            return {"type": "thinking", "thinking": text, "signature": self.signature}
        return None


class Chunk(msgspec.Struct, frozen=True, gc=False):
    """A piece of the answer for the choice ``index``.

    Each choice ends with exactly one chunk that carries ``finish``. ``usage`` comes with or
    after the last finish; what is known before comes earlier, with other content and marked as
    estimated. ``text`` never splits a character of UTF-8.
    """

    index: int = 0
    text: str = ""
    finish: Finish | None = None
    tool: ToolDelta | None = None
    logprobs: tuple[TokenLogprob, ...] = ()
    usage: Usage | None = None
    reasoning: str = ""
    refusal: str = ""
    detail: Detail | None = None


Burst = list[Chunk]
"""The chunks that one read or one engine step delivered together: one await for many."""
