"""What the gateway counts: its answers, and how long clients waited for them."""

from __future__ import annotations

from typing import Final, NamedTuple

from actinium.base.measures import Count, Distribution, Registry
from actinium.inference.measures import SECONDS, TTFT_SECONDS
from actinium.inference.service import Inference

from .context import Call

_NONE: Final = "none"
"""The deployment of a request that names none, or none there is."""


class _Children(NamedTuple):
    answers: Count
    seconds: Distribution
    first: Distribution


class GatewayMeasures:
    """Answers by endpoint, deployment and status; children are looked up by one small key."""

    def __init__(self, inference: Inference) -> None:
        registry: Registry = inference.registry
        by = ("endpoint", "deployment")
        self._inference = inference
        self._answers = registry.counter(
            "http_answers", "Answers of the gateway.", ("endpoint", "deployment", "status")
        )
        self._seconds = registry.histogram(
            "http_request_seconds", "From a whole request to the end of its answer.", SECONDS, by
        )
        self._first = registry.histogram(
            "http_ttft_seconds",
            "From a whole request to the first content written to a stream's socket.",
            TTFT_SECONDS,
            by,
        )
        self._slow = registry.counter("stream_slow", "Readers cut off for not reading.").labels()
        self._plain: dict[tuple[str, int], Count] = {}
        self._children: dict[tuple[str, str, int], _Children] = {}

    def count(self, endpoint: str, status: int) -> None:
        """Counts an answer that no model was asked for."""
        key = (endpoint, status)
        child = self._plain.get(key)
        if child is None:
            child = self._plain[key] = self._answers.labels(endpoint, _NONE, str(status))
        child.value += 1

    def ended(self, call: Call, began: int, ended: int) -> None:
        """Counts the answer to a request for a model's work; times are monotonic nanoseconds."""
        reply = call.reply
        name = self._inference.deployment_of(call.model) or _NONE
        key = (call.request.route.name, name, reply.status)
        children = self._children.get(key)
        if children is None:
            endpoint, _, status = key
            children = self._children[key] = _Children(
                self._answers.labels(endpoint, name, str(status)),
                self._seconds.labels(endpoint, name),
                self._first.labels(endpoint, name),
            )
        children.answers.value += 1
        children.seconds.observe((ended - began) * 1e-9)
        if reply.first:
            children.first.observe(reply.first - began * 1e-9)

    def slow(self) -> None:
        """Counts a reader that was cut off."""
        self._slow.value += 1
