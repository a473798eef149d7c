"""What spans say of attempts at an answer. Nothing of this runs while nobody watches."""

from __future__ import annotations

import os
from contextlib import suppress
from time import monotonic_ns
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from actinium.base import attributes as a
from actinium.base.trace import Span, Value, current
from actinium.errors import ConfigError, StreamInterrupted

from .choice import choose
from .chunk import Burst, Usage
from .deployment import Deployment
from .request import EmbedRequest, Request

_encode: Final = msgspec.json.Encoder().encode
_PROVIDERS: Final = {
    "azure": "azure.ai.openai",
    "gemini": "gcp.gemini",
    "vertex": "gcp.vertex_ai",
    "onnx": "actinium",
}
"""The conventions' names of providers, where they are not those of our runtimes."""


class Described:
    """What each attempt at a deployment has in common."""

    __slots__ = ("embeds", "fixed", "name", "names")

    def __init__(self, deployment: Deployment) -> None:
        runtime = "unknown"
        with suppress(ConfigError):  # a runner made by hand
            runtime = choose(deployment, os.environ).runtime
        self.name = deployment.name
        self.fixed: dict[str, Value] = {
            a.PROVIDER: _PROVIDERS.get(runtime, runtime),
            a.REQUEST_MODEL: deployment.model,
            a.DEPLOYMENT: deployment.name,
        }
        if deployment.base_url is not None:
            with suppress(ValueError):  # no URL: a runner made by hand
                parts = urlsplit(deployment.base_url)
                self.fixed[a.SERVER_ADDRESS] = parts.hostname or ""
                self.fixed[a.SERVER_PORT] = parts.port or (443 if parts.scheme == "https" else 80)
        self.names = f"chat {deployment.model}", f"text_completion {deployment.model}"
        self.embeds = f"embeddings {deployment.model}"


class AttemptSpan(Span):
    """A span of one attempt at a deployment; it is the current one while it lasts."""

    kind = "client"
    described: Described  # these two are set by begun()
    request: Request | EmbedRequest
    _usage: Usage | None = None
    _reasons: tuple[str, ...] = ()
    _first = 0

    def first_token(self) -> None:
        """The first content came from the model."""
        self.event(a.FIRST_TOKEN)
        self._first = monotonic_ns()

    def saw(self, burst: Burst) -> None:
        """Notes why the choices of a burst ended, for those that did, and the text if somebody
        asked for it."""
        for chunk in burst:
            if chunk.finish is not None:
                self._reasons += (chunk.finish,)
        if self.trace.content:
            facts = self.trace.facts
            facts["output"] = facts.get("output", "") + "".join(chunk.text for chunk in burst)

    def over(self, failure: BaseException | None, usage: Usage | None, ended: int) -> None:
        """The attempt is over, at a monotonic time in nanoseconds; the span around it is the
        current one again."""
        self._usage = usage
        if failure is not None:
            self.end(failure.cause if isinstance(failure, StreamInterrupted) else failure)
        else:
            self.ended = ended
        current.set(self.parent)

    def tell(self, facts: dict[str, Any]) -> None:
        """Where the request went, and what it used there."""
        facts["deployment"] = self.described.name
        facts["attempts"] = facts.get("attempts", 0) + 1
        if self.request.tenant is not None:
            facts["tenant"] = self.request.tenant
        if self._first:
            facts.setdefault("first_token", (self._first - self.began) / 1e9)
        if self._usage is not None:
            _used(facts, self._usage)

    def about(self) -> dict[str, Value]:
        """The attributes of the conventions for generative AI."""
        request = self.request
        said = {**self.described.fixed, **super().about()}
        if isinstance(request, Request):
            plain = request.prompt is not None
            said[a.OPERATION] = "text_completion" if plain else "chat"
            said[a.STREAM] = request.stream
            _asked(said, request)
        else:
            said[a.OPERATION] = "embeddings"
        if self._first:
            said[a.FIRST_TOKEN_SECONDS] = (self._first - self.began) / 1e9
        if self._reasons:
            said[a.FINISH_REASONS] = self._reasons
        usage = self._usage
        if usage is not None:
            said[a.INPUT_TOKENS] = usage.input
            said[a.OUTPUT_TOKENS] = usage.output
            more = {
                a.CACHED_TOKENS: usage.cached,
                a.CACHE_WRITE_TOKENS: usage.cache_write,
                a.REASONING_TOKENS: usage.reasoning,
            }
            said |= {name: tokens for name, tokens in more.items() if tokens}
        return said


def begun(
    parent: Span, described: Described, request: Request | EmbedRequest, began: int
) -> AttemptSpan:
    """The span of an attempt that begins at a monotonic time in nanoseconds."""
    trace = parent.trace
    if isinstance(request, Request):
        name = described.names[request.prompt is not None]
    else:
        name = described.embeds
    span = AttemptSpan(trace, name, parent, began)
    span.described = described
    span.request = request
    trace.untold.append(span)
    if trace.content:
        trace.facts["input"] = _input(request)
    current.set(span)
    return span


def _input(request: Request | EmbedRequest) -> str:
    """What the model was given, as JSON."""
    if isinstance(request, EmbedRequest):
        return _encode(request.inputs).decode()
    return _encode(request.messages if request.prompt is None else request.prompt).decode()


def _asked(attributes: dict[str, Value], request: Request) -> None:
    sampling = request.sampling
    if sampling.max_tokens is not None:
        attributes[a.MAX_TOKENS] = sampling.max_tokens
    if sampling.temperature is not None:
        attributes[a.TEMPERATURE] = sampling.temperature
    if sampling.top_p is not None:
        attributes[a.TOP_P] = sampling.top_p
    if sampling.seed is not None:
        attributes[a.SEED] = sampling.seed
    if request.n != 1:
        attributes[a.CHOICES] = request.n


def _used(facts: dict[str, Any], usage: Usage) -> None:
    """Adds an attempt's tokens to those of the request."""
    facts["input_tokens"] = facts.get("input_tokens", 0) + usage.input
    facts["output_tokens"] = facts.get("output_tokens", 0) + usage.output
    if usage.cached:
        facts["cached_tokens"] = facts.get("cached_tokens", 0) + usage.cached
    if usage.cache_write:
        facts["cache_write_tokens"] = facts.get("cache_write_tokens", 0) + usage.cache_write
    if usage.reasoning:
        facts["reasoning_tokens"] = facts.get("reasoning_tokens", 0) + usage.reasoning
