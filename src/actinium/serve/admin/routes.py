"""The endpoints of the admin API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from actinium.inference.tenants import KeySpec

from ..routes import Route
from .api import Action, AdminApi, handler
from .shapes import (
    Apply,
    Breakers,
    BreakerView,
    Deployments,
    DrainBody,
    Drained,
    Force,
    KeyMade,
    KeyView,
    KeyViews,
    LimitViews,
    Rotate,
    UsageRows,
)
from .usage import Question

BASE: Final = b"/admin/v1"


def admin_routes(api: AdminApi) -> Mapping[bytes, Route]:
    """All of them, over one gateway."""

    def get(action: Action, answer: Any, query: Any = None) -> Route:
        return Route(
            name="admin", methods=(b"GET", b"HEAD"), handler=handler(action), scope="admin",
            answer=answer, query=query,
        )  # fmt: skip

    def change(
        name: str, action: Action, answer: Any, body: Any = None, *, method: bytes = b"POST",
        status: int = 200,
    ) -> Route:  # fmt: skip
        return Route(
            name="admin", methods=(method,), handler=handler(action, name), scope="admin",
            body=body, answer=answer, status=status,
        )  # fmt: skip

    def both(first: Route, *more: Route) -> Route:
        return first.joined(*more)

    return {
        BASE + b"/deployments": both(
            get(api.deployments, Deployments),
            change("deployments.apply", api.apply, Deployments, Apply, method=b"PUT"),
        ),
        BASE + b"/deployments/{name}/drain": change(
            "deployments.drain", api.drain, Drained, DrainBody
        ),
        BASE + b"/breakers": get(api.breakers, Breakers),
        BASE + b"/breakers/{name}": change(
            "breakers.force", api.force, BreakerView, Force, method=b"PUT"
        ),
        BASE + b"/limits": get(api.limits, LimitViews),
        BASE + b"/keys": both(
            get(api.keys, KeyViews),
            change("keys.create", api.create, KeyMade, KeySpec, status=201),
        ),
        BASE + b"/keys/{id}": both(
            get(api.key, KeyView),
            change("keys.delete", api.delete, None, method=b"DELETE", status=204),
        ),
        BASE + b"/keys/{id}/rotate": change("keys.rotate", api.rotate, KeyMade, Rotate),
        BASE + b"/keys/{id}/disable": change("keys.disable", api.disable, KeyView),
        BASE + b"/keys/{id}/enable": change("keys.enable", api.enable, KeyView),
        BASE + b"/usage": get(api.usage, UsageRows, Question),
    }
