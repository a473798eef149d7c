"""Which path is answered by what."""

from __future__ import annotations

from typing import Final

import msgspec

from .access import Scope
from .anthropic.errors import AnthropicFaults
from .context import Handler
from .faults import Faults
from .handlers.chat import chat
from .handlers.completions import completions
from .handlers.embeddings import embeddings
from .handlers.health import healthz, readyz
from .handlers.messages import count_tokens, messages
from .handlers.metrics import metrics
from .handlers.models import model, models
from .openai.errors import OpenAIFaults

_OPENAI: Final = OpenAIFaults()
_ANTHROPIC: Final = AnthropicFaults()


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint: its name in measures, its methods, and how its identifiers begin.

    ``scope`` says whose key they want; ``open`` ones are answered while the server drains, too.
    ``faults`` is the shape of their errors.
    """

    name: str
    methods: tuple[bytes, ...]
    handler: Handler
    prefix: str = "req-"
    scope: Scope = "use"
    faults: Faults = _OPENAI


_READ: Final = (b"GET", b"HEAD")

EXACT: Final = {
    b"/v1/chat/completions": Route(
        name="chat", methods=(b"POST",), handler=chat, prefix="chatcmpl-"
    ),
    b"/v1/completions": Route(
        name="completions", methods=(b"POST",), handler=completions, prefix="cmpl-"
    ),
    b"/v1/embeddings": Route(
        name="embeddings", methods=(b"POST",), handler=embeddings, prefix="embd-"
    ),
    b"/v1/messages": Route(
        name="messages", methods=(b"POST",), handler=messages, prefix="msg_", faults=_ANTHROPIC
    ),
    b"/v1/messages/count_tokens": Route(
        name="count_tokens", methods=(b"POST",), handler=count_tokens, faults=_ANTHROPIC
    ),
    b"/v1/models": Route(name="models", methods=_READ, handler=models),
    b"/healthz": Route(name="healthz", methods=_READ, handler=healthz, scope="open"),
    b"/readyz": Route(name="readyz", methods=_READ, handler=readyz, scope="open"),
    b"/metrics": Route(name="metrics", methods=_READ, handler=metrics, scope="operate"),
}
_MODEL: Final = Route(name="models", methods=_READ, handler=model)


PATHS: Final = b", ".join(EXACT).decode()


def faults_of(path: bytes) -> Faults:
    """The shape of errors for a path without a route: that of the door it looks like."""
    return _ANTHROPIC if path.startswith(b"/v1/messages") else _OPENAI


def find(path: bytes) -> Route | None:
    """The route of a path, or None."""
    route = EXACT.get(path)
    if route is None and path.startswith(b"/v1/models/") and len(path) > 11:
        return _MODEL
    return route
