"""What the request path counts (families of catalogue 11.1), each child looked up once."""

from __future__ import annotations

from typing import Final

from actinium.base.measures import Count, Registry
from actinium.errors import (
    BadRequest,
    ContentFiltered,
    EngineOverloaded,
    InferenceError,
    ModelNotFound,
    ModelNotReady,
    RequestDeadline,
    SessionNotFound,
    StreamInterrupted,
    Timeout,
)

from .chunk import Usage

SECONDS: Final = (
    0.001, 0.0018, 0.0033, 0.006, 0.011, 0.02, 0.035, 0.06, 0.11, 0.2,
    0.35, 0.6, 1.1, 2.0, 3.5, 6.0, 11.0, 20.0, 35.0, 60.0, 110.0, 200.0, 350.0, 600.0,
)  # fmt: skip
TTFT_SECONDS: Final = (
    0.005, 0.01, 0.02, 0.035, 0.06, 0.11, 0.2, 0.35, 0.6, 1.1, 2.0, 3.5, 6.0, 11.0, 20.0, 35.0,
    60.0, 120.0,
)  # fmt: skip
SPEEDS: Final = (1.0, 2.0, 5.0, 10.0, 20.0, 35.0, 60.0, 110.0, 200.0, 350.0, 600.0, 1100.0)
GAP_SECONDS: Final = (
    0.0005, 0.001, 0.002, 0.0035, 0.006, 0.011, 0.02, 0.035, 0.06, 0.11, 0.2, 0.35, 0.6, 1.1,
    2.0, 5.0,
)  # fmt: skip


def outcome_of(error: BaseException) -> str:
    """The closed-set label of an end: ok is none of these."""
    match error:
        case StreamInterrupted():
            return "interrupted"
        case BadRequest() | ContentFiltered() | ModelNotFound() | SessionNotFound():
            return "client"
        case EngineOverloaded() | ModelNotReady():
            return "overload"
        case Timeout() | RequestDeadline():
            return "timeout"
        case InferenceError():
            return "upstream"
        case Exception():
            return "internal"
    return "cancelled"


class PathMeasures:
    """The families; one object per registry."""

    def __init__(self, registry: Registry) -> None:
        by = ("deployment",)
        self.requests = registry.counter(
            "requests", "Requests that ended, by how they ended.", ("deployment", "outcome")
        )
        self.seconds = registry.histogram(
            "request_seconds", "From acceptance to the end of the answer.", SECONDS, by
        )
        self.ttft = registry.histogram(
            "ttft_seconds", "From acceptance to the first content.", TTFT_SECONDS, by
        )
        self.gap = registry.histogram(
            "inter_token_seconds", "Between two deliveries of one answer.", GAP_SECONDS, by
        )
        self.queued = registry.histogram(
            "queue_seconds", "Waiting for a free place, of those that had to.", SECONDS, by
        )
        self.tokens = registry.counter(
            "tokens", "Tokens as the usage of answers tells them.", ("deployment", "kind")
        )
        self.tenant_tokens = registry.counter(
            "tenant_tokens", "Tokens of requests of a known tenant.", ("tenant", "kind")
        )
        self.speed = registry.histogram(
            "output_tokens_per_second", "Output of streams after their first content.", SPEEDS, by
        )


class ReplicaMeasures:
    """The children of one deployment."""

    __slots__ = (
        "_name",
        "_path",
        "_tenants",
        "gap",
        "ok",
        "queued",
        "seconds",
        "speed",
        "tokens",
        "ttft",
    )

    def __init__(self, path: PathMeasures, name: str) -> None:
        self._path = path
        self._name = name
        self._tenants: dict[str, tuple[Count, Count]] = {}
        self.ok = path.requests.labels(name, "ok")
        self.seconds = path.seconds.labels(name)
        self.ttft = path.ttft.labels(name)
        self.gap = path.gap.labels(name)
        self.queued = path.queued.labels(name)
        self.speed = path.speed.labels(name)
        self.tokens = {
            kind: path.tokens.labels(name, kind)
            for kind in ("input", "cached", "output", "reasoning")
        }

    def ended(self, error: BaseException | None) -> None:
        """Counts one request that ended."""
        child: Count = (
            self.ok if error is None else self._path.requests.labels(self._name, outcome_of(error))
        )
        child.value += 1

    def used(self, usage: Usage, tenant: str | None) -> None:
        tokens = self.tokens
        tokens["input"].value += usage.input
        tokens["output"].value += usage.output
        if usage.cached:
            tokens["cached"].value += usage.cached
        if usage.reasoning:
            tokens["reasoning"].value += usage.reasoning
        if tenant is not None:
            children = self._tenants.get(tenant) or self._of_tenant(tenant)
            children[0].value += usage.input
            children[1].value += usage.output

    def _of_tenant(self, tenant: str) -> tuple[Count, Count]:
        """The tenant's counts, remembered where they are its own (MT-1)."""
        family = self._path.tenant_tokens
        folded = family.folded
        children = family.labels(tenant, "input"), family.labels(tenant, "output")
        if family.folded == folded:
            self._tenants[tenant] = children
        return children
