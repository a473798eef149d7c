"""What every handler of a gateway works with."""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import Awaitable, Callable, Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from actinium.base.ids import Ids
from actinium.base.measures import Measure, Registry
from actinium.errors import BadRequest
from actinium.inference.request import Answered, EmbedRequest, Request

from .http.message import HttpRequest, header
from .http.reply import Reply

if TYPE_CHECKING:
    from actinium.inference.tenants import Service

Gather = Callable[[], Awaitable[Iterable[Measure]]]


def _nothing() -> bytes:
    return b""


@lru_cache(1024)
def _told(deployment: str, attempts: int) -> bytes:
    """The lines about who answered, made once for each answer there may be."""
    lines = b"x-actinium-attempts: %d\r\n" % attempts
    return header("x-actinium-deployment", deployment) + lines if deployment else lines


class Context:
    """The inference service, the identifiers and the names of what answers.

    ``limits`` gives the finished lines that tell a client what is left of its own limits;
    ``may_see_all`` says whether a client of an open endpoint may be told of all deployments;
    ``gather`` gives the measures of all processes where this is one of several.
    """

    def __init__(self, inference: Service, registry: Registry) -> None:
        self.inference = inference
        self.registry = registry
        self.ids = Ids()
        self.draining = False
        self.limits: Callable[[], bytes] = _nothing
        self.gather: Gather | None = None
        self.may_see_all: Callable[[HttpRequest], bool] = lambda request: True
        self._fingerprints: dict[str, str] = {}
        self._generation = 0

    def for_service(self, inference: Service, limits: Callable[[], bytes]) -> Context:
        """The context of a client who sees another service than everybody."""
        context = Context(inference, self.registry)
        context.ids = self.ids
        context.limits = limits
        context.gather = self.gather
        return context

    @staticmethod
    def now() -> int:
        """Unix time in whole seconds, for ``created``."""
        return int(time.time())

    def fingerprint(self, model: str) -> str:
        """``system_fingerprint``: changes with what stands behind a name, not with the name."""
        generation = self.inference.generation
        if generation != self._generation:
            self._generation = generation
            self._fingerprints.clear()
        found = self._fingerprints.get(model)
        if found is None:
            deployment = self.inference.replica(model).deployment
            text = f"{deployment.model}|{deployment.runtime}|{deployment.base_url}"
            found = self._fingerprints[model] = f"fp_{zlib.crc32(text.encode()):08x}"
        return found


class Call:
    """One request on its way through a handler; ``id`` links answer, log and upstream.

    ``model`` is the name that it asks for, once that is read.
    """

    __slots__ = ("_answered", "_context", "id", "model", "reply", "request")

    def __init__(self, request: HttpRequest, reply: Reply, id: str, context: Context) -> None:
        self._context = context
        self._answered: Answered | None = None
        self.request = request
        self.reply = reply
        self.id = id
        self.model = ""

    def headers(self, ignored: Iterable[str] = ()) -> bytes:
        """The headers of each answer; ``ignored`` names fields that had no effect.

        Who answered stands in them once that is known. A deployment that does not exist for the
        client's key is not named (GW-1).
        """
        context = self._context
        lines = b"x-request-id: %b\r\n%b" % (self.id.encode(), context.limits())
        answered = self._answered
        if answered is not None and answered.attempts:
            name = answered.deployment
            lines += _told(name if context.inference.sees(name) else "", answered.attempts)
        if names := ", ".join(ignored):
            lines += header("x-actinium-ignored", names[:1024])
        return lines

    def param(self, name: str) -> str:
        """What stands in the path for a ``{name}`` of its route."""
        return self.request.params[name]

    def asks(self, request: Request | EmbedRequest) -> None:
        """This is what is asked of a model for it."""
        self.model = request.model
        self._answered = request.answered

    def with_deadline(self, request: Request) -> Request:
        """The request with the time until when the client wants to wait, if it says so.

        ``x-request-timeout-ms``: whole milliseconds. Raises BadRequest for anything else.
        """
        self.asks(request)
        raw = self.request.headers.get(b"x-request-timeout-ms")
        if raw is None:
            return request
        if not (raw.isdigit() and len(raw) <= 12 and 0 < int(raw) <= 86_400_000):
            raise BadRequest(
                "expected whole milliseconds from 1 to 86400000, got "
                f"{raw[:32].decode('latin-1')!r}",
                "x-request-timeout-ms",
                "invalid_value",
            )
        deadline = asyncio.get_running_loop().time() + int(raw) / 1000
        return msgspec.structs.replace(request, deadline=deadline)


Handler = Callable[[Context, Call], Awaitable[None]]
