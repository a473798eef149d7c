"""What the endpoints of the admin API do."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from actinium.errors import BadRequest, ConfigError, Conflict, InferenceError
from actinium.inference.tenants import Keyring, KeySpec
from actinium.inference.tenants.record import KeyRecord

from ..context import Call, Context, Handler
from ..openai.errors import bad_body
from ..openai.shapes import encode
from . import usage
from .crew import Crew
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

_audit = logging.getLogger("actinium.audit")

Action = Callable[[Call], Awaitable[Any]]


class AdminApi:
    """The operator's view of a gateway. Each change is a line of the log ``actinium.audit``: what
    was done to what, under which request id, and whether it worked."""

    def __init__(self, crew: Crew, keyring: Keyring | None) -> None:
        self._crew = crew
        self._keyring = keyring

    # -- deployments

    async def deployments(self, call: Call) -> Deployments:
        """All deployments and how they do."""
        return await self._crew.deployments()

    async def apply(self, call: Call) -> Deployments:
        """Serves other deployments from now on, without losing a request."""
        await self._crew.apply(_body(call, Apply))
        return await self._crew.deployments()

    async def drain(self, call: Call) -> Drained:
        """Takes a deployment out of service, and waits until it is; applying brings it back."""
        return await self._crew.drain(call.param("name"), _body(call, DrainBody).seconds)

    # -- breakers and limits

    async def breakers(self, call: Call) -> Breakers:
        """The breakers of all deployments that have one."""
        return await self._crew.breakers()

    async def force(self, call: Call) -> BreakerView:
        """Opens a breaker for a while, or closes it."""
        return await self._crew.force(call.param("name"), _body(call, Force))

    async def limits(self, call: Call) -> LimitViews:
        """What may be used and what is, of deployments, tenants and keys."""
        return await self._crew.limits()

    # -- keys

    async def keys(self, call: Call) -> KeyViews:
        """All keys, without their secrets."""
        return KeyViews(tuple(_key(record) for record in self._ring().records()))

    async def key(self, call: Call) -> KeyView:
        """One key, without its secret."""
        return _key(self._ring().key(call.param("id")))

    async def create(self, call: Call) -> KeyMade:
        """Makes a key. The answer holds it, and nothing ever will again."""
        made = await self._ring().create(_body(call, KeySpec))
        return _made(made.record, made.secret.reveal())

    async def rotate(self, call: Call) -> KeyMade:
        """Gives a key a new secret; the old one works on for a while."""
        body = _body(call, Rotate)
        made = await self._ring().rotate(call.param("id"), body.overlap)
        return _made(made.record, made.secret.reveal())

    async def disable(self, call: Call) -> KeyView:
        """Refuses a key from now on."""
        return _key(await self._ring().disable(call.param("id")))

    async def enable(self, call: Call) -> KeyView:
        """Lets a disabled key in again."""
        return _key(await self._ring().disable(call.param("id"), False))

    async def delete(self, call: Call) -> None:
        """Forgets a key; what it used stays in the accounts."""
        await self._ring().delete(call.param("id"))

    # -- usage

    async def usage(self, call: Call) -> UsageRows:
        """What was used, summed by day, tenant, key or deployment."""
        return await self._crew.usage(usage.question(call.request.query))

    # -- inside

    def _ring(self) -> Keyring:
        if self._keyring is None:
            raise Conflict(
                "this gateway has no virtual keys: set gateway.keys = true, or declare a [[tenant]]"
            )
        return self._keyring


def handler(action: Action, change: str | None = None) -> Handler:
    """An action as a handler; ``change`` is what the audit log calls it, if it changes anything."""

    async def handle(context: Context, call: Call) -> None:
        try:
            answer = await action(call)
        except ConfigError as error:
            _note(call, change, "refused", why=str(error))
            raise BadRequest(str(error), code="invalid_value") from error
        except InferenceError as error:
            _note(call, change, "refused", why=str(error))
            raise
        except Exception:
            _note(call, change, "failed")
            raise
        _note(call, change, "done", id=getattr(answer, "id", ""))
        status = call.request.route.status
        body = encode(answer) if answer is not None else b""
        call.reply.send(status, body, headers=call.headers() + _NO_STORE)

    handle.__doc__ = action.__doc__
    return handle


_NO_STORE: Final = b"cache-control: no-store\r\n"


def _note(call: Call, change: str | None, end: str, *, id: str = "", why: str = "") -> None:
    """A line of the audit log. What came from outside cannot make further lines of it."""
    if change is not None:
        target = " ".join(call.request.params.values()) or id
        line = " ".join(part for part in (change, target, end) if part)
        line = f"{line}, request {call.id}" + (f": {why}" if why else "")
        _audit.info("%s", "".join(c if c.isprintable() else "?" for c in line))


def _body(call: Call, kind: type[Any]) -> Any:
    """The body as the route's type. No body is an empty one."""
    assert call.request.route.body is kind, "the route documents what the handler reads"
    try:
        return msgspec.json.decode(call.request.body or b"{}", type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise bad_body(error) from None


def _fields(record: KeyRecord) -> dict[str, Any]:
    spec = record.spec
    return {
        "id": record.id, "name": spec.name, "tenant": spec.tenant, "models": spec.models,
        "limits": spec.limits, "budget": spec.budget, "priority": spec.priority,
        "created": datetime.fromtimestamp(record.created, UTC), "expires": spec.expires,
        "disabled": record.disabled, "declared": record.declared,
    }  # fmt: skip


def _key(record: KeyRecord) -> KeyView:
    return KeyView(**_fields(record))


def _made(record: KeyRecord, key: str) -> KeyMade:
    return KeyMade(**_fields(record), key=key)
