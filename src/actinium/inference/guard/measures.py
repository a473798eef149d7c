"""What limits, fallback and money count (families of catalogue 11.1)."""

from __future__ import annotations

from actinium.base.measures import Registry

from ..measures import SECONDS


class GuardMeasures:
    """The families; one object per registry."""

    def __init__(self, registry: Registry) -> None:
        by = ("deployment",)
        self.attempts = registry.counter(
            "attempts", "Attempts at an answer, by how they ended.", ("deployment", "end")
        )
        self.fallbacks = registry.counter(
            "fallbacks", "Requests that went on to another deployment.", ("deployment", "target")
        )
        self.retries = registry.counter("retries", "Attempts made again on a deployment.", by)
        self.hedges = registry.counter(
            "hedges",
            "Second attempts beside a slow first, by which one won.",
            ("deployment", "won"),
        )
        self.continued = registry.counter(
            "continued", "Broken streams that another one went on with.", ("deployment", "target")
        )
        self.waited = registry.histogram(
            "limiter_wait_seconds", "Waiting for a limit, of those that had to.", SECONDS, by
        )
        self.cost = registry.counter("cost_usd", "What answers cost, in USD.", by)
        self.cost_unknown = registry.counter(
            "cost_unknown", "Answers of a model whose price is not known.", by
        )
        self.estimated = registry.counter(
            "usage_estimated", "Answers whose tokens were counted here.", by
        )
