"""The operator's requests of a gateway with several workers."""

from __future__ import annotations

from typing import Final, TypeVar

import msgspec

from actinium.core import Ref
from actinium.errors import ActiniumError, ConfigError, InferenceError, ModelNotReady
from actinium.serve.admin import views
from actinium.serve.admin.shapes import (
    Apply,
    Breakers,
    BreakerView,
    Deployments,
    DrainBody,
    Drained,
    Force,
    LimitViews,
    UsageRows,
)
from actinium.serve.admin.usage import Question

from .hub import LOAD_SECONDS, Answers, Order, What

V = TypeVar("V")

_SECONDS: Final = 5.0
_MORE_SECONDS: Final = 60.0


class Workers:
    """All workers, by way of the hub."""

    def __init__(self, hub: Ref) -> None:
        self._hub = hub

    async def deployments(self) -> Deployments:
        """See :func:`actinium.serve.admin.views.deployments`."""
        answers = await self._order("deployments")
        return views.deployments(_views(answers, Deployments), answers.generation)

    async def apply(self, change: Apply) -> None:
        """In all of them, or in none."""
        await self._order("apply", "", change, seconds=2 * LOAD_SECONDS)

    async def drain(self, name: str, seconds: float) -> Drained:
        """In all of them."""
        answers = await self._order(
            "drain", name, DrainBody(seconds=seconds), seconds=seconds + _MORE_SECONDS
        )
        return views.drained(_views(answers, Drained))

    async def breakers(self) -> Breakers:
        """See :func:`actinium.serve.admin.views.breakers`."""
        return views.breakers(_views(await self._order("breakers"), Breakers))

    async def force(self, name: str, change: Force) -> BreakerView:
        """In all of them."""
        first, *more = _views(await self._order("force", name, change), BreakerView)
        for one in more:
            first = views.breaker(first, one)
        return first

    async def limits(self) -> LimitViews:
        """See :func:`actinium.serve.admin.views.limits`."""
        answers = await self._order("limits")
        return views.limits(_views(answers, LimitViews), answers.strict)

    async def usage(self, asked: Question) -> UsageRows:
        """Of all of them, up to now."""
        return _views(await self._order("usage", "", asked), UsageRows)[0]

    async def _order(
        self, what: What, name: str = "", body: object = None, *, seconds: float = _SECONDS
    ) -> Answers:
        order = Order(what, name, msgspec.json.encode(body))
        try:
            answers: Answers = await self._hub.ask(order, seconds)
        except (InferenceError, ConfigError):
            raise
        except ActiniumError as error:
            raise ModelNotReady("the workers of the gateway do not answer") from error
        return answers


def _views(answers: Answers, kind: type[V]) -> list[V]:
    return [msgspec.json.decode(body, type=kind) for body in answers.bodies]
